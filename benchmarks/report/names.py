"""What a report calls the runs of a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from edge_genre.benchmarks.latency.result import Run
from edge_genre.benchmarks.text import counted
from edge_genre.task import noun_of_all

_Thing = TypeVar("_Thing")

_DIFFERENCES: tuple[Callable[[Run], str], ...] = (
    lambda run: run.device,
    lambda run: run.engine,
    lambda run: counted(run.threads, "thread"),
    lambda run: run.weights,
)


def run_names(runs: Sequence[Run]) -> list[str]:
    """Tell runs apart: by the file alone, or with as little more as that takes."""
    found = [run.file for run in runs]
    for difference in _DIFFERENCES:
        for name in {name for name in found if found.count(name) > 1}:
            alike = [index for index, other in enumerate(found) if other == name]
            if len({difference(runs[index]) for index in alike}) > 1:
                for index in alike:
                    found[index] = f"{name}, {difference(runs[index])}"
    return [
        f"{name}, no. {found[: index + 1].count(name)}" if found.count(name) > 1 else name
        for index, name in enumerate(found)
    ]


def once(things: Sequence[_Thing], key: Callable[[_Thing], Hashable]) -> list[_Thing]:
    """The first of those that are alike."""
    return list({key(thing): thing for thing in reversed(things)}.values())[::-1]


def noun_of(runs: Sequence[Run]) -> str:
    """What the models' labels are, if they agree about that."""
    return noun_of_all(run.noun for run in runs)
