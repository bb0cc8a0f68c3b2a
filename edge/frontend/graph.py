"""What a front end needs of a graph that it becomes a part of, whatever the graph's format.

`edge_genre.convert.waveform` has the writers; a device needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from edge_genre.frontend.framed import Framed


@dataclass(frozen=True)
class Value:
    """A float32 tensor of the graph: how the format calls it, and its shape."""

    key: Any
    shape: tuple[int, ...]


class Writer(Protocol):
    """Adds operators to a graph. A second operand may be an array, which becomes a constant."""

    def spectra(self, spec: Framed, samples: Value) -> Value:
        """The spectra of a window's frames [shape=(n_frames, 1 + n_fft // 2)]."""

    def filtered(self, spectra: Value, filters: NDArray[Any]) -> Value:
        """Multiply the last axis by filters that are mostly zeros [shape=(out, in)]."""

    def dense(self, value: Value, weights: NDArray[Any]) -> Value:
        """Multiply the last axis by constant weights [shape=(in, out)]."""

    def pad(self, value: Value, before: int, after: int, *, reflect: bool = False) -> Value:
        """Lengthen the last axis, by zeros or by a reflection without the outermost sample."""

    def part(self, value: Value, first: int, stop: int, *, axis: int = -1) -> Value:
        """Take a part of one axis."""

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """Give the same values another shape."""

    def transpose(self, value: Value, *order: int) -> Value:
        """Put the axes into another order."""

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Join along an axis that exists."""

    def over(self, what: str, value: Value, axis: int) -> Value:
        """``"max"``, ``"min"`` or ``"mean"`` along an axis, which becomes one of length 1."""

    def over_all(self, what: str, value: Value) -> Value:
        """``"max"``, ``"min"`` or ``"mean"`` of all values, with axes of length 1."""

    def add(self, one: Value, other: Value | Any) -> Value:
        """Sum."""

    def subtract(self, one: Value, other: Value | Any) -> Value:
        """Difference."""

    def multiply(self, one: Value, other: Value | Any) -> Value:
        """Product."""

    def divide(self, one: Value, other: Value | Any) -> Value:
        """Quotient."""

    def maximum(self, one: Value, other: Value | Any) -> Value:
        """The larger of two."""

    def square(self, value: Value) -> Value:
        """Value times itself."""

    def root(self, value: Value) -> Value:
        """Square root."""

    def log(self, value: Value) -> Value:
        """Natural logarithm."""

    def exp(self, value: Value) -> Value:
        """Exponential function."""
