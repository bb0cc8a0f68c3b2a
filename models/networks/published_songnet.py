"""SongNet as published: 30 s of log-mel, 1-D convolutions, a GRU, an attention bias for each step.

315,753 parameters. Its weights fit one length of input, that which it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="edge_genre")
class PublishedAttention(layers.Layer):
    """Weighted sum over time, (batch, steps, features) -> (batch, features).

    The weight of a step is the softmax over time of tanh(x W + b), where W is (features, 1) and b
    has an entry for each step, (steps, 1).
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        _, steps, features = input_shape
        if steps is None:
            raise ValueError("the attention has a bias for each step: fix the input's length")
        self.kernel = self.add_weight(shape=(features, 1), name="kernel")
        self.bias = self.add_weight(shape=(steps, 1), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        score = ops.tanh(ops.matmul(inputs, self.kernel) + self.bias)
        return ops.sum(inputs * ops.softmax(score, axis=1), axis=1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], input_shape[-1])


def songnet_published(n_frames: int = 1292, n_classes: int = 8) -> keras.Model:
    """Build the published SongNet, untrained.

    Input (batch, n_frames, 128) float32, log-mel in dB; output (batch, n_classes) float32
    probabilities.

    Parameters
    ----------
    n_frames : frames in a window, at least 8; 1292 are 30 s.
    n_classes : genres.
    """
    inputs = keras.Input((n_frames, 128), name="log_mel")
    x: Any = inputs
    for filters in (64, 128, 256):
        x = layers.Conv1D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.Dropout(0.3)(x)
        x = layers.MaxPooling1D(2)(x)
    x = layers.GRU(128, return_sequences=True)(x)
    x = PublishedAttention()(x)
    x = layers.Dense(128, activation="relu")(x)
    outputs = layers.Dense(n_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="songnet_published")
