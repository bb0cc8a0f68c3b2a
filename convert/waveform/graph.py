"""What the front end needs of a graph, whatever its format."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.waveform.spectra import frames, power_spectra
from edge_genre.frontend.framed import Framed
from edge_genre.frontend.graph import Value

# Filters that are multiplied together: more would store and multiply more zeros, fewer would cost
# more calls.
_BANDS = 8
# What power spectra of a window depend on.
_CUT = [name for name in Framed.__annotations__ if name != "power"]


class Writer(ABC):
    """Adds operators to a graph. It knows shapes; a format knows how an operator is written.

    It is what front ends are written with: see `edge_genre.frontend.graph.Writer`.
    """

    def __init__(self) -> None:
        self._spectra: dict[tuple[Any, ...], Value] = {}

    @abstractmethod
    def constant(self, values: Any) -> Value:
        """Store an array as float32."""

    @abstractmethod
    def _pad(self, value: Value, pads: list[tuple[int, int]], reflect: bool) -> Any: ...

    @abstractmethod
    def _slice(self, value: Value, begin: Sequence[int], shape: Sequence[int]) -> Any: ...

    @abstractmethod
    def _reshape(self, value: Value, shape: tuple[int, ...]) -> Any: ...

    @abstractmethod
    def _transpose(self, value: Value, order: tuple[int, ...]) -> Any: ...

    @abstractmethod
    def _concat(self, values: Sequence[Value], axis: int, shape: tuple[int, ...]) -> Any: ...

    @abstractmethod
    def _reduce(self, what: str, value: Value, axis: int, shape: tuple[int, ...]) -> Any: ...

    @abstractmethod
    def _dense(self, value: Value, weights: NDArray[np.float32], shape: tuple[int, ...]) -> Any: ...

    @abstractmethod
    def _elementwise(self, what: str, values: Sequence[Value], shape: tuple[int, ...]) -> Any: ...

    def spectra(self, spec: Framed, samples: Value) -> Value:
        """The spectra of a window's frames [shape=(n_frames, 1 + n_fft // 2)]."""
        # Front ends of several inputs often cut the same frames, and differ in what follows.
        cut = tuple(getattr(spec, name) for name in _CUT)
        if cut not in self._spectra:
            self._spectra[cut] = power_spectra(self, frames(self, spec, samples))
        power = self._spectra[cut]
        return self.root(power) if spec.power == 1 else power

    def filtered(self, spectra: Value, filters: NDArray[Any]) -> Value:
        """Multiply the last axis by filters that are mostly zeros [shape=(out, in)]."""
        banded = [
            self.dense(self.part(spectra, first, first + len(weights)), weights)
            for first, weights in _banded(filters)
        ]
        return self.concat(banded, axis=len(spectra.shape) - 1)

    def pad(self, value: Value, before: int, after: int, *, reflect: bool = False) -> Value:
        """Lengthen the last axis, by zeros or by a reflection without the outermost sample."""
        if not (before or after):
            return value
        *front, last = value.shape
        pads = [(0, 0)] * len(front) + [(before, after)]
        return Value(self._pad(value, pads, reflect), (*front, before + last + after))

    def slice(self, value: Value, begin: Sequence[int], shape: Sequence[int]) -> Value:
        """Take a part of every axis."""
        if tuple(shape) == value.shape:
            return value
        return Value(self._slice(value, begin, shape), tuple(shape))

    def part(self, value: Value, first: int, stop: int, *, axis: int = -1) -> Value:
        """Take a part of one axis."""
        begin, shape = [0] * len(value.shape), list(value.shape)
        begin[axis], shape[axis] = first, stop - first
        return self.slice(value, begin, shape)

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """Give the same values another shape."""
        assert math.prod(shape) == math.prod(value.shape)
        if tuple(shape) == value.shape:
            return value
        return Value(self._reshape(value, tuple(shape)), tuple(shape))

    def transpose(self, value: Value, *order: int) -> Value:
        """Put the axes into another order."""
        return Value(self._transpose(value, order), tuple(value.shape[axis] for axis in order))

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Join along an axis that exists."""
        if len(values) == 1:
            return values[0]
        shape = list(values[0].shape)
        shape[axis] = sum(value.shape[axis] for value in values)
        return Value(self._concat(values, axis, tuple(shape)), tuple(shape))

    def over(self, what: str, value: Value, axis: int) -> Value:
        """``"max"``, ``"min"`` or ``"mean"`` along an axis, which becomes one of length 1."""
        if value.shape[axis] == 1:
            return value
        shape = (*value.shape[:axis], 1, *value.shape[axis + 1 :])
        return Value(self._reduce(what, value, axis, shape), shape)

    def over_all(self, what: str, value: Value) -> Value:
        """``"max"``, ``"min"`` or ``"mean"`` of all values, with axes of length 1.

        Axis after axis: a float32 sum over a whole window would lose digits.
        """
        for axis in reversed(range(len(value.shape))):
            value = self.over(what, value, axis)
        return value

    def dense(self, value: Value, weights: NDArray[Any]) -> Value:
        """Multiply the last axis by constant weights [shape=(in, out)]."""
        shape = (*value.shape[:-1], weights.shape[1])
        return Value(self._dense(value, weights.astype(np.float32), shape), shape)

    def add(self, one: Value, other: Value | Any) -> Value:
        """Sum."""
        return self._binary("add", one, other)

    def subtract(self, one: Value, other: Value | Any) -> Value:
        """Difference."""
        return self._binary("subtract", one, other)

    def multiply(self, one: Value, other: Value | Any) -> Value:
        """Product."""
        return self._binary("multiply", one, other)

    def divide(self, one: Value, other: Value | Any) -> Value:
        """Quotient."""
        return self._binary("divide", one, other)

    def maximum(self, one: Value, other: Value | Any) -> Value:
        """The larger of two."""
        return self._binary("maximum", one, other)

    def square(self, value: Value) -> Value:
        """Value times itself."""
        return self._binary("multiply", value, value)

    def root(self, value: Value) -> Value:
        """Square root."""
        return Value(self._elementwise("root", [value], value.shape), value.shape)

    def log(self, value: Value) -> Value:
        """Natural logarithm."""
        return Value(self._elementwise("log", [value], value.shape), value.shape)

    def exp(self, value: Value) -> Value:
        """Exponential function."""
        return Value(self._elementwise("exp", [value], value.shape), value.shape)

    def scaled_to_one(self, value: Value) -> Value:
        """Divide by the sum, so that values that were rounded to 8 bits add up to 1 again."""
        count = math.prod(value.shape)
        total = self.multiply(self.over_all("mean", value), np.full([1] * len(value.shape), count))
        return self.divide(value, self.maximum(total, np.full([1] * len(value.shape), 1e-6)))

    def _binary(self, what: str, one: Value, other: Value | Any) -> Value:
        if not isinstance(other, Value):
            other = self.constant(other)
        shape = np.broadcast_shapes(one.shape, other.shape)
        return Value(self._elementwise(what, [one, other], shape), shape)


def _banded(filters: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """The filters in groups: each group's first bin, and weights [shape=(bins, bands)]."""
    for first in range(0, len(filters), _BANDS):
        group = filters[first : first + _BANDS]
        used = np.flatnonzero(group.any(axis=0))
        begin, stop = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        yield begin, group[:, begin:stop].T
