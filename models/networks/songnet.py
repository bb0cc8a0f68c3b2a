"""The SongNet family: convolutions that listen, a GRU that remembers, attention that decides.

The published SongNet runs 1-D convolutions over time with the mel bands as channels, so nothing
that it learns about one band helps in another, and its attention has one bias per time step, so its
weights fix the length of the input. Here the convolutions are 2-D and the attention knows no step
from another: the same weights read 3 s, 10 s or 30 s.

Only plain operations are used, each of which has a TFLite builtin. Convert with a batch of one:
`keras.Model(x := keras.Input(shape, batch_size=1), model(x))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="edge_genre")
class BandContrast(layers.Layer):
    """Add a second channel that holds each band's distance from its own mean over time.

    (batch, time, bands, 1) -> (batch, time, bands, 2). The mean of a band over the window is mostly
    the recording's equalisation: what a studio or an artist sounds like rather than a genre. The
    first channel keeps it, the second cannot see it.
    """

    def call(self, inputs: Any) -> Any:
        contrast = inputs - ops.mean(inputs, axis=1, keepdims=True)
        return ops.concatenate([inputs, contrast], axis=-1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 2)


@keras.saving.register_keras_serializable(package="edge_genre")
class TemporalAttention(layers.Layer):
    """Weighted mean over time, (batch, time, features) -> (batch, features).

    The weight of a step is softmax over time of v . tanh(W x + b), the additive score of Bahdanau
    et al. 2015 (arXiv:1409.0473, A.1.2) without a decoder state. No parameter depends on the number
    of steps.

    Parameters
    ----------
    units : rows of W; the length of b and of v.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Sequence[int | None]) -> None:
        n_features = input_shape[-1]
        self.kernel = self.add_weight(shape=(n_features, self.units), name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.v = self.add_weight(shape=(self.units, 1), name="v")

    def call(self, inputs: Any) -> Any:
        score = ops.matmul(ops.tanh(ops.matmul(inputs, self.kernel) + self.bias), self.v)
        return ops.sum(inputs * ops.softmax(score, axis=1), axis=1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def image(
    n_frames: int | None, n_bands: int, *, frequency_first: bool, multiple: int, name: str
) -> tuple[Any, Any]:
    """An input in a front end's order, and it as a picture of one channel, time first.

    Bands that halving would not come out even for are filled up with zeros, to a multiple.
    """
    shape = (n_bands, n_frames) if frequency_first else (n_frames, n_bands)
    inputs = keras.Input(shape, name=name)
    x = layers.Permute((2, 1), name="time_first")(inputs) if frequency_first else inputs
    x = layers.Reshape((-1 if n_frames is None else n_frames, n_bands, 1), name="image")(x)
    missing = -n_bands % multiple
    if missing:
        x = layers.ZeroPadding2D(((0, 0), (0, missing)), name="filled_up")(x)
    return inputs, x


def songnet(
    *,
    n_frames: int | None = 39,
    n_mels: int = 128,
    n_classes: int = 10,
    filters: Sequence[int] = (24, 32, 48, 64),
    width: int = 96,
    gru_units: int = 64,
    dense: int | None = None,
    halvings: int = 1,
    dropout: float = 0.3,
    unroll: bool = False,
    frequency_first: bool = False,
    activation: str = "softmax",
    name: str = "log_mel",
) -> keras.Model:
    """Build an untrained SongNet.

    Input (batch, n_frames, n_mels) float32, log-mel normalised over the window; output
    (batch, n_classes) float32 probabilities. Weights fit every `n_frames` and both values of
    `unroll` and `frequency_first`: rebuild and `set_weights` to move them.

    Parameters
    ----------
    n_frames : frames in a window, at least 2, or None for any number.
    n_mels : mel bands, or what else a frame has.
    n_classes : genres.
    filters : channels of the stem and of each convolutional block.
    width : features per time step after the bands are collapsed.
    gru_units : units of the GRU.
    dense : units of the dense layer after the attention; as many as the GRU's where left out.
    halvings : how often time is halved before the GRU. Once makes a step of 0.16 s of the 78 ms
        between the frames of songnet-gtzan: about a quaver, the rest is left to the GRU.
    dropout : rate before the GRU and before each dense layer.
    unroll : write the GRU's steps out instead of looping over them; needs `n_frames`. Full
        integer quantization needs it.
    frequency_first : the input is (batch, n_mels, n_frames).
    activation : of the outputs, ``"sigmoid"`` for labels that do not exclude each other.
    name : of the input.
    """
    if unroll and n_frames is None:
        raise ValueError("unroll=True needs a fixed n_frames")

    inputs, x = image(
        n_frames, n_mels, frequency_first=frequency_first, multiple=2 ** len(filters), name=name
    )
    x = BandContrast(name="contrast")(x)
    # The stem halves the bands by striding: a full-resolution map would be the dearest of all.
    x = layers.Conv2D(filters[0], 5, strides=(1, 2), padding="same", use_bias=False, name="stem")(x)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for block, channels in enumerate(filters[1:], start=1):
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"conv{block}")(x)
        x = layers.BatchNormalization(name=f"norm{block}")(x)
        x = layers.ReLU(name=f"relu{block}")(x)
        x = layers.MaxPooling2D((2 if block <= halvings else 1, 2), name=f"pool{block}")(x)
    # Each remaining band has its own weights: bass and treble mean different things.
    n_bands = -(-n_mels // 2 ** len(filters))
    x = layers.Conv2D(width, (1, n_bands), use_bias=False, name="collapse")(x)
    x = layers.BatchNormalization(name="collapse_norm")(x)
    x = layers.ReLU(name="collapse_relu")(x)
    n_steps = -1 if n_frames is None else n_frames // 2**halvings
    x = layers.Reshape((n_steps, width), name="sequence")(x)
    x = layers.Dropout(dropout, name="sequence_dropout")(x)
    x = layers.GRU(gru_units, return_sequences=True, unroll=unroll, name="gru")(x)
    x = TemporalAttention(gru_units // 2, name="attention")(x)
    x = layers.Dropout(dropout, name="attention_dropout")(x)
    x = layers.Dense(dense or gru_units, activation="relu", name="dense")(x)
    x = layers.Dropout(dropout, name="features")(x)
    outputs = layers.Dense(n_classes, activation=activation, name="genre")(x)
    return keras.Model(inputs, outputs, name="songnet")
