"""What a report says of accuracy, of whichever kind of task it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_genre.benchmarks.accuracy.evaluation import Estimate, wilson
from edge_genre.benchmarks.latency.result import Accuracy, AnyAccuracy, LabelAccuracy, TimedRun
from edge_genre.benchmarks.text import share, size

Scored = tuple[TimedRun, AnyAccuracy]
_Cell = Callable[[tuple[TimedRun, Any]], str]


@dataclass(frozen=True)
class Words:
    """How a kind of accuracy is shown.

    Parameters
    ----------
    figure : name of the figure that models are compared by
    estimate : that figure, with its interval
    columns : of a table
    """

    figure: str
    estimate: Callable[[Any], Estimate]
    columns: Mapping[str, _Cell]


def words_of(found: AnyAccuracy) -> Words:
    """How this kind of accuracy is shown."""
    return _WORDS[type(found)]


def figure_of(found: AnyAccuracy | None, name: str) -> str:
    """The figure of this name; empty for what has another one, or none."""
    if found is None or words_of(found).figure != name:
        return ""
    return share(words_of(found).estimate(found).value)


def _counts(correct: int, of: int) -> str:
    return f"{correct:,} of {of:,} ({share(correct / of)})"


def _interval(scored: Scored) -> str:
    found = words_of(scored[1]).estimate(scored[1])
    return f"{100 * found.low:.1f} to {share(found.high)}"


def _agreement(scored: Scored) -> str:
    agreement = scored[1].agreement
    return share(agreement.same / agreement.windows) if agreement else ""


RIGHT, PRECISION = "tracks right", "average precision"
_WORDS: dict[type, Words] = {
    Accuracy: Words(
        RIGHT,
        lambda found: wilson(found.tracks_correct, found.tracks),
        {
            "size": lambda of: size(of[0].bytes),
            RIGHT: lambda of: _counts(of[1].tracks_correct, of[1].tracks),
            "interval": _interval,
            "windows right": lambda of: _counts(of[1].windows_correct, of[1].windows),
            "same as in fp32": _agreement,
        },
    ),
    LabelAccuracy: Words(
        PRECISION,
        lambda found: Estimate(found.average_precision, found.low, found.high),
        {
            "size": lambda of: size(of[0].bytes),
            PRECISION: lambda of: share(of[1].average_precision),
            "interval": _interval,
            "tracks": lambda of: f"{of[1].tracks:,}",
            "labels": lambda of: f"{of[1].labels:,}",
            "same as in fp32": _agreement,
        },
    ),
}
