"""Operators that normalise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from edge_genre.convert.onnx_to_tf.registry import Node, operator
from edge_genre.convert.onnx_to_tf.values import Operand, Value, constant, tensor_of


@operator("BatchNormalization")
def _batch_normalization(
    node: Node, x: Value, gamma: Operand, beta: Operand, mean: Operand, variance: Operand
) -> Value:
    gamma, beta, mean, variance = (
        constant(weights).astype(np.float64) for weights in (gamma, beta, mean, variance)
    )
    deviation = np.sqrt(variance + node.attribute("epsilon", 1e-5))
    if x.rescaled is not None and x.scale is None:
        # Divided by it already, all channels fill the range that 8 bits divide among them: the
        # idea of M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
        # Correction", ICCV 2019, with the deviations that training wrote down.
        x = x.rescaled((1 / deviation).astype(np.float32))
        mean, deviation = mean / deviation, np.ones_like(deviation)
    scale = gamma / deviation
    shift = beta - mean * scale
    if x.scale is not None and x.shift is not None:
        scale, shift = x.scale * scale, x.shift * scale + shift
    return Value(x.stored, x.channels_last, scale.astype(np.float32), shift.astype(np.float32))


@operator("InstanceNormalization")
def _instance_normalization(node: Node, x: Value, gamma: Operand, beta: Operand) -> Value:
    x = x.with_channels_last()
    spatial = list(range(1, x.rank - 1))
    normal = _standardized(x.normalised, spatial, node.attribute("epsilon", 1e-5))
    return x.mapped(normal * constant(gamma) + constant(beta))


@operator("LayerNormalization")
def _layer_normalization(
    node: Node, x: Value, gamma: Operand, beta: Operand | None = None
) -> Value:
    axes = list(range(node.attribute("axis", -1) % x.rank, x.rank))
    result = _standardized(x.onnx, axes, node.attribute("epsilon", 1e-5)) * tensor_of(gamma)
    return Value(result if beta is None else result + tensor_of(beta))


def _standardized(tensor: Any, axes: Sequence[int], epsilon: float) -> Any:
    centred = tensor - tf.reduce_mean(tensor, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axes, keepdims=True)
    return centred * tf.math.rsqrt(variance + epsilon)
