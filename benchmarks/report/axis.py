"""Scales of charts, and the round values on them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A scale from one value to another.

    Parameters
    ----------
    low, high : its ends; positive where it is logarithmic
    log : whether equal distances are equal ratios
    marks : what to mark on it; round values where it is left out
    """

    low: float
    high: float
    log: bool = False
    marks: tuple[float, ...] = ()

    @classmethod
    def from_zero(cls, values: Iterable[float]) -> Axis:
        """Make a linear axis from 0 to the round value above all."""
        highest = max(values) or 1.0
        step = _step(highest)
        return cls(0.0, step * math.ceil(highest / step - 1e-9))

    @classmethod
    def around(cls, values: Sequence[float], margin: float = 1.05) -> Axis:
        """Make a logarithmic axis over positive values, with a factor to spare at its ends."""
        return cls(min(values) / margin, max(values) * margin, log=True)

    def percent(self, value: float) -> float:
        """Where a value is on the axis, in percent; one beyond an end is at the end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return 100 * math.log(value / self.low) / math.log(self.high / self.low)
        return 100 * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Values to mark; round ones are three to seven."""
        if self.marks:
            return list(self.marks)
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)))
            for factors in ((1, 1.5, 2, 3, 4, 6, 8), (1, 2, 5), (1, 3), (1,)):
                found = [factor * 10.0**power for power in powers for factor in factors]
                found = [value for value in found if self.low <= value <= self.high]
                if 3 <= len(found) <= 7:
                    return found
        step = _step(self.high - self.low)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def _step(span: float) -> float:
    """A round distance that fits into a span from three to seven times."""
    power = 10.0 ** math.floor(math.log10(span / 3) + 1e-9)
    return power * max(factor for factor in (1, 2, 5) if factor * power <= span / 3 * (1 + 1e-9))


def tick(value: float) -> str:
    """Write a round value."""
    return f"{value:,.10g}"  # hides that 3 * 0.1 is not 0.3
