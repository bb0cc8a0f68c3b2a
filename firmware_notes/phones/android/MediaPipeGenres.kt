package org.edgegenre.example

import android.content.Context
import com.google.mediapipe.tasks.audio.audioclassifier.AudioClassifier
import com.google.mediapipe.tasks.audio.audioclassifier.AudioClassifier.AudioClassifierOptions
import com.google.mediapipe.tasks.audio.core.RunningMode
import com.google.mediapipe.tasks.components.containers.AudioData
import com.google.mediapipe.tasks.components.containers.AudioData.AudioDataFormat
import com.google.mediapipe.tasks.core.BaseOptions

/**
 * The genre of windows, by MediaPipe Tasks. It reads labels and sample rate from the file, and
 * resamples what comes at another rate.
 *
 * Its stream mode classifies one window after the other, without overlap; a window every hop takes
 * the clip mode, as here.
 */
class MediaPipeGenres(context: Context, private val sampleRate: Int) : Genres {
    private val classifier = AudioClassifier.createFromOptions(
        context,
        AudioClassifierOptions.builder()
            .setBaseOptions(BaseOptions.builder().setModelAssetPath("genres.tflite").build())
            .setRunningMode(RunningMode.AUDIO_CLIPS)
            // In place of the file's own, where labels hold together; 0 would count as none.
            .setScoreThreshold(1e-9f)
            .build(),
    )

    override fun classify(samples: FloatArray): List<Genre> {
        val format = AudioDataFormat.builder().setSampleRate(sampleRate.toFloat()).build()
        val clip = AudioData.create(format, samples.size)
        clip.load(samples)
        val first = classifier.classify(clip).classificationResults().first()
        return first.classifications().first().categories()
            .map { Genre(it.categoryName(), it.score()) }
    }

    override fun close() = classifier.close()
}
