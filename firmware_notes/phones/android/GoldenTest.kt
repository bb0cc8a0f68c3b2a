package org.edgegenre.example

import androidx.test.platform.app.InstrumentationRegistry
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Test

/**
 * Every engine gives what the model gave where it was made: the folder that
 * `edge-genre export genres.tflite --golden golden` wrote lies in the tests' assets.
 */
class GoldenTest {
    private val context = InstrumentationRegistry.getInstrumentation().targetContext
    private val assets = InstrumentationRegistry.getInstrumentation().context.assets
    private val manifest =
        JSONObject(assets.open("golden/manifest.json").bufferedReader().readText())
    private val rate = manifest.getJSONObject("pcm").getInt("rate")

    @Test fun mediaPipe() = check(MediaPipeGenres(context, rate))

    @Test fun liteRt() = check(LiteRtGenres(context))

    @Test fun onnx() = check(OnnxGenres(context))

    private fun check(genres: Genres) = genres.use {
        val labels = manifest.getJSONArray("labels")
        val tolerance = manifest.getJSONObject("probabilities").getDouble("tolerance")
        val cases = manifest.getJSONArray("cases")
        for (case in (0 until cases.length()).map(cases::getJSONObject)) {
            val name = case.getString("name")
            val found = genres.classify(samples(name)).associate { it.label to it.probability }
            val wanted = case.getJSONArray("probabilities")
            for (index in 0 until labels.length()) {
                val label = labels.getString(index)
                // MediaPipe leaves out what is all but 0.
                val probability = (found[label] ?: 0f).toDouble()
                assertEquals("$name, $label", wanted.getDouble(index), probability, tolerance)
            }
        }
    }

    /** The 16-bit samples of a case behind the 44 bytes of its WAV header, full scale 1. */
    private fun samples(name: String): FloatArray {
        val bytes = assets.open("golden/$name/pcm.wav").readBytes()
        val pcm = ByteBuffer.wrap(bytes, 44, bytes.size - 44).slice()
            .order(ByteOrder.LITTLE_ENDIAN).asShortBuffer()
        return FloatArray(pcm.remaining()) { pcm.get(it) / 32768f }
    }
}
