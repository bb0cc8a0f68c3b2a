"""How right a model is on labelled music, and how sure one can be of that figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.accuracy.confidence import (
    calibration_error_by_chance,
    expected_calibration_error,
    reliability,
)
from edge_genre.host.record import Record
from edge_genre.task import GENRES, Task

_RESAMPLES = 2000
_Z = 1.959964  # of a normal distribution's middle 95 %


@dataclass(frozen=True)
class Track:
    """A piece of music and what a model says of each of its windows.

    Parameters
    ----------
    name : of the file, or of the row in a features file
    truth : numbers of its labels: one of labels that exclude each other, else any number
    probabilities : float [shape=(windows, labels)], one window or more
    temperature : of the mean over the windows; see `edge_genre.results.vote`
    task : of the model
    """

    name: str
    truth: frozenset[int]
    probabilities: NDArray[np.float32]
    temperature: float = 1.0
    task: Task = GENRES

    @property
    def genre(self) -> int:
        """Number of its only label."""
        (label,) = self.truth
        return label

    @property
    def mean(self) -> NDArray[np.float32]:
        """Probabilities of the whole track [shape=(labels,)]."""
        return self.task.of_song(self.probabilities, self.temperature)

    @property
    def right_windows(self) -> NDArray[np.bool_]:
        """Of which windows its genre is the most probable one [shape=(windows,)]."""
        return self.probabilities.argmax(axis=1) == self.genre


def tracks_of_windows(
    probabilities: NDArray[np.float32],
    owner: NDArray[np.int64],
    labels: NDArray[np.int64],
    *,
    names: NDArray[np.str_] | None = None,
    temperature: float = 1.0,
    task: Task = GENRES,
) -> list[Track]:
    """Put windows that were classified together back to their tracks.

    Parameters
    ----------
    probabilities : [shape=(windows, classes)]
    owner : the track that each window is of [shape=(windows,)]; each track has one or more
    labels : class of each track [shape=(tracks,)], or which labels it has [shape=(tracks, labels)]
    names : of the tracks [shape=(tracks,)]; their numbers where they are left out
    temperature : of the mean over the windows
    task : of the model
    """
    return [
        Track(
            str(number if names is None else names[number]),
            truth_of(label),
            probabilities[owner == number],
            temperature,
            task,
        )
        for number, label in enumerate(labels)
    ]


def truth_of(label: NDArray[np.int64] | NDArray[np.bool_]) -> frozenset[int]:
    """Numbers of a track's labels, by the only one's number or by a row of 0 and 1."""
    return frozenset(np.flatnonzero(label).tolist() if np.ndim(label) else (int(label),))


@dataclass(frozen=True)
class Counts(Record):
    """How many tracks and windows there are, and of how many the genre was recognised.

    A track's genre is that of the highest mean probability of its windows.
    """

    tracks: int
    tracks_correct: int
    windows: int
    windows_correct: int


def count(tracks: Sequence[Track]) -> Counts:
    """Count the tracks and windows whose most probable genre is the right one."""
    right = [track.right_windows for track in tracks]
    return Counts(
        tracks=len(tracks),
        tracks_correct=sum(int(track.mean.argmax()) == track.genre for track in tracks),
        windows=sum(map(len, right)),
        windows_correct=sum(int(each.sum()) for each in right),
    )


def confusion_matrix(tracks: Sequence[Track], n_classes: int) -> NDArray[np.int64]:
    """How many tracks of which genre were taken for which [shape=(genre, said)]."""
    truth = np.array([track.genre for track in tracks], np.int64)
    said = np.array([track.mean.argmax() for track in tracks], np.int64)
    return _confusion(truth, said, n_classes)


@dataclass(frozen=True)
class Estimate(Record):
    """A figure with the interval that holds the true one in 95 of 100 cases."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class GenreScore(Record):
    """One genre's tracks.

    Parameters
    ----------
    tracks, correct : how many there are, and how many were recognised
    recall, precision, f1 : of tracks; 0 where nothing is to divide
    taken_for : what the others were taken for, most frequent first
    """

    genre: str
    tracks: int
    correct: int
    recall: float
    precision: float
    f1: float
    taken_for: dict[str, int]


@dataclass(frozen=True)
class Evaluation(Counts):
    """What a model gets right.

    Parameters
    ----------
    track_accuracy : with Wilson's interval
    window_accuracy, macro_f1 : with intervals from resampled tracks, since the windows of a track
        are much alike; F1 is the mean over the genres of the tracks
    track_calibration_error, window_calibration_error : mean distance between confidence and
        accuracy, see `edge_genre.benchmarks.accuracy.confidence.expected_calibration_error`
    track_calibration_chance : what that of tracks would be on average if they were perfectly
        calibrated: a few hundred tracks do not tell less from nothing
    genres : one row a genre
    confusion : tracks [shape=(genre, said)]
    confused : pairs of genres and how often one was taken for the other, most frequent first
    reliability : for bins of a track's confidence, its mean, the accuracy and the tracks
    """

    track_accuracy: Estimate
    window_accuracy: Estimate
    macro_f1: Estimate
    track_calibration_error: float
    window_calibration_error: float
    track_calibration_chance: float
    genres: tuple[GenreScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    confused: tuple[tuple[str, str, int], ...]
    reliability: tuple[tuple[float, float, int], ...]


def evaluate(tracks: Sequence[Track], genres: Sequence[str], *, seed: int = 0) -> Evaluation:
    """Score what a model says of labelled tracks.

    Parameters
    ----------
    tracks : one or more
    genres : names of the classes
    seed : of the resampling

    Raises
    ------
    ValueError
        There are no tracks.
    """
    if not tracks:
        raise ValueError("no tracks to evaluate")
    counts = count(tracks)
    truth = np.array([track.genre for track in tracks])
    means = np.stack([track.mean for track in tracks])
    said = means.argmax(axis=1)
    rights = [track.right_windows for track in tracks]
    correct, sizes = np.array([right.sum() for right in rights]), np.array([*map(len, rights)])
    matrix = _confusion(truth, said, len(genres))
    windows = np.concatenate([track.probabilities for track in tracks])

    def window_accuracy(chosen: NDArray[np.int64]) -> float:
        return float(correct[chosen].sum() / sizes[chosen].sum())

    def macro_f1(chosen: NDArray[np.int64]) -> float:
        return _macro_f1(_confusion(truth[chosen], said[chosen], len(genres)))

    draw = np.random.default_rng(seed)
    return Evaluation(
        **asdict(counts),
        track_accuracy=wilson(counts.tracks_correct, counts.tracks),
        window_accuracy=_resampled(window_accuracy, len(tracks), draw),
        macro_f1=_resampled(macro_f1, len(tracks), draw),
        track_calibration_error=expected_calibration_error(means, truth),
        window_calibration_error=expected_calibration_error(windows, np.repeat(truth, sizes)),
        track_calibration_chance=calibration_error_by_chance(means, seed=seed),
        genres=tuple(_genre_scores(matrix, genres)),
        confusion=tuple(tuple(map(int, row)) for row in matrix),
        confused=tuple(_confused(matrix, genres)),
        reliability=tuple(reliability(means, truth)),
    )


def wilson(correct: int, n: int) -> Estimate:
    """Accuracy with Wilson's score interval (Wilson 1927), right for small counts too.

    Parameters
    ----------
    correct, n : counts, n at least 1
    """
    share, z2 = correct / n, _Z**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def _resampled(
    figure: Callable[[NDArray[np.int64]], float], n: int, draw: np.random.Generator
) -> Estimate:
    values = [figure(draw.integers(n, size=n)) for _ in range(_RESAMPLES)]
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(figure(np.arange(n)), float(low), float(high))


def _confusion(
    truth: NDArray[np.int64], said: NDArray[np.int64], n_classes: int
) -> NDArray[np.int64]:
    counts = np.bincount(truth * n_classes + said, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


def _shares(confusion: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """Recall, precision and F1 of each genre; 0 where nothing is to divide."""
    right = confusion.diagonal().astype(np.float64)
    present, said = confusion.sum(axis=1), confusion.sum(axis=0)
    return (
        right / np.maximum(present, 1),
        right / np.maximum(said, 1),
        2 * right / np.maximum(present + said, 1),
    )


def _macro_f1(confusion: NDArray[np.int64]) -> float:
    present = confusion.sum(axis=1) > 0
    return float(_shares(confusion)[2][present].mean())


def _genre_scores(confusion: NDArray[np.int64], genres: Sequence[str]) -> list[GenreScore]:
    scores = []
    for number, (genre, recall, precision, f1) in enumerate(
        zip(genres, *_shares(confusion), strict=True)
    ):
        row = confusion[number]
        wrong = [other for other in np.argsort(-row, kind="stable") if row[other]]
        taken_for = {genres[other]: int(row[other]) for other in wrong if other != number}
        scores.append(
            GenreScore(
                genre=genre,
                tracks=int(row.sum()),
                correct=int(row[number]),
                recall=float(recall),
                precision=float(precision),
                f1=float(f1),
                taken_for=taken_for,
            )
        )
    return scores


def _confused(confusion: NDArray[np.int64], genres: Sequence[str]) -> list[tuple[str, str, int]]:
    both = confusion + confusion.T
    pairs = [
        (genres[a], genres[b], int(both[a, b]))
        for a in range(len(genres))
        for b in range(a + 1, len(genres))
        if both[a, b]
    ]
    return sorted(pairs, key=lambda pair: -pair[2])
