"""How right a model of many labels is on labelled music: each label by itself, and all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.accuracy.evaluation import Estimate, Track
from edge_genre.benchmarks.accuracy.ranking import (
    Ranking,
    average_precision,
    precision_recall_curve,
    roc_auc,
)
from edge_genre.errors import DataError
from edge_genre.host.record import Record
from edge_genre.task import Task

_RESAMPLES = 2000
_FEWEST = 200  # of them, and as many as go into so many pairs of a track and a label:
_PAIRS = 1_000_000_000  # some seconds of work
_AT_ONCE = 1 << 23  # numbers that are in memory at once
_POINTS = 100  # of a curve, at most

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class LabelScore(Record):
    """One label.

    Parameters
    ----------
    tracks, said : how many tracks have it, and how many the model gives it
    average_precision, roc_auc : whatever the threshold; None where no track or every track has it
    threshold : from which probability on the model gives it
    recall, precision, f1 : at the threshold; 0 where nothing is to divide
    curve : recall and precision from the highest probability down
    """

    label: str
    tracks: int
    said: int
    average_precision: float | None
    roc_auc: float | None
    threshold: float
    recall: float
    precision: float
    f1: float
    curve: Curve


@dataclass(frozen=True)
class MultiLabelEvaluation(Record):
    """What a model of many labels gets right.

    Macro figures are means over the labels, so that each counts the same; micro figures take all
    pairs of a track and a label together, so that frequent labels count more. Labels that no track
    or every track has are in neither: the data say nothing of them. Intervals are from resampled
    tracks; a resampling leaves labels out in the same way.

    Parameters
    ----------
    tracks, windows : how many were classified; a track's probabilities are those of the song
    labels_measured : how many labels the figures are of
    resamples : 2000; fewer where tracks times labels are more than half a million
    macro_average_precision, micro_average_precision, macro_roc_auc, micro_roc_auc : whatever the
        thresholds; see `edge_genre.benchmarks.accuracy.ranking`
    macro_f1, micro_f1 : at the model's thresholds
    labels : one row a label, in the model's order
    without_positive, without_negative : labels that no track has, and that every track has
    curve : recall and precision of all pairs, from the highest probability down
    """

    tracks: int
    windows: int
    labels_measured: int
    resamples: int
    macro_average_precision: Estimate
    micro_average_precision: Estimate
    macro_roc_auc: Estimate
    micro_roc_auc: Estimate
    macro_f1: Estimate
    micro_f1: Estimate
    labels: tuple[LabelScore, ...]
    without_positive: tuple[str, ...]
    without_negative: tuple[str, ...]
    curve: Curve

    @property
    def measured(self) -> list[LabelScore]:
        """The labels that the figures are of, most frequent first, of these the best one."""
        found = [label for label in self.labels if label.average_precision is not None]
        return sorted(found, key=lambda label: (-label.tracks, -(label.average_precision or 0.0)))


def targets(tracks: Sequence[Track], n_labels: int) -> NDArray[np.bool_]:
    """Which labels the tracks have [shape=(tracks, labels)]."""
    found = np.zeros((len(tracks), n_labels), np.bool_)
    for row, track in zip(found, tracks, strict=True):
        row[list(track.truth)] = True
    return found


def evaluate_labels(
    tracks: Sequence[Track], labels: Sequence[str], task: Task, *, seed: int = 0
) -> MultiLabelEvaluation:
    """Score what a model of many labels says of labelled tracks.

    Parameters
    ----------
    tracks : one or more
    labels : names of the labels
    task : of the model, with its thresholds
    seed : of the resampling

    Raises
    ------
    DataError
        There is no label that some of the tracks have and others have not.
    """
    truth = targets(tracks, len(labels))
    scores = np.stack([track.mean for track in tracks])
    said = task.reached(scores)
    has, lacks = truth.any(axis=0), ~truth.all(axis=0)
    measured = np.flatnonzero(has & lacks)
    if not len(measured):
        raise DataError(
            f"{len(tracks)} tracks have no label that others of them lack, so that nothing can be "
            "measured: expected labels that some of the tracks have"
        )
    n = len(tracks)
    resamples = max(_FEWEST, min(_RESAMPLES, _PAIRS // (n * len(measured))))
    columns = scores[:, measured], truth[:, measured], said[:, measured]
    figures = [_figures(*columns, np.ones((n, 1)))]  # of the tracks as they are
    draw, at_once = np.random.default_rng(seed), max(1, _AT_ONCE // n)
    for first in range(0, resamples, at_once):
        drawn = draw.multinomial(n, [1 / n] * n, size=min(at_once, resamples - first))
        figures.append(_figures(*columns, np.ascontiguousarray(drawn.T, np.float64)))
    return MultiLabelEvaluation(
        tracks=n,
        windows=sum(len(track.probabilities) for track in tracks),
        labels_measured=len(measured),
        resamples=resamples,
        **{
            name: _estimate(np.concatenate([each[name] for each in figures])) for name in figures[0]
        },
        labels=tuple(_label_scores(scores, truth, said, labels, task)),
        without_positive=tuple(labels[number] for number in np.flatnonzero(~has).tolist()),
        without_negative=tuple(labels[number] for number in np.flatnonzero(~lacks).tolist()),
        curve=precision_recall_curve(
            *Ranking(columns[0].ravel(), columns[1].ravel()).counts(),
            most=_POINTS,
        ),
    )


def _figures(
    scores: NDArray[np.float32],
    truth: NDArray[np.bool_],
    said: NDArray[np.bool_],
    weights: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """The figures in each draw [shape=(draws,)]; NaN in a draw that leaves no label.

    Parameters
    ----------
    scores, truth, said : of tracks [shape=(tracks, labels)]
    weights : how often a track is drawn [shape=(tracks, draws)]
    """
    n, n_labels = truth.shape
    have = truth.T @ weights
    usable = (have > 0) & (have < n)
    precision, auc = np.zeros_like(have), np.zeros_like(have)
    for label in range(n_labels):
        found = Ranking(scores[:, label], truth[:, label]).counts(weights)
        precision[label], auc[label] = average_precision(*found), roc_auc(*found)
    right, given = (said & truth).T @ weights, said.T @ weights
    f1 = 2 * right / np.maximum(given + have, 1)
    every = Ranking(scores.ravel(), truth.ravel(), np.repeat(np.arange(n), n_labels))
    step = max(1, _AT_ONCE // truth.size)
    micro = [
        (average_precision(*found), roc_auc(*found))
        for first in range(0, weights.shape[1], step)
        for found in [every.counts(np.ascontiguousarray(weights[:, first : first + step]))]
    ]
    micro_precision, micro_auc = (np.concatenate(values) for values in zip(*micro, strict=True))
    return {
        "macro_average_precision": _mean(precision, usable),
        "micro_average_precision": micro_precision,
        "macro_roc_auc": _mean(auc, usable),
        "micro_roc_auc": micro_auc,
        "macro_f1": _mean(f1, usable),
        "micro_f1": 2 * right.sum(axis=0) / np.maximum((given + have).sum(axis=0), 1),
    }


def _mean(values: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean over the usable labels [shape=(draws,)]; NaN where there are none."""
    total = np.where(usable, values, 0).sum(axis=0)
    return np.where(usable.any(axis=0), total / np.maximum(usable.sum(axis=0), 1), np.nan)


def _estimate(values: NDArray[np.float64]) -> Estimate:
    """The first value, and the basic interval of 95 % by the others (Davison and Hinkley 1997).

    A track that is drawn twice flatters average precision where few tracks have a label: the middle
    of the draws lies above the value, as the value does above the truth. What the draws are off
    upward is taken off downward; their own quantiles would hold the truth far too rarely.
    """
    value = float(values[0])
    low, high = 2 * value - np.nanquantile(values[1:], [0.975, 0.025])
    return Estimate(value, float(np.clip(low, 0, value)), float(np.clip(high, value, 1)))


def _label_scores(
    scores: NDArray[np.float32],
    truth: NDArray[np.bool_],
    said: NDArray[np.bool_],
    labels: Sequence[str],
    task: Task,
) -> Iterator[LabelScore]:
    for number, label in enumerate(labels):
        of_label, given = truth[:, number], said[:, number]
        found = Ranking(scores[:, number], of_label).counts()
        known = of_label.any() and not of_label.all()
        right = int((of_label & given).sum())
        have, get = int(of_label.sum()), int(given.sum())
        yield LabelScore(
            label=label,
            tracks=have,
            said=get,
            average_precision=average_precision(*found).item() if known else None,
            roc_auc=roc_auc(*found).item() if known else None,
            threshold=task.thresholds[number],
            recall=right / max(have, 1),
            precision=right / max(get, 1),
            f1=2 * right / max(have + get, 1),
            curve=precision_recall_curve(*found, most=_POINTS) if known else (),
        )
