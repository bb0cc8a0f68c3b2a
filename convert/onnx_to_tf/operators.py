"""ONNX operators in TensorFlow operators that TFLite has built in.

Each function takes a ``Node`` and its operands, of which at least one depends on the graph's input
(``Value``), the others being constants (``numpy.ndarray``) or left out (None), and returns its
results. Meaning of operators and attributes: the ONNX operator specification.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import helper

from edge_genre.convert.onnx_to_tf.values import Operand, Value, aligned, tensor_of
from edge_genre.convert.tflite.recurrent import (
    Activation,
    Cell,
    GRUCell,
    LSTMCell,
    State,
    loop,
    write_out,
)
from edge_genre.errors import ConversionError

# TFLite Micro adds no more of them in one operator.
MAX_CONCATENATED = 10

Handler = Callable[..., Any]
OPERATORS: dict[str, Handler] = {}


class Node:
    """What an operator is told beside its operands.

    Parameters
    ----------
    proto : the node.
    opset : version of ONNX's operators.
    max_unrolled_steps : recurrent layers of more steps become loops; None for none.
    """

    def __init__(self, proto: onnx.NodeProto, opset: int, max_unrolled_steps: int | None) -> None:
        self.kind: str = proto.op_type
        self.n_outputs = len(proto.output)
        self.opset = opset
        self.max_unrolled_steps = max_unrolled_steps
        self._attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value, text as ``str``."""
        value = self._attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def numbers(self, name: str, operand: Operand | None = None) -> list[int] | None:
        """Integers that newer opsets take as a constant operand and older ones as an attribute."""
        if isinstance(operand, Value):
            raise ConversionError(f"{name} depends on the input: export with fixed lengths")
        if operand is not None:
            return [int(number) for number in operand.reshape(-1)]
        found = self.attribute(name)
        return None if found is None else [int(number) for number in found]


def operator(*kinds: str) -> Callable[[Handler], Handler]:
    """Register a function for operators of these kinds."""

    def register(handler: Handler) -> Handler:
        OPERATORS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


# --- element by element


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


_UNARY: dict[str, Callable[[Any], Any]] = {
    "Abs": tf.abs,
    "Ceil": tf.math.ceil,
    "Cos": tf.cos,
    "Erf": _erf,
    "Exp": tf.exp,
    "Floor": tf.floor,
    "HardSwish": lambda x: x * tf.nn.relu6(x + 3) * (1 / 6),
    "Log": tf.math.log,
    "Mish": lambda x: x * tf.tanh(_softplus(x)),
    "Neg": tf.negative,
    "Not": tf.logical_not,
    "Reciprocal": lambda x: 1 / x,
    "Relu": tf.nn.relu,
    "Round": tf.round,
    "Sigmoid": tf.sigmoid,
    "Sign": tf.sign,
    "Sin": tf.sin,
    "Softplus": lambda x: _softplus(x),
    "Softsign": lambda x: x / (1 + tf.abs(x)),
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


def _softplus(x: Any) -> Any:
    # In a form that does not overflow.
    return tf.nn.relu(x) + tf.math.log(1 + tf.exp(-tf.abs(x)))


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


# --- normalisation


@operator("BatchNormalization")
def _batch_normalization(
    node: Node, x: Value, gamma: Operand, beta: Operand, mean: Operand, variance: Operand
) -> Value:
    gamma, beta, mean, variance = (
        _constant(weights).astype(np.float64) for weights in (gamma, beta, mean, variance)
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
    return x.mapped(normal * _constant(gamma) + _constant(beta))


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


# --- products


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
    pads = _pads(node, x.shape[2:], weights.shape[2:], strides, dilations)
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
    image, padding = _padded(image, pads, weights.shape[2:], strides, dilations)

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
    return _concatenated(parts, axis=-1)


# --- padding and pooling


def _pads(
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
    total = _same_padding(lengths, kernel, strides, dilations)
    smaller, larger = [n // 2 for n in total], [n - n // 2 for n in total]
    return smaller + larger if automatic == "SAME_UPPER" else larger + smaller


def _same_padding(
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


def _padded(
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
    total = _same_padding(image.shape[1:3], kernel, strides, dilations)
    if pads == [n // 2 for n in total] + [n - n // 2 for n in total]:
        return image, "SAME"
    axes = [[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]]
    return tf.pad(image, axes, mode=mode), "VALID"


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
    pads = _pads(node, x.shape[2:], kernel, strides, [1] * spatial)
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
    same = _same_padding(image.shape[1:3], kernel, strides, [1, 1])
    fits = pads == [n // 2 for n in same] + [n - n // 2 for n in same]
    if not fits and any(2 * pad > k for pad, k in zip(pads, kernel * 2, strict=True)):
        raise ConversionError("its padding is wider than half its kernel")
    # Mirrored values stand in the same window already: they change no maximum, and widen no range
    # as the smallest number would.
    image, padding = _padded(image, pads, kernel, strides, [1, 1], mode="SYMMETRIC")
    return tf.nn.max_pool2d(image, kernel, strides, padding)


def _average_pool(
    node: Node, image: Any, kernel: list[int], strides: list[int], pads: list[int]
) -> Any:
    lengths = image.shape[1:3]
    same = _same_padding(lengths, kernel, strides, [1, 1])
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


@operator("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(node: Node, x: Value) -> Value:
    kind = "Max" if node.kind == "GlobalMaxPool" else "Mean"
    return _reduced(x, list(range(2, x.rank)), True, kind)


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
    return _reduced(x, numbers, bool(node.attribute("keepdims", 1)), kind)


def _reduced(x: Value, axes: list[int], keepdims: bool, kind: str) -> Value:
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


# --- shapes


@operator("Reshape")
def _reshape(node: Node, x: Value, shape: Operand) -> Value:
    wanted = node.numbers("shape", shape) or []
    if not node.attribute("allowzero", 0):
        wanted = [x.shape[axis] if n == 0 else n for axis, n in enumerate(wanted)]
    if -1 in wanted:
        known = -int(np.prod(wanted))
        wanted[wanted.index(-1)] = int(np.prod(x.shape)) // known
    return x.reshaped(wanted)


@operator("Flatten")
def _flatten(node: Node, x: Value) -> Value:
    axis = node.attribute("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    return x.reshaped([int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:]))])


@operator("Squeeze")
def _squeeze(node: Node, x: Value, axes: Operand | None = None) -> Value:
    numbers = node.numbers("axes", axes)
    if numbers is None:
        numbers = [axis for axis, length in enumerate(x.shape) if length == 1]
    gone = {axis % x.rank for axis in numbers}
    return x.reshaped([length for axis, length in enumerate(x.shape) if axis not in gone])


@operator("Unsqueeze")
def _unsqueeze(node: Node, x: Value, axes: Operand | None = None) -> Value:
    numbers = node.numbers("axes", axes) or []
    rank = x.rank + len(numbers)
    lengths = list(x.shape)
    for axis in sorted(number % rank for number in numbers):
        lengths.insert(axis, 1)
    return x.reshaped(lengths)


@operator("Transpose")
def _transpose(node: Node, x: Value) -> Value:
    return x.transposed(node.numbers("perm") or list(reversed(range(x.rank))))


@operator("Concat")
def _concat(node: Node, *operands: Operand) -> Value:
    tensors, channels_last = aligned(operands)
    axis = Value(tensors[0], channels_last).axis(node.attribute("axis"))
    return Value(_concatenated(tensors, axis), channels_last)


def _concatenated(tensors: Sequence[Any], axis: int) -> Any:
    tensors = list(tensors)
    while len(tensors) > 1:
        tensors = [
            tf.concat(tensors[start : start + MAX_CONCATENATED], axis)
            for start in range(0, len(tensors), MAX_CONCATENATED)
        ]
    return tensors[0]


@operator("Split")
def _split(node: Node, x: Value, sizes: Operand | None = None) -> list[Value]:
    axis = node.attribute("axis", 0)
    numbers = node.numbers("split", sizes)
    if numbers is None:
        length = x.shape[axis]
        each = -(-length // node.attribute("num_outputs", node.n_outputs))
        numbers = [min(each, length - start) for start in range(0, length, each)]
    return [x.mapped(part) for part in tf.split(x.normalised, numbers, axis=x.axis(axis))]


@operator("Slice")
def _slice(
    node: Node,
    x: Value,
    starts: Operand | None = None,
    ends: Operand | None = None,
    axes: Operand | None = None,
    steps: Operand | None = None,
) -> Value:
    first, last = node.numbers("starts", starts) or [], node.numbers("ends", ends) or []
    along = node.numbers("axes", axes) or list(range(len(first)))
    step = node.numbers("steps", steps) or [1] * len(first)
    slices = [slice(None)] * x.rank
    for axis, start, end, stride in zip(along, first, last, step, strict=True):
        start, end, stride = slice(start, end, stride).indices(x.shape[axis])
        # Backwards to the first one there is no number to end at.
        slices[x.axis(axis)] = slice(start, None if end < 0 else end, stride)
    return x.mapped(x.normalised[tuple(slices)])


@operator("Gather")
def _gather(node: Node, data: Operand, indices: Operand) -> Value:
    axis = node.attribute("axis", 0)
    if not isinstance(data, Value) or not isinstance(indices, np.ndarray):
        return Value(tf.gather(tensor_of(data), tensor_of(indices), axis=axis))
    axis, length = axis % data.rank, data.shape[axis]
    wanted = np.where(indices < 0, indices + length, indices)
    if indices.ndim == 0:
        start, stored = int(wanted), data.axis(axis)
        slices = [slice(None)] * data.rank
        slices[stored] = slice(start, start + 1)
        part = data.mapped(data.normalised[tuple(slices)])
        return part.reshaped([n for a, n in enumerate(data.shape) if a != axis])
    if indices.ndim == 1:
        return data.mapped(tf.gather(data.normalised, tf.constant(wanted), axis=data.axis(axis)))
    return Value(tf.gather(data.onnx, tf.constant(wanted), axis=axis))


@operator("Pad")
def _pad(
    node: Node,
    x: Value,
    pads: Operand | None = None,
    value: Operand | None = None,
    axes: Operand | None = None,
) -> Value:
    numbers = node.numbers("pads", pads) or []
    along = node.numbers("axes", axes) or list(range(x.rank))
    if any(number < 0 for number in numbers):
        raise ConversionError("it cuts off by negative padding: use a slice")
    widths = [[0, 0] for _ in range(x.rank)]
    for axis, before, after in zip(along, numbers, numbers[len(along) :], strict=False):
        widths[x.axis(axis)] = [before, after]
    mode = node.attribute("mode", "constant")
    if mode == "edge" and max(numbers) <= 1:
        return x.mapped(tf.pad(x.normalised, widths, mode="SYMMETRIC"))
    if mode == "reflect":
        return x.mapped(tf.pad(x.normalised, widths, mode="REFLECT"))
    if mode != "constant":
        raise ConversionError(f"TFLite has no {mode} padding: use constant or reflect")
    constant = node.attribute("value", 0.0) if value is None else _constant(value).item()
    return x.mapped(tf.pad(x.normalised, widths, constant_values=constant))


@operator("Expand")
def _expand(node: Node, x: Value, shape: Operand) -> Value:
    wanted = np.broadcast_shapes(x.shape, tuple(node.numbers("shape", shape) or []))
    if wanted == x.shape:
        return x
    return Value(tf.broadcast_to(x.onnx, wanted))


@operator("Tile")
def _tile(node: Node, x: Value, repeats: Operand) -> Value:
    numbers = node.numbers("repeats", repeats) or []
    ordered = [1] * x.rank
    for axis, number in enumerate(numbers):
        ordered[x.axis(axis)] = number
    return x.mapped(tf.tile(x.normalised, ordered))


# --- recurrent layers

_ACTIVATIONS: dict[str, Activation] = {
    "Elu": tf.nn.elu,
    "HardSigmoid": lambda x: tf.minimum(tf.nn.relu(0.2 * x + 0.5), 1.0),
    "Relu": tf.nn.relu,
    "Sigmoid": tf.sigmoid,
    "Softplus": _softplus,
    "Softsign": _UNARY["Softsign"],
    "Tanh": tf.tanh,
}


@operator("GRU")
def _gru(
    node: Node,
    x: Operand,
    kernels: Operand,
    recurrent_kernels: Operand,
    biases: Operand | None = None,
    lengths: Operand | None = None,
    first: Operand | None = None,
) -> list[Value]:
    units = node.attribute("hidden_size")

    def cell(direction: int) -> Cell:
        kernel, recurrent_kernel, bias = _weights(kernels, recurrent_kernels, biases, direction)
        gates, candidate = _functions(node, direction, ["Sigmoid", "Tanh"])
        return GRUCell.with_biases(
            kernel,
            recurrent_kernel,
            bias[: 3 * units],
            bias[3 * units :],
            reset_after=bool(node.attribute("linear_before_reset", 0)),
            activation=candidate,
            recurrent_activation=gates,
        )

    return _recurrent(node, x, cell, lengths, [first])[:2]


@operator("LSTM")
def _lstm(
    node: Node,
    x: Operand,
    kernels: Operand,
    recurrent_kernels: Operand,
    biases: Operand | None = None,
    lengths: Operand | None = None,
    first: Operand | None = None,
    first_memory: Operand | None = None,
    peepholes: Operand | None = None,
) -> list[Value]:
    if (peepholes is not None and np.any(_constant(peepholes))) or node.attribute("input_forget"):
        raise ConversionError("peepholes and coupled gates are not supported")
    units = node.attribute("hidden_size")

    def cell(direction: int) -> Cell:
        kernel, recurrent_kernel, bias = (
            # i, o, f, g as i, f, o, g
            np.concatenate([np.split(w, 4, axis=-1)[gate] for gate in (0, 2, 1, 3)], axis=-1)
            for w in _weights(kernels, recurrent_kernels, biases, direction, split=4 * units)
        )
        gates, candidate, output = _functions(node, direction, ["Sigmoid", "Tanh", "Tanh"])
        return LSTMCell(kernel, recurrent_kernel, bias, candidate, gates, output)

    return _recurrent(node, x, cell, lengths, [first, first_memory])


def _weights(
    kernels: Operand,
    recurrent_kernels: Operand,
    biases: Operand | None,
    direction: int,
    split: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kernel, recurrent kernel and bias of one direction; with ``split`` its halves are added."""
    kernel, recurrent_kernel = (
        _constant(kernels)[direction].T,
        _constant(recurrent_kernels)[direction].T,
    )
    if biases is None:
        bias = np.zeros(2 * kernel.shape[1], np.float32)
    else:
        bias = _constant(biases)[direction]
    return kernel, recurrent_kernel, bias if split is None else bias[:split] + bias[split:]


def _functions(node: Node, direction: int, defaults: list[str]) -> list[Activation]:
    if node.attribute("activation_alpha") or node.attribute("activation_beta"):
        raise ConversionError("activations with parameters of their own are not supported")
    names = [
        name.decode() if isinstance(name, bytes) else name
        for name in node.attribute("activations") or []
    ]
    count = len(defaults)
    chosen = names[direction * count : (direction + 1) * count] or defaults
    unknown = [name for name in chosen if name not in _ACTIVATIONS]
    if unknown:
        raise ConversionError(f"activation {unknown[0]} is not supported")
    return [_ACTIVATIONS[name] for name in chosen]


def _recurrent(
    node: Node,
    x: Operand,
    cell: Callable[[int], Cell],
    lengths: Operand | None,
    first: Sequence[Operand | None],
) -> list[Value]:
    """Run the directions of a recurrent operator: all states, and each part of the last one."""
    if not isinstance(x, Value):
        raise ConversionError("its input is a constant")
    steps, batch, features = x.shape
    if node.attribute("layout", 0) or batch != 1:
        raise ConversionError(
            f"it takes a batch of {batch}: expected steps, a batch of 1, features"
        )
    if node.attribute("clip"):
        raise ConversionError("clipped states are not supported")
    if lengths is not None and not np.array_equal(_constant(lengths).reshape(-1), [steps]):
        raise ConversionError("it stops before the last step: export it without lengths")
    sequence = tf.reshape(x.onnx, (1, steps, features))
    direction = node.attribute("direction", "forward")
    in_loop = node.max_unrolled_steps is not None and steps > node.max_unrolled_steps
    sequences, lasts = [], []
    for index, reverse in enumerate(
        {"forward": [False], "reverse": [True]}.get(direction, [False, True])
    ):
        initial: State | None = None
        if any(part is not None for part in first):
            initial = tuple(
                tf.reshape(tensor_of(part)[index], (1, -1)) if part is not None
                else tf.zeros((1, node.attribute("hidden_size")))
                for part in first
            )  # fmt: skip
        run = loop if in_loop else write_out
        outputs, state = run(cell(index), sequence, initial=initial, reverse=reverse)
        sequences.append(_in_time_order(outputs, reverse=reverse))
        lasts.append(state)
    units = node.attribute("hidden_size")
    every = Value(tf.reshape(_concatenated(sequences, -1), (steps, len(sequences), 1, units)))
    parts = [
        Value(tf.reshape(_concatenated(parts, 0), (len(sequences), 1, units)))
        for parts in zip(*lasts, strict=True)
    ]
    return [every, *parts]


def _in_time_order(outputs: Any, *, reverse: bool) -> Any:
    """Outputs in the order of computation as (1, steps, units), first step first."""
    if isinstance(outputs, list):
        return tf.stack(outputs[::-1] if reverse else outputs, axis=1)
    return outputs[:, ::-1] if reverse else outputs


def _constant(operand: Operand) -> np.ndarray:
    if isinstance(operand, Value):
        raise ConversionError("its weights depend on the input, expected constants")
    return operand
