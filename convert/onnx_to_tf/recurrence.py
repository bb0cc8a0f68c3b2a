"""Recurrent operators, by way of `edge_genre.convert.tflite.recurrent`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from edge_genre.convert.onnx_to_tf.elementwise import softplus, softsign
from edge_genre.convert.onnx_to_tf.registry import Node, operator
from edge_genre.convert.onnx_to_tf.values import Operand, Value, concatenated, constant, tensor_of
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

_ACTIVATIONS: dict[str, Activation] = {
    "Elu": tf.nn.elu,
    "HardSigmoid": lambda x: tf.minimum(tf.nn.relu(0.2 * x + 0.5), 1.0),
    "Relu": tf.nn.relu,
    "Sigmoid": tf.sigmoid,
    "Softplus": softplus,
    "Softsign": softsign,
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
    if (peepholes is not None and np.any(constant(peepholes))) or node.attribute("input_forget"):
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
        constant(kernels)[direction].T,
        constant(recurrent_kernels)[direction].T,
    )
    if biases is None:
        bias = np.zeros(2 * kernel.shape[1], np.float32)
    else:
        bias = constant(biases)[direction]
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
    if lengths is not None and not np.array_equal(constant(lengths).reshape(-1), [steps]):
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
    every = Value(tf.reshape(concatenated(sequences, -1), (steps, len(sequences), 1, units)))
    parts = [
        Value(tf.reshape(concatenated(parts, 0), (len(sequences), 1, units)))
        for parts in zip(*lasts, strict=True)
    ]
    return [every, *parts]


def _in_time_order(outputs: Any, *, reverse: bool) -> Any:
    """Outputs in the order of computation as (1, steps, units), first step first."""
    if isinstance(outputs, list):
        return tf.stack(outputs[::-1] if reverse else outputs, axis=1)
    return outputs[:, ::-1] if reverse else outputs
