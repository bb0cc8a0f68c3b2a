"""How well scores put what is of a label above what is not, whatever the threshold.

Going down the scores, each step takes in all rows of one score; what is found and what is a false
alarm is counted there, for the rows as they are or for many resamplings of them at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]


class Ranking:
    """Rows in the order of their scores, highest first, and the steps that they make.

    Steps that follow each other without a hit are made one, which changes none of the figures.

    Parameters
    ----------
    scores : without NaN [shape=(rows,)]
    truth : whether a row is of the label [shape=(rows,)]
    owner : the track that each row is of [shape=(rows,)]; its number where it is left out
    """

    def __init__(
        self,
        scores: NDArray[np.floating],
        truth: NDArray[np.bool_],
        owner: NDArray[np.integer] | None = None,
    ) -> None:
        order = np.argsort(-scores, kind="stable")
        self._owner = order if owner is None else owner[order]
        first = _changes(scores[order])
        has_hit = np.logical_or.reduceat(truth[order], first)
        self._first = first[has_hit | np.concatenate(([True], has_hit[:-1]))]
        # Most rows are not of a label: of each step those that are, one after the other.
        mine = np.flatnonzero(truth[order])
        step = np.searchsorted(self._first, mine, side="right") - 1
        self._mine, self._mine_first = self._owner[mine], _changes(step)
        self._mine_step = step[self._mine_first]

    def counts(self, weights: Counts | None = None) -> tuple[Counts, Counts]:
        """Count hits and false alarms at each step.

        Parameters
        ----------
        weights : how often each track counts in each of several draws [shape=(tracks, draws)];
            once, in one draw, where it is left out

        Returns
        -------
        hits, alarms : [shape=(steps, draws)]
        """
        if weights is None:
            weights = np.ones((self._owner.max() + 1, 1))
        every = np.add.reduceat(weights[self._owner], self._first, axis=0)
        hits = np.zeros_like(every)
        if len(self._mine):
            hits[self._mine_step] = np.add.reduceat(weights[self._mine], self._mine_first, axis=0)
        return hits, every - hits


def average_precision(hits: Counts, alarms: Counts) -> NDArray[np.float64]:
    """Sum of the precision at each step, weighted by the recall that it adds.

    It is not interpolated (scikit-learn's `average_precision_score`; Zhu 2004). NaN where nothing
    is of the label.

    Parameters
    ----------
    hits, alarms : of `Ranking.counts` [shape=(steps, draws)]

    Returns
    -------
    [shape=(draws,)]
    """
    found = np.cumsum(hits, axis=0)
    said = found + np.cumsum(alarms, axis=0)
    precision = found / np.maximum(said, 1)
    return _divided((hits * precision).sum(axis=0), found[-1])


def roc_auc(hits: Counts, alarms: Counts) -> NDArray[np.float64]:
    """Probability that a row of the label scores above one that is not of it.

    Equal scores count half (Hanley and McNeil 1982). NaN where all or none are of the label.

    Parameters
    ----------
    hits, alarms : of `Ranking.counts` [shape=(steps, draws)]

    Returns
    -------
    [shape=(draws,)]
    """
    alarms_so_far = np.cumsum(alarms, axis=0)
    below = alarms_so_far[-1] - alarms_so_far + alarms / 2
    return _divided((hits * below).sum(axis=0), hits.sum(axis=0) * alarms_so_far[-1])


def precision_recall_curve(
    hits: Counts, alarms: Counts, most: int
) -> tuple[tuple[float, float], ...]:
    """Recall and precision after each step that finds something, of the first draw.

    Parameters
    ----------
    hits, alarms : of `Ranking.counts`, with one hit or more
    most : points; evenly chosen where there are more steps
    """
    found = np.cumsum(hits[:, 0])
    precision = found / (found + np.cumsum(alarms[:, 0]))
    steps = np.flatnonzero(hits[:, 0])
    if len(steps) > most:
        steps = steps[np.linspace(0, len(steps) - 1, most).round().astype(int)]
    return tuple((float(found[k] / found[-1]), float(precision[k])) for k in steps)


def _divided(some: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(some, whole, out=np.full_like(some, np.nan), where=whole > 0)


def _changes(values: NDArray[Any]) -> NDArray[np.int64]:
    """Where another value begins than the one before."""
    return np.flatnonzero(
        np.concatenate((np.ones(min(1, len(values)), bool), np.diff(values) != 0))
    )
