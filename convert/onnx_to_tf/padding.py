"""Padding of convolutions and pooling, as ONNX says it and as TensorFlow takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from edge_genre.convert.onnx_to_tf.registry import Node


def pads_of(
    node: Node,
    lengths: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[int]:
    """Padding before all axes, then after them, whichever way the node says it."""
    automatic = node.attribute("auto_pad", "NOTSET")
    if automatic == "NOTSET":
        return node.numbers("pads") or [0] * (2 * len(lengths))
    if automatic == "VALID":
        return [0] * (2 * len(lengths))
    total = same_padding(lengths, kernel, strides, dilations)
    smaller, larger = [n // 2 for n in total], [n - n // 2 for n in total]
    return smaller + larger if automatic == "SAME_UPPER" else larger + smaller


def same_padding(
    lengths: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[int]:
    """Padding of each axis that gives ceil(length / stride) outputs."""
    return [
        max((-(-n // stride) - 1) * stride + (k - 1) * dilation + 1 - n, 0)
        for n, k, stride, dilation in zip(lengths, kernel, strides, dilations, strict=True)
    ]


def padded(
    image: Any,
    pads: list[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    mode: str = "CONSTANT",
) -> tuple[Any, str]:
    """Pad (batch, height, width, channels), unless the operator after it can do it.

    Returns
    -------
    The image, and the padding to ask of that operator.
    """
    if not any(pads):
        return image, "VALID"
    total = same_padding(image.shape[1:3], kernel, strides, dilations)
    if pads == [n // 2 for n in total] + [n - n // 2 for n in total]:
        return image, "SAME"
    axes = [[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]]
    return tf.pad(image, axes, mode=mode), "VALID"
