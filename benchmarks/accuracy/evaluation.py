"""How right a model is on labelled music, and how sure one can be of that figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.results import song_probabilities

_RESAMPLES = 2000
_BINS = 10  # more would hold too few of a few hundred tracks each
_DRAWS = 200
_Z = 1.959964  # of a normal distribution's middle 95 %


@dataclass(frozen=True)
class Track:
    """A piece of music and what a model says of each of its windows.

    Parameters
    ----------
    name : of the file, or of the row in a features file
    genre : number of its class
    probabilities : float [shape=(windows, classes)], one window or more
    temperature : of the mean over the windows; see `edge_genre.results.vote`
    """

    name: str
    genre: int
    probabilities: NDArray[np.float32]
    temperature: float = 1.0


@dataclass(frozen=True)
class Estimate:
    """A figure with the interval that holds the true one in 95 of 100 cases."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class GenreScore:
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
class Evaluation:
    """What a model gets right.

    A track's genre is that of the highest mean probability of its windows.

    Parameters
    ----------
    tracks, tracks_correct, windows, windows_correct : counts
    track_accuracy : with Wilson's interval
    window_accuracy, macro_f1 : with intervals from resampled tracks, since the windows of a track
        are much alike; F1 is the mean over the genres of the tracks
    track_calibration_error, window_calibration_error : mean distance between confidence and
        accuracy, see `calibration_error`
    track_calibration_chance : what that of tracks would be on average if confidence were perfect:
        a few hundred tracks do not tell less from nothing
    genres : one row a genre
    confusion : tracks [shape=(genre, said)]
    confused : pairs of genres and how often one was taken for the other, most frequent first
    reliability : for bins of a track's confidence, its mean, the accuracy and the tracks
    """

    tracks: int
    tracks_correct: int
    windows: int
    windows_correct: int
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

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        return asdict(self)


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
    truth = np.array([track.genre for track in tracks])
    means = np.stack(
        [song_probabilities(track.probabilities, track.temperature) for track in tracks]
    )
    said = means.argmax(axis=1)
    rights = [track.probabilities.argmax(axis=1) == track.genre for track in tracks]
    correct, sizes = np.array([right.sum() for right in rights]), np.array([*map(len, rights)])
    confusion = _confusion(truth, said, len(genres))
    windows = np.concatenate([track.probabilities for track in tracks])
    right = int((said == truth).sum())

    def window_accuracy(chosen: NDArray[np.int64]) -> float:
        return float(correct[chosen].sum() / sizes[chosen].sum())

    def macro_f1(chosen: NDArray[np.int64]) -> float:
        return _macro_f1(_confusion(truth[chosen], said[chosen], len(genres)))

    draw = np.random.default_rng(seed)
    return Evaluation(
        tracks=len(tracks),
        tracks_correct=right,
        windows=int(sizes.sum()),
        windows_correct=int(correct.sum()),
        track_accuracy=wilson(right, len(tracks)),
        window_accuracy=_resampled(window_accuracy, len(tracks), draw),
        macro_f1=_resampled(macro_f1, len(tracks), draw),
        track_calibration_error=calibration_error(means, truth),
        window_calibration_error=calibration_error(windows, np.repeat(truth, sizes)),
        track_calibration_chance=chance_of_calibration_error(means, seed=seed),
        genres=tuple(_genre_scores(confusion, genres)),
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        confused=tuple(_confused(confusion, genres)),
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


def reliability(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], bins: int = _BINS
) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and count of each bin of confidence that holds any.

    Parameters
    ----------
    probabilities : [shape=(n, classes)]
    truth : classes [shape=(n,)]
    bins : of equal width between 0 and 1
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = []
    for number in range(bins):
        inside = bin_of == number
        if inside.any():
            row = float(confidence[inside].mean()), float(right[inside].mean()), int(inside.sum())
            rows.append(row)
    return rows


def calibration_error(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], bins: int = _BINS
) -> float:
    """Expected calibration error (Guo et al. 2017, equation 3), over bins of equal width.

    Parameters
    ----------
    probabilities : [shape=(n, classes)]
    truth : classes [shape=(n,)]
    """
    rows = reliability(probabilities, truth, bins)
    return sum(count * abs(confidence - share) for confidence, share, count in rows) / len(truth)


def chance_of_calibration_error(
    probabilities: NDArray[np.float32], bins: int = _BINS, *, seed: int = 0
) -> float:
    """Mean calibration error if what is said were exactly as sure as it should be.

    Whether each is right is drawn by its confidence. What is measured cannot tell errors below this
    one from none.

    Parameters
    ----------
    probabilities : [shape=(n, classes)]
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    right = np.random.default_rng(seed).random((_DRAWS, len(confidence))) < confidence
    members = np.eye(bins)[bin_of]
    return float(np.abs((right - confidence) @ members).sum(axis=1).mean() / len(confidence))


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
