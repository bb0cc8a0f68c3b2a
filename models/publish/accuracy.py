"""What a model file says of its accuracy, by the class of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from edge_genre.benchmarks.accuracy.evaluation import Estimate, Evaluation, Track
from edge_genre.benchmarks.accuracy.multi_label import MultiLabelEvaluation

Row = dict[str, Any]


@singledispatch
def rightness(found: Any) -> float:
    """What the best form of a model has most of."""
    raise TypeError(f"no figures of {type(found).__name__}")


@singledispatch
def figures(found: Any, tracks: Sequence[Track]) -> list[Row]:
    """Rows for the file, by the evaluation of some tracks."""
    raise TypeError(f"no figures of {type(found).__name__}")


@rightness.register
def _(found: Evaluation) -> float:
    return found.windows_correct + found.tracks_correct


@figures.register
def _(found: Evaluation, tracks: Sequence[Track]) -> list[Row]:
    """A row for windows, and one for tracks."""
    rows = []
    for unit in ("window", "track"):
        share: Estimate = getattr(found, f"{unit}_accuracy")
        rows.append(
            {
                "unit": unit,
                "n": getattr(found, f"{unit}s"),
                "correct": getattr(found, f"{unit}s_correct"),
                "low": round(share.low, 4),
                "high": round(share.high, 4),
                "calibration_error": round(getattr(found, f"{unit}_calibration_error"), 4),
            }
        )
    return rows


@rightness.register
def _(found: MultiLabelEvaluation) -> float:
    return found.macro_average_precision.value


@figures.register
def _(found: MultiLabelEvaluation, tracks: Sequence[Track]) -> list[Row]:
    """One row for tracks, of which those are correct that are given all their labels, no others."""
    given = [frozenset(track.task.decide(track.mean)) for track in tracks]
    row: Row = {
        "unit": "track",
        "n": found.tracks,
        "correct": sum(said == track.truth for said, track in zip(given, tracks, strict=True)),
    }
    for name in ("macro_average_precision", "micro_average_precision", "macro_f1"):
        value: Estimate = getattr(found, name)
        row[name] = [round(each, 4) for each in (value.value, value.low, value.high)]
    return [row]
