"""Operators that multiply by weights: dense layers, products of matrices and convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from edge_genre.convert.onnx_to_tf.padding import padded, pads_of
from edge_genre.convert.onnx_to_tf.registry import Node, operator
from edge_genre.convert.onnx_to_tf.values import Operand, Value, concatenated, tensor_of
from edge_genre.errors import ConversionError


@operator("Gemm")
def _gemm(node: Node, a: Operand, b: Operand, c: Operand | None = None) -> Value:
    if node.attribute("transA", 0):
        a = Value(tf.transpose(tensor_of(a)))
    if node.attribute("transB", 0):
        b = b.T if isinstance(b, np.ndarray) else Value(tf.transpose(b.onnx))
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    if isinstance(a, Value) and isinstance(b, np.ndarray):
        weights = b if alpha == 1 else b * np.float32(alpha)
        if c is None:
            return _dense(a, weights, None)
        if isinstance(c, np.ndarray) and c.size == b.shape[1]:
            return _dense(a, weights, c.reshape(-1) * np.float32(beta))
    product = tf.matmul(tensor_of(a), tensor_of(b)) * alpha
    return Value(product if c is None else product + tensor_of(c) * beta)


@operator("MatMul")
def _matmul(_: Node, a: Operand, b: Operand) -> Value:
    if isinstance(a, Value) and isinstance(b, np.ndarray) and b.ndim == 2:
        if a.rank == 2:
            return _dense(a, b, None)
        # Of one matrix TFLite makes a fully connected layer.
        rows = tf.reshape(a.onnx, (-1, a.shape[-1]))
        return Value(tf.reshape(tf.matmul(rows, tf.constant(b)), (*a.shape[:-1], b.shape[1])))
    return Value(_matrix_product(tensor_of(a), tensor_of(b)))


def _matrix_product(a: Any, b: Any) -> Any:
    """``numpy.matmul``, vectors included."""
    row, column = len(a.shape) == 1, len(b.shape) == 1
    product = tf.matmul(a[tf.newaxis] if row else a, b[:, tf.newaxis] if column else b)
    if column:
        product = tf.squeeze(product, -1)
    return tf.squeeze(product, -1 if column else -2) if row else product


def _dense(x: Value, weights: np.ndarray, bias: np.ndarray | None) -> Value:
    """x (rows, features) times weights (features, units), a normalisation before it taken in."""
    if x.scale is not None and x.shift is not None:
        shift = x.shift @ weights
        weights, bias = x.scale[:, np.newaxis] * weights, shift if bias is None else bias + shift

    def with_factors(factors: np.ndarray | float) -> Value:
        product = tf.matmul(x.stored, tf.constant(weights * factors))
        if bias is not None:
            product = tf.nn.bias_add(product, tf.constant(bias * factors))
        return Value(product, rescaled=lambda more: with_factors(factors * more))

    return with_factors(np.ones(1, np.float32))


@operator("Conv")
def _conv(node: Node, x: Value, weights: Operand, bias: Operand | None = None) -> Value:
    if not isinstance(weights, np.ndarray) or not (bias is None or isinstance(bias, np.ndarray)):
        raise ConversionError("its weights depend on the input: TFLite convolves with constants")
    spatial = x.rank - 2
    if spatial not in (1, 2):
        raise ConversionError(f"it convolves {spatial} axes: TFLite here has 1 and 2")
    strides = node.numbers("strides") or [1] * spatial
    dilations = node.numbers("dilations") or [1] * spatial
    pads = pads_of(node, x.shape[2:], weights.shape[2:], strides, dilations)
    groups = node.attribute("group", 1)
    if x.scale is not None and x.shift is not None and not any(pads):
        # Without padding a normalisation before is a convolution of other weights. (Padded zeros
        # would have to become its zeros, which differ from channel to channel.)
        weights, bias = _normalisation_taken_in(weights, bias, x.scale, x.shift, groups)
        x = Value(x.stored, x.channels_last)
    image = x.with_channels_last().normalised
    if spatial == 1:
        # As pictures of height 1.
        image, weights = tf.expand_dims(image, 1), weights[:, :, np.newaxis]
        strides, dilations, pads = [1, *strides], [1, *dilations], [0, pads[0], 0, pads[1]]
    image, padding = padded(image, pads, weights.shape[2:], strides, dilations)

    def with_factors(factors: np.ndarray) -> Value:
        scaled = weights * factors.reshape(-1, 1, 1, 1)
        result = _conv2d(image, scaled, strides, dilations, padding, groups)
        if bias is not None:
            result = tf.nn.bias_add(result, tf.constant(bias * factors))
        if spatial == 1:
            result = tf.squeeze(result, 1)
        return Value(result, True, rescaled=lambda more: with_factors(factors * more))

    return with_factors(np.ones(len(weights), np.float32))


def _normalisation_taken_in(
    weights: np.ndarray,
    bias: np.ndarray | None,
    scale: np.ndarray,
    shift: np.ndarray,
    groups: int,
) -> tuple[np.ndarray, np.ndarray]:
    filters, depth = weights.shape[:2]
    ones = (1,) * (weights.ndim - 2)

    def per_filter(values: np.ndarray) -> np.ndarray:
        """(channels,) as each filter sees them, (filters, depth, 1...)."""
        rows = np.repeat(values.reshape(groups, depth), filters // groups, axis=0)
        return rows.reshape(filters, depth, *ones)

    added = (weights * per_filter(shift)).sum(axis=tuple(range(1, weights.ndim)))
    return weights * per_filter(scale), added if bias is None else bias + added


def _conv2d(
    image: Any,
    weights: np.ndarray,
    strides: list[int],
    dilations: list[int],
    padding: str,
    groups: int,
) -> Any:
    """Convolve (batch, height, width, channels) with (filters, channels / groups, h, w)."""
    filters, depth, height, width = weights.shape
    channels = image.shape[-1]
    options = {"strides": [1, *strides, 1], "padding": padding}
    if depth == 1 and groups == channels and groups > 1 and strides[0] == strides[1]:
        kernel = weights.transpose(2, 3, 0, 1).reshape(height, width, channels, filters // channels)
        return tf.nn.depthwise_conv2d(image, tf.constant(kernel), dilations=dilations, **options)
    kernel = weights.transpose(2, 3, 1, 0)
    if groups == 1:
        return tf.nn.conv2d(image, tf.constant(kernel), dilations=dilations, **options)
    parts = [
        tf.nn.conv2d(part, tf.constant(kernel_of_part), dilations=dilations, **options)
        for part, kernel_of_part in zip(
            tf.split(image, groups, axis=-1), np.split(kernel, groups, axis=-1), strict=True
        )
    ]
    return concatenated(parts, axis=-1)
