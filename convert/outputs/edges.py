"""Thresholds in the unit of a graph's outputs, for what compares those and no probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable

from edge_genre.task import Task

# The nearest below 1 that a sigmoid in single precision rounds to 1.
_SURE = 1 - 2.0**-25


def edges(task: Task, meaning: str) -> tuple[float, ...]:
    """From which outputs of a graph on each label holds.

    Parameters
    ----------
    task : whose labels have thresholds
    meaning : what the outputs are, one of `edge_genre.choices.OUTPUTS`
    """
    return tuple(map(_INVERSE[task.operator(meaning)], task.thresholds))


def _logit(p: float) -> float:
    p = min(p, _SURE)
    return math.log(p) - math.log1p(-p)


# By the operator that makes probabilities of the outputs.
_INVERSE: dict[str | None, Callable[[float], float]] = {
    None: float,
    "sigmoid": _logit,
    "exponential": math.log,
}
