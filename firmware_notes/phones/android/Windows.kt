package org.edgegenre.example

import android.Manifest
import android.media.AudioFormat
import android.media.AudioRecord
import android.media.MediaRecorder
import androidx.annotation.RequiresPermission
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOn
import kotlin.math.max

/**
 * Rolling windows of the microphone: the newest [windowSamples] samples, full scale 1, every
 * [hopSamples].
 *
 * Whoever is too slow gets the newest window and misses the ones between. The flow ends with an
 * [IllegalStateException] when the phone takes the microphone away.
 */
@RequiresPermission(Manifest.permission.RECORD_AUDIO)
fun windows(sampleRate: Int, windowSamples: Int, hopSamples: Int): Flow<FloatArray> =
    flow {
        val mono = AudioFormat.CHANNEL_IN_MONO
        val encoding = AudioFormat.ENCODING_PCM_FLOAT
        val least = AudioRecord.getMinBufferSize(sampleRate, mono, encoding)
        check(least > 0) { "this phone does not record at $sampleRate Hz" }
        // UNPROCESSED is without the gain control and noise suppression that are made for speech.
        val source = MediaRecorder.AudioSource.UNPROCESSED
        val room = max(least, 2 * hopSamples * Float.SIZE_BYTES)
        val record = AudioRecord(source, sampleRate, mono, encoding, room)
        try {
            check(record.state == AudioRecord.STATE_INITIALIZED) { "the microphone is not to be had" }
            record.startRecording()
            val window = FloatArray(windowSamples)
            val kept = windowSamples - hopSamples
            var heard = 0
            while (true) {
                window.copyInto(window, 0, hopSamples)
                var filled = 0
                while (filled < hopSamples) {
                    val blocking = AudioRecord.READ_BLOCKING
                    val count = record.read(window, kept + filled, hopSamples - filled, blocking)
                    check(count > 0) { "the microphone is gone (error $count)" }
                    filled += count
                }
                heard += hopSamples
                if (heard >= windowSamples) {
                    heard = windowSamples
                    emit(window.copyOf())
                }
            }
        } finally {
            record.release()
        }
    }.flowOn(Dispatchers.IO).conflate()
