package org.edgegenre.example

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import android.content.Context
import java.nio.FloatBuffer

/** The genre of windows, by ONNX Runtime, which hands out the labels that are in the file. */
class OnnxGenres(context: Context) : Genres {
    private val environment = OrtEnvironment.getEnvironment()
    private val session = environment.createSession(
        context.assets.open("genres.onnx").readBytes(),
        // The phone's small cores would slow a second thread down.
        OrtSession.SessionOptions().apply { setIntraOpNumThreads(1) },
    )
    private val labels =
        session.metadata.customMetadata.getValue("labels.txt").trim().lines()
    private val input = session.inputNames.first()

    override fun classify(samples: FloatArray): List<Genre> {
        val shape = longArrayOf(1, samples.size.toLong())
        OnnxTensor.createTensor(environment, FloatBuffer.wrap(samples), shape).use { tensor ->
            session.run(mapOf(input to tensor)).use { result ->
                val probabilities = (result.get(0) as OnnxTensor).floatBuffer
                return named(labels, FloatArray(labels.size) { probabilities.get(it) })
            }
        }
    }

    override fun close() = session.close()
}
