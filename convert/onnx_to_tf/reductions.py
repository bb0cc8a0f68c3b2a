"""Operators that reduce over axes, global pooling among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from edge_genre.convert.onnx_to_tf.registry import Node, operator
from edge_genre.convert.onnx_to_tf.values import Operand, Value


@operator("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(node: Node, x: Value) -> Value:
    kind = "Max" if node.kind == "GlobalMaxPool" else "Mean"
    return reduced(x, list(range(2, x.rank)), True, kind)


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "L1": lambda x, axes, keepdims: tf.reduce_sum(tf.abs(x), axes, keepdims=keepdims),
    "L2": lambda x, axes, keepdims: tf.sqrt(tf.reduce_sum(tf.square(x), axes, keepdims=keepdims)),
    "LogSum": lambda x, axes, keepdims: tf.math.log(tf.reduce_sum(x, axes, keepdims=keepdims)),
    "Max": tf.reduce_max,
    "Mean": tf.reduce_mean,
    "Min": tf.reduce_min,
    "Prod": tf.reduce_prod,
    "Sum": tf.reduce_sum,
    "SumSquare": lambda x, axes, keepdims: tf.reduce_sum(tf.square(x), axes, keepdims=keepdims),
}


@operator(*(f"Reduce{kind}" for kind in _REDUCTIONS))
def _reduce(node: Node, x: Value, axes: Operand | None = None) -> Value:
    numbers = node.numbers("axes", axes)
    if not numbers:
        if node.attribute("noop_with_empty_axes", 0):
            return x
        numbers = list(range(x.rank))
    kind = node.kind.removeprefix("Reduce")
    return reduced(x, numbers, bool(node.attribute("keepdims", 1)), kind)


def reduced(x: Value, axes: list[int], keepdims: bool, kind: str) -> Value:
    axes = sorted(axis % x.rank for axis in axes)
    stored = [x.axis(axis) for axis in axes]
    function = _REDUCTIONS[kind]
    keeps_channels = 1 not in axes and 0 not in axes
    waits = (
        keeps_channels and kind in ("Mean", "Max") and x.scale is not None
        and (kind == "Mean" or bool(np.all(x.scale > 0)))
    )  # fmt: skip
    tensor = function(x.stored if waits else x.normalised, stored, keepdims=keepdims)
    if not keepdims and x.channels_last and not keeps_channels:
        # What is left stands in ONNX's order, for batch or channels are gone.
        if 1 in axes:
            return Value(tensor)
        order = (len(tensor.shape) - 1, *range(len(tensor.shape) - 1))
        return Value(tf.transpose(tensor, order))
    last = x.channels_last and len(tensor.shape) > 2
    return Value(tensor, last, x.scale, x.shift) if waits else Value(tensor, last)
