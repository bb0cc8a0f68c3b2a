package org.edgegenre.example

import android.content.Context
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel

/**
 * The genre of windows, by LiteRT. It reads no metadata: `labels.txt` lies beside the model.
 *
 * The models are too small to gain from a GPU.
 */
class LiteRtGenres(context: Context) : Genres {
    private val labels = context.assets.open("labels.txt").bufferedReader().readLines()
    private val model = CompiledModel.create(
        context.assets,
        "genres.tflite",
        CompiledModel.Options(Accelerator.CPU),
        null,
    )
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()

    override fun classify(samples: FloatArray): List<Genre> {
        inputs.first().writeFloat(samples)
        model.run(inputs, outputs)
        return named(labels, outputs.first().readFloat())
    }

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        model.close()
    }
}
