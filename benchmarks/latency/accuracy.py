"""How right a model is, in the one figure that its task is compared by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_genre.benchmarks.accuracy.evaluation import Track, count
from edge_genre.benchmarks.accuracy.multi_label import evaluate_labels
from edge_genre.benchmarks.latency.result import Accuracy, AnyAccuracy, LabelAccuracy
from edge_genre.task import Task


def accuracy_of(
    tracks: Sequence[Track], labels: Sequence[str], task: Task, data: str
) -> AnyAccuracy:
    """Tracks and windows that are right, or of many labels mean average precision.

    Parameters
    ----------
    tracks : one or more
    labels, task : of the model
    data : name of the music
    """
    return _FIGURES[task.kind](tracks, labels, task, data)


def _right(tracks: Sequence[Track], labels: Sequence[str], task: Task, data: str) -> AnyAccuracy:
    found = count(tracks)
    return Accuracy(
        data=data,
        tracks=found.tracks,
        tracks_correct=found.tracks_correct,
        windows=found.windows,
        windows_correct=found.windows_correct,
        agreement=None,
    )


def _ranked(tracks: Sequence[Track], labels: Sequence[str], task: Task, data: str) -> AnyAccuracy:
    found = evaluate_labels(tracks, labels, task)
    precision = found.macro_average_precision
    return LabelAccuracy(
        data=data,
        tracks=found.tracks,
        windows=found.windows,
        labels=found.labels_measured,
        average_precision=precision.value,
        low=precision.low,
        high=precision.high,
        agreement=None,
    )


# By the names in `edge_genre.task.KINDS`.
_FIGURES: dict[str, Callable[[Sequence[Track], Sequence[str], Task, str], AnyAccuracy]] = {
    "single_label": _right,
    "multi_label": _ranked,
}
