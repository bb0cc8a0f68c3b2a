"""Operators that move values without computing: reshaping, joining, cutting and padding."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from edge_genre.convert.onnx_to_tf.registry import Node, operator
from edge_genre.convert.onnx_to_tf.values import (
    Operand,
    Value,
    aligned,
    concatenated,
    constant,
    tensor_of,
)
from edge_genre.errors import ConversionError


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
    return Value(concatenated(tensors, axis), channels_last)


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
    filling = node.attribute("value", 0.0) if value is None else constant(value).item()
    return x.mapped(tf.pad(x.normalised, widths, constant_values=filling))


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
