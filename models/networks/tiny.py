"""A network for microcontrollers: separable convolutions, and no loop.

A microcontroller counts weights in flash and the largest map in RAM. Depthwise-separable
convolutions (Howard et al. 2017, arXiv:1704.04861) need an eighth of the weights of full ones; what
a GRU does in SongNet is left to dilated convolutions over time and to two poolings, of which the
mean says how much of something there is and the maximum whether there is any. Each operator has a
kernel in TFLite Micro, in 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from edge_genre.models.networks.songnet import BandContrast, image


def tiny(
    *,
    n_frames: int | None = 39,
    n_mels: int = 128,
    n_classes: int = 10,
    filters: Sequence[int] = (16, 24, 40, 64),
    width: int = 72,
    dilations: Sequence[int] = (1, 2),
    dropout: float = 0.2,
    frequency_first: bool = False,
    activation: str = "softmax",
    name: str = "log_mel",
) -> keras.Model:
    """Build an untrained tiny network.

    Input (batch, n_frames, n_mels) float32, log-mel normalised over the window; output
    (batch, n_classes) float32 probabilities. Weights fit every `n_frames` and both values of
    `frequency_first`.

    Parameters
    ----------
    n_frames : frames in a window, or None for any number.
    n_mels : mel bands, or what else a frame has.
    n_classes : genres.
    filters : channels of the stem and of each separable block.
    width : features per time step after the bands are collapsed.
    dilations : distance of the taps of each convolution over time.
    dropout : rate before the last layer.
    frequency_first : the input is (batch, n_mels, n_frames).
    activation : of the outputs, ``"sigmoid"`` for labels that do not exclude each other.
    name : of the input.
    """
    inputs, x = image(
        n_frames, n_mels, frequency_first=frequency_first, multiple=2 ** len(filters), name=name
    )
    x = BandContrast(name="contrast")(x)
    x = layers.Conv2D(filters[0], 5, strides=(1, 2), padding="same", use_bias=False, name="stem")(x)
    x = _norm_relu(x, "stem")
    for block, channels in enumerate(filters[1:], start=1):
        x = _separable(x, channels, (3, 3), f"block{block}")
        x = layers.MaxPooling2D((2 if block == 1 else 1, 2), name=f"pool{block}")(x)
    # A filter over all bands for each channel: bass and treble mean different things.
    n_bands = -(-n_mels // 2 ** len(filters))
    x = layers.DepthwiseConv2D((1, n_bands), use_bias=False, name="bands")(x)
    x = _norm_relu(x, "bands")
    x = layers.Conv2D(width, 1, use_bias=False, name="collapse")(x)
    x = _norm_relu(x, "collapse")
    for number, dilation in enumerate(dilations, start=1):
        branch = _separable(x, width, (5, 1), f"time{number}", dilation=(dilation, 1))
        x = layers.Add(name=f"add{number}")([x, branch])
    pooled = [
        layers.GlobalAveragePooling2D(name="mean")(x),
        layers.GlobalMaxPooling2D(name="maximum")(x),
    ]
    x = layers.Concatenate(name="pooled")(pooled)
    x = layers.Dropout(dropout, name="features")(x)
    outputs = layers.Dense(n_classes, activation=activation, name="genre")(x)
    return keras.Model(inputs, outputs, name="tiny")


def _separable(
    x: Any, channels: int, size: tuple[int, int], name: str, dilation: tuple[int, int] = (1, 1)
) -> Any:
    """Each channel's own filter, then a mix of the channels."""
    x = layers.DepthwiseConv2D(
        size, padding="same", dilation_rate=dilation, use_bias=False, name=f"{name}_each"
    )(x)
    x = _norm_relu(x, f"{name}_each")
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_mix")(x)
    return _norm_relu(x, f"{name}_mix")


def _norm_relu(x: Any, name: str) -> Any:
    # Fifteen norms in a row: what they know of the data must not lag behind the weights.
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
