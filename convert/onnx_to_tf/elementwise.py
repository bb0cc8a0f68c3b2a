"""Operators that compute element by element, activations and softmax among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from onnx import helper

from edge_genre.convert.onnx_to_tf.registry import Node, operator
from edge_genre.convert.onnx_to_tf.values import Operand, Value, aligned


def _erf(x: Any) -> Any:
    """Error function, off by 1.5e-7 at most; TFLite has none.

    Source: M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, eq. 7.1.26.
    """
    magnitude = tf.abs(x)
    t = 1 / (1 + 0.3275911 * magnitude)
    series = 1.061405429
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * t + coefficient
    return tf.sign(x) * (1 - series * t * tf.exp(-tf.square(magnitude)))


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), in a form that does not overflow."""
    return tf.nn.relu(x) + tf.math.log(1 + tf.exp(-tf.abs(x)))


def softsign(x: Any) -> Any:
    """x / (1 + |x|)."""
    return x / (1 + tf.abs(x))


_UNARY: dict[str, Callable[[Any], Any]] = {
    "Abs": tf.abs,
    "Ceil": tf.math.ceil,
    "Cos": tf.cos,
    "Erf": _erf,
    "Exp": tf.exp,
    "Floor": tf.floor,
    "HardSwish": lambda x: x * tf.nn.relu6(x + 3) * (1 / 6),
    "Log": tf.math.log,
    "Mish": lambda x: x * tf.tanh(softplus(x)),
    "Neg": tf.negative,
    "Not": tf.logical_not,
    "Reciprocal": lambda x: 1 / x,
    "Relu": tf.nn.relu,
    "Round": tf.round,
    "Sigmoid": tf.sigmoid,
    "Sign": tf.sign,
    "Sin": tf.sin,
    "Softplus": softplus,
    "Softsign": softsign,
    "Sqrt": tf.sqrt,
    "Tanh": tf.tanh,
}

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": tf.add,
    "And": tf.logical_and,
    "Div": tf.divide,
    "Equal": tf.equal,
    "Greater": tf.greater,
    "GreaterOrEqual": tf.greater_equal,
    "Less": tf.less,
    "LessOrEqual": tf.less_equal,
    "Mul": tf.multiply,
    "Or": tf.logical_or,
    "Sub": tf.subtract,
}


@operator(*_UNARY)
def _unary(node: Node, x: Value) -> Value:
    function = _UNARY[node.kind]
    if node.kind == "Relu":
        return x.through(lambda x: x.mapped(function(x.normalised)))
    return x.mapped(function(x.normalised))


@operator(*_BINARY)
def _binary(node: Node, a: Operand, b: Operand) -> Value:
    (first, second), channels_last = aligned([a, b])
    return Value(_BINARY[node.kind](first, second), channels_last)


@operator("Max", "Min", "Sum", "Mean")
def _variadic(node: Node, *operands: Operand) -> Value:
    tensors, channels_last = aligned(operands)
    combine = {"Max": tf.maximum, "Min": tf.minimum}.get(node.kind, tf.add)
    result = tensors[0]
    for tensor in tensors[1:]:
        result = combine(result, tensor)
    return Value(result / len(tensors) if node.kind == "Mean" else result, channels_last)


@operator("Pow")
def _pow(_: Node, base: Operand, exponent: Operand) -> Value:
    if isinstance(base, Value) and isinstance(exponent, np.ndarray) and exponent.size == 1:
        special = {2.0: tf.square, 0.5: tf.sqrt, 1.0: tf.identity}.get(float(exponent.item()))
        if special and len(exponent.shape) <= base.rank:
            return base.mapped(special(base.normalised))
    (first, second), channels_last = aligned([base, exponent])
    return Value(tf.pow(first, tf.cast(second, first.dtype)), channels_last)


@operator("Where")
def _where(_: Node, condition: Operand, chosen: Operand, other: Operand) -> Value:
    tensors, channels_last = aligned([condition, chosen, other])
    return Value(tf.where(*tensors), channels_last)


@operator("Clip")
def _clip(
    node: Node, x: Value, low: np.ndarray | None = None, high: np.ndarray | None = None
) -> Value:
    lowest = node.attribute("min", -np.inf) if low is None else low.item()
    highest = node.attribute("max", np.inf) if high is None else high.item()
    tensor = x.normalised
    if lowest == 0 and highest == 6:
        return x.mapped(tf.nn.relu6(tensor))
    if lowest == 0:
        tensor = tf.nn.relu(tensor)
    elif lowest > -np.inf:
        tensor = tf.maximum(tensor, tf.constant(lowest, tensor.dtype))
    if highest < np.inf:
        tensor = tf.minimum(tensor, tf.constant(highest, tensor.dtype))
    return x.mapped(tensor)


@operator("LeakyRelu")
def _leaky_relu(node: Node, x: Value) -> Value:
    slope = node.attribute("alpha", 0.01)
    return x.through(lambda x: x.mapped(tf.nn.leaky_relu(x.normalised, slope)))


@operator("PRelu")
def _prelu(_: Node, x: Value, slope: Operand) -> Value:
    (tensor, factor), channels_last = aligned([x, slope])
    return Value(tf.nn.relu(tensor) - factor * tf.nn.relu(-tensor), channels_last)


@operator("Elu", "Celu", "Selu")
def _elu(node: Node, x: Value) -> Value:
    tensor, alpha = x.normalised, node.attribute("alpha", 1.0)
    if node.kind == "Elu" and alpha == 1:
        return x.mapped(tf.nn.elu(tensor))
    if node.kind == "Celu":
        return x.mapped(tf.nn.relu(tensor) + alpha * (tf.exp(-tf.nn.relu(-tensor) / alpha) - 1))
    if node.kind == "Selu":
        alpha = node.attribute("alpha", 1.6732632)
    gamma = node.attribute("gamma", 1.0507010) if node.kind == "Selu" else 1.0
    return x.mapped(gamma * (tf.nn.relu(tensor) + alpha * (tf.exp(-tf.nn.relu(-tensor)) - 1)))


@operator("HardSigmoid")
def _hard_sigmoid(node: Node, x: Value) -> Value:
    alpha, beta = node.attribute("alpha", 0.2), node.attribute("beta", 0.5)
    if np.isclose(alpha, 1 / 6) and beta == 0.5:  # three quarters of HardSwish, which TFLite knows
        return x.mapped(tf.nn.relu6(x.normalised + 3) * (1 / 6))
    return x.mapped(tf.minimum(tf.nn.relu(alpha * x.normalised + beta), 1.0))


@operator("Gelu")
def _gelu(node: Node, x: Value) -> Value:
    tensor = x.normalised
    if node.attribute("approximate", "none") == "tanh":
        inner = tf.tanh(np.sqrt(2 / np.pi) * (tensor + 0.044715 * tensor * tensor * tensor))
    else:
        inner = _erf(tensor * np.sqrt(0.5))
    return x.mapped(0.5 * tensor * (1 + inner))


@operator("Cast")
def _cast(node: Node, x: Value) -> Value:
    return x.mapped(tf.cast(x.normalised, helper.tensor_dtype_to_np_dtype(node.attribute("to"))))


@operator("Identity", "Dropout")
def _pass_on(_: Node, x: Value, *__: Operand) -> Value:
    return x


@operator("Softmax", "LogSoftmax")
def _softmax(node: Node, x: Value) -> Value:
    function = tf.nn.softmax if node.kind == "Softmax" else tf.nn.log_softmax
    if node.opset < 13:  # over all axes from this one on
        axis = node.attribute("axis", 1) % x.rank
        rows = tf.reshape(x.onnx, (int(np.prod(x.shape[:axis])), -1))
        return Value(tf.reshape(function(rows), x.shape))
    tensor, axis = x.normalised, x.axis(node.attribute("axis", -1))
    lengths = tuple(tensor.shape)
    if all(length == 1 for length in lengths[axis + 1 :]):
        # TFLite knows the last axis only: axes of length 1 after it need no transpose.
        return x.mapped(tf.reshape(function(tf.reshape(tensor, lengths[: axis + 1])), lengths))
    return x.mapped(function(tensor, axis=axis))
