package org.edgegenre.example

/** A genre and its probability. */
data class Genre(val label: String, val probability: Float)

/** Names the genre of windows; one thread at a time. */
interface Genres : AutoCloseable {
    /** All genres of one window of [samples] (mono, full scale 1), the likeliest first. */
    fun classify(samples: FloatArray): List<Genre>
}

internal fun named(labels: List<String>, probabilities: FloatArray): List<Genre> =
    labels.zip(probabilities.asIterable(), ::Genre).sortedByDescending { it.probability }
