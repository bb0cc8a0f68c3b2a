"""Operators that pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from edge_genre.convert.onnx_to_tf.padding import padded, pads_of, same_padding
from edge_genre.convert.onnx_to_tf.registry import Node, operator
from edge_genre.convert.onnx_to_tf.values import Value
from edge_genre.errors import ConversionError


@operator("MaxPool", "AveragePool")
def _pool(node: Node, x: Value) -> Value:
    spatial = x.rank - 2
    if spatial not in (1, 2):
        raise ConversionError(f"it pools {spatial} axes: TFLite here has 1 and 2")
    if any(dilation != 1 for dilation in node.numbers("dilations") or []):
        raise ConversionError("it is dilated, which TFLite's pooling cannot be")
    if node.kind == "MaxPool" and node.n_outputs > 1:
        raise ConversionError("it gives indices, which TFLite's pooling does not")
    kernel = node.numbers("kernel_shape") or []
    strides = node.numbers("strides") or [1] * spatial
    pads = pads_of(node, x.shape[2:], kernel, strides, [1] * spatial)
    if node.attribute("ceil_mode", 0):
        pads = _with_ceiling(x.shape[2:], kernel, strides, pads)
    averages = node.kind == "AveragePool"
    if spatial == 1:
        kernel, strides, pads = [1, *kernel], [1, *strides], [0, pads[0], 0, pads[1]]
    pool = _average_pool if averages else _max_pool

    def pooled(x: Value) -> Value:
        x = x.with_channels_last()
        # A normalisation can wait until after the pooling, where there are fewer values, if it
        # keeps the order, or if no padding enters a mean.
        waits = x.scale is not None and (not any(pads) if averages else bool(np.all(x.scale > 0)))
        image = x.stored if waits else x.normalised
        if spatial == 1:
            image = tf.expand_dims(image, 1)
        result = pool(node, image, kernel, strides, pads)
        if spatial == 1:
            result = tf.squeeze(result, 1)
        return Value(result, True, x.scale, x.shift) if waits else Value(result, True)

    return x.through(pooled)


def _with_ceiling(
    lengths: Sequence[int], kernel: Sequence[int], strides: Sequence[int], pads: list[int]
) -> list[int]:
    """Padding at the end until the last window fits that begins inside."""
    spatial = len(lengths)
    begins, ends = pads[:spatial], list(pads[spatial:])
    for axis, (n, k, stride) in enumerate(zip(lengths, kernel, strides, strict=True)):
        windows = -(-(n + begins[axis] + ends[axis] - k) // stride) + 1
        if (windows - 1) * stride >= n + begins[axis]:  # would begin in the padding
            windows -= 1
        ends[axis] = max(ends[axis], (windows - 1) * stride + k - n - begins[axis])
    return [*begins, *ends]


def _max_pool(_: Node, image: Any, kernel: list[int], strides: list[int], pads: list[int]) -> Any:
    same = same_padding(image.shape[1:3], kernel, strides, [1, 1])
    fits = pads == [n // 2 for n in same] + [n - n // 2 for n in same]
    if not fits and any(2 * pad > k for pad, k in zip(pads, kernel * 2, strict=True)):
        raise ConversionError("its padding is wider than half its kernel")
    # Mirrored values stand in the same window already: they change no maximum, and widen no range
    # as the smallest number would.
    image, padding = padded(image, pads, kernel, strides, [1, 1], mode="SYMMETRIC")
    return tf.nn.max_pool2d(image, kernel, strides, padding)


def _average_pool(
    node: Node, image: Any, kernel: list[int], strides: list[int], pads: list[int]
) -> Any:
    lengths = image.shape[1:3]
    same = same_padding(lengths, kernel, strides, [1, 1])
    counts_padding = bool(node.attribute("count_include_pad", 0))
    if not any(pads):
        return tf.nn.avg_pool2d(image, kernel, strides, "VALID")
    if pads == [n // 2 for n in same] + [n - n // 2 for n in same] and not counts_padding:
        return tf.nn.avg_pool2d(image, kernel, strides, "SAME")
    if counts_padding and node.attribute("ceil_mode", 0):
        raise ConversionError("it counts padding and rounds up: switch one of them off")
    axes = [[pads[0], pads[2]], [pads[1], pads[3]]]
    result = tf.nn.avg_pool2d(tf.pad(image, [[0, 0], *axes, [0, 0]]), kernel, strides, "VALID")
    if counts_padding:
        return result
    shares = [
        np.array(
            [inside[start : start + k].mean() for start in range(0, len(inside) - k + 1, step)]
        )
        for inside, k, step in (
            (np.pad(np.ones(n), pad), k, step)
            for n, pad, k, step in zip(lengths, axes, kernel, strides, strict=True)
        )
    ]
    return result * (1 / np.outer(*shares))[np.newaxis, :, :, np.newaxis].astype(np.float32)
