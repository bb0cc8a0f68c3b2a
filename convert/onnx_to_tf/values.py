"""Tensors of an ONNX graph on their way through TensorFlow.

ONNX keeps channels on axis 1, TFLite on the last one. A ``Value`` remembers which order its tensor
is stored in, so that a chain of convolutions is transposed at its ends alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from edge_genre.errors import ConversionError

Shape = tuple[int, ...]

# TFLite Micro adds no more of them in one operator.
MAX_CONCATENATED = 10


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor that depends on the input of the graph.

    Parameters
    ----------
    stored : the tensor, with all lengths known.
    channels_last : stored as (batch, ..., channels), for ONNX's (batch, channels, ...).
    scale, shift : (channels,) float32, applied to ``stored`` by whoever reads it: a batch
        normalisation waits here, for the next convolution or dense layer may take it in.
    rescaled : makes the same value with its channels multiplied by positive factors, (channels,)
        float32, at no cost: a layer before takes them into its weights. None where none can.
    """

    stored: Any
    channels_last: bool = False
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None
    rescaled: Callable[[np.ndarray], Value] | None = None

    @property
    def shape(self) -> Shape:
        """In ONNX's order."""
        lengths = tuple(self.stored.shape)
        if not self.channels_last:
            return lengths
        return (lengths[0], lengths[-1], *lengths[1:-1])

    @property
    def rank(self) -> int:
        return len(self.stored.shape)

    @cached_property
    def normalised(self) -> Any:
        """The tensor as stored, with scale and shift."""
        if self.scale is None or self.shift is None:
            return self.stored
        axis = -1 if self.channels_last else 1
        lengths = [1] * self.rank
        lengths[axis] = -1
        return self.stored * self.scale.reshape(lengths) + self.shift.reshape(lengths)

    @cached_property
    def onnx(self) -> Any:
        """The tensor in ONNX's order."""
        if not self.channels_last:
            return self.normalised
        return permute(self.normalised, (0, self.rank - 1, *range(1, self.rank - 1)))

    def with_channels_last(self) -> Value:
        """The same value, stored channels-last; of rank 3 or more."""
        if self.channels_last:
            return self
        moved = permute(self.stored, (0, *range(2, self.rank), 1))
        return replace(self, stored=moved, channels_last=True)

    def axis(self, axis: int) -> int:
        """Where an axis of ONNX's order is stored."""
        axis %= self.rank
        if not self.channels_last or axis == 0:
            return axis
        return self.rank - 1 if axis == 1 else axis - 1

    def mapped(self, tensor: Any) -> Value:
        """Another tensor of the same order, computed from ``normalised``."""
        return Value(tensor, self.channels_last)

    def through(self, function: Callable[[Value], Value]) -> Value:
        """Apply a function for which f(a x) = a f(x) in each channel, for all positive a."""
        rescaled, result = self.rescaled, function(self)
        if rescaled is None:
            return result
        return replace(result, rescaled=lambda factors: rescaled(factors).through(function))

    def reshaped(self, shape: Sequence[int]) -> Value:
        """Reshape, without a transpose and keeping scale and shift where the channels stay."""
        shape = tuple(int(length) for length in shape)
        if shape == self.shape:
            return self
        channels_stay = len(shape) >= 2 and shape[:2] == self.shape[:2]
        if channels_stay and (
            not self.channels_last or _without_ones(shape[2:]) == _without_ones(self.shape[2:])
        ):
            last = self.channels_last and len(shape) > 2
            stored = (shape[0], *shape[2:], shape[1]) if last else shape
            return replace(self, stored=tf.reshape(self.stored, stored), channels_last=last)
        return Value(tf.reshape(self.onnx, shape))

    def transposed(self, order: Sequence[int]) -> Value:
        """Permute the axes of ONNX's order."""
        order = tuple(axis % self.rank for axis in order)
        if not self.channels_last and order == (0, self.rank - 1, *range(1, self.rank - 1)):
            return Value(self.normalised, channels_last=self.rank > 2)
        return Value(permute(self.normalised, tuple(self.axis(axis) for axis in order)))


Operand = Value | np.ndarray


def tensor_of(operand: Operand) -> Any:
    """A value or a constant as a tensor in ONNX's order."""
    return operand.onnx if isinstance(operand, Value) else tf.constant(operand)


def constant(operand: Operand) -> np.ndarray:
    """Weights, which must not depend on the input."""
    if isinstance(operand, Value):
        raise ConversionError("its weights depend on the input, expected constants")
    return operand


def aligned(operands: Sequence[Operand]) -> tuple[list[Any], bool]:
    """Bring the operands of an elementwise operator into one order of axes.

    Returns
    -------
    Tensors that broadcast, and whether they are channels-last.
    """
    rank = max(len(operand.shape) for operand in operands)
    channels_last = any(
        isinstance(operand, Value) and operand.channels_last and operand.rank == rank
        for operand in operands
    )
    if not channels_last:
        return [tensor_of(operand) for operand in operands], False
    tensors = []
    for operand in operands:
        if isinstance(operand, Value) and operand.rank == rank:
            tensors.append(operand.with_channels_last().normalised)
            continue
        filled = (1,) * (rank - len(operand.shape)) + tuple(operand.shape)
        if isinstance(operand, Value):
            tensors.append(Value(tf.reshape(operand.onnx, filled)).with_channels_last().stored)
        else:
            tensors.append(tf.constant(np.moveaxis(operand.reshape(filled), 1, -1)))
    return tensors, True


def concatenated(tensors: Sequence[Any], axis: int) -> Any:
    """Join tensors along an axis, by no more at a time than every engine takes."""
    tensors = list(tensors)
    while len(tensors) > 1:
        tensors = [
            tf.concat(tensors[start : start + MAX_CONCATENATED], axis)
            for start in range(0, len(tensors), MAX_CONCATENATED)
        ]
    return tensors[0]


def permute(tensor: Any, order: Sequence[int]) -> Any:
    """Transpose, or reshape where only axes of length 1 move."""
    if tuple(order) == tuple(range(len(order))):
        return tensor
    moving = [axis for axis in order if tensor.shape[axis] != 1]
    if moving == sorted(moving):
        return tf.reshape(tensor, [tensor.shape[axis] for axis in order])
    return tf.transpose(tensor, order)


def _without_ones(shape: Sequence[int]) -> list[int]:
    return [length for length in shape if length != 1]
