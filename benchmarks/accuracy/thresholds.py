"""From which probability on a label holds: chosen on labelled data, one threshold a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.accuracy.evaluation import Track
from edge_genre.benchmarks.accuracy.multi_label import MultiLabelEvaluation, targets
from edge_genre.host.record import Record
from edge_genre.task import Task


@dataclass(frozen=True)
class ThresholdChoice(Record):
    """Thresholds that were chosen on labelled tracks, and F1 on those same tracks.

    Of other music F1 is lower than after the choice, which knew the answers.

    Parameters
    ----------
    data, tracks : what they were chosen on
    changed : threshold before and after, by label
    kept : labels whose threshold stays, since no other one gives a higher F1
    unmeasured : labels whose threshold stays, since no track or every track has them
    macro_f1_before, macro_f1_after, micro_f1_before, micro_f1_after : see `MultiLabelEvaluation`
    """

    data: str
    tracks: int
    changed: dict[str, tuple[float, float]]
    kept: tuple[str, ...]
    unmeasured: tuple[str, ...]
    macro_f1_before: float
    macro_f1_after: float
    micro_f1_before: float
    micro_f1_after: float

    @classmethod
    def between(cls, before: MultiLabelEvaluation, after: MultiLabelEvaluation, data: str) -> Self:
        """What changed from one evaluation of the same tracks to the other."""
        pairs = {
            old.label: (old.threshold, new.threshold)
            for old, new in zip(before.labels, after.labels, strict=True)
            if old.average_precision is not None
        }
        return cls(
            data=data,
            tracks=after.tracks,
            changed={label: pair for label, pair in pairs.items() if pair[0] != pair[1]},
            kept=tuple(label for label, pair in pairs.items() if pair[0] == pair[1]),
            unmeasured=before.without_positive + before.without_negative,
            macro_f1_before=before.macro_f1.value,
            macro_f1_after=after.macro_f1.value,
            micro_f1_before=before.micro_f1.value,
            micro_f1_after=after.micro_f1.value,
        )


def with_best_thresholds(tracks: Sequence[Track], task: Task) -> Task:
    """The task with the thresholds that suit labelled tracks best; see `best_thresholds`."""
    scores = np.stack([track.mean for track in tracks])
    truth = targets(tracks, scores.shape[1])
    return replace(task, thresholds=best_thresholds(scores, truth, task.thresholds))


def best_thresholds(
    scores: NDArray[np.float32], truth: NDArray[np.bool_], before: Sequence[float]
) -> tuple[float, ...]:
    """The threshold of each label that gives the highest F1 on these tracks.

    It lies between two scores, in the middle or on a rounder number near it; of several that give
    the same F1 the highest is taken. A threshold stays as it is where no other one gives a higher
    F1, and where no track or every track is of the label, of which nothing can be learned.

    Parameters
    ----------
    scores : probabilities of tracks, in 0..1 [shape=(tracks, labels)]
    truth : which labels a track has [shape=(tracks, labels)]
    before : the thresholds so far, above 0 and up to 1, one a label
    """
    return tuple(
        _best(column, of_label, threshold) if of_label.any() and not of_label.all() else threshold
        for column, of_label, threshold in zip(scores.T, truth.T, before, strict=True)
    )


def f1_scores(said: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """F1 of each label [shape=(labels,)]; 0 where a label is neither said nor true.

    Parameters
    ----------
    said, truth : which labels a track is given, and has [shape=(tracks, labels)]
    """
    right = (said & truth).sum(axis=0)
    return 2 * right / np.maximum(said.sum(axis=0) + truth.sum(axis=0), 1)


def _best(scores: NDArray[np.float32], truth: NDArray[np.bool_], before: float) -> float:
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    # A threshold takes all rows of a score or none, and none with a score of 0.
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True) & (falling > 0))
    f1 = 2 * np.cumsum(truth[order])[last] / (last + 1 + truth.sum())
    so_far = f1_scores((scores >= np.float32(before))[:, None], truth[:, None])[0]
    if f1.max(initial=0) <= so_far:
        return before
    end = last[f1.argmax()]
    below = falling[end + 1] if end + 1 < len(falling) else 0.0
    return _between(float(below), float(falling[end]))


def _between(low: float, high: float) -> float:
    """A number near the middle with as few digits as may be, which float32 tells from ``low``."""
    middle = (low + high) / 2
    for digits in range(2, 9):
        number = round(middle, digits)
        if abs(number - middle) <= (high - low) / 4 and low < np.float32(number) <= high:
            return number
    return high
