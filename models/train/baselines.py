"""Classical classifiers on statistics of windows: what a network has to beat.

A window's features are the mean, standard deviation and the 10th and 90th percentile of each mel
band over time, and the mean absolute change from frame to frame: after Tzanetakis and Cook (2002),
who described textures by moments of short-time features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edge_genre.benchmarks.accuracy.evaluation import count, tracks_of_windows
from edge_genre.errors import DataError
from edge_genre.host.record import Record
from edge_genre.models.data.corpus import Tracks
from edge_genre.models.data.dataset import Data
from edge_genre.models.train.scores import Score

_HOW_ARTISTS = """\
A linear SVM on statistics of windows, trained twice: with artists apart, and on parts of the same
sizes drawn by lot from the same tracks, so that artists stand on both sides (mean of five draws).
The difference is knowledge of artists and albums, which is of no use for a new song. Genres that
lose most have few artists in the training part; no network can learn from them what all artists of
the genre have in common."""


def statistics(windows: np.ndarray) -> np.ndarray:
    """Describe windows (n, frames, bands) by rows of (n, 5 bands) statistics."""
    low, high = np.percentile(windows, [10, 90], axis=1)
    change = np.abs(np.diff(windows, axis=1)).mean(axis=1)
    return np.hstack([windows.mean(axis=1), windows.std(axis=1), low, high, change])


def score_baselines(data: Data) -> dict[str, Score]:
    """Fit each baseline to the training part and score it on the other, like the network.

    Raises
    ------
    DataError
        scikit-learn is not installed.
    """
    x, owner = _described(data.tracks)
    rows, tested_owner = _described(data.held_out)
    scores = {}
    for name in ("logistic regression", "nearest neighbours", "linear SVM"):
        fitted = _estimator(name).fit(x, data.tracks.labels[owner])
        # Votes stand for probabilities: an SVM has none.
        votes = np.eye(len(data.tracks.genres))[fitted.predict(rows)]
        tracks = tracks_of_windows(votes, tested_owner, data.held_out.labels)
        scores[name] = Score(**asdict(count(tracks)))
    return scores


@dataclass(frozen=True)
class ArtistEffect(Record):
    """How much of each genre a classifier recognises by its artists.

    Parameters
    ----------
    text : how it was measured, for the card
    genres : names of the classes
    apart, mixed : recall of each genre, with artists apart and with artists on both sides
    all_apart, all_mixed : accuracy of tracks
    """

    text: str
    genres: tuple[str, ...]
    apart: tuple[float, ...]
    all_apart: float
    mixed: tuple[float, ...]
    all_mixed: float


def artist_effect(data: Data, *, repeats: int = 5) -> ArtistEffect:
    """Measure how much of each genre a linear SVM recognises by its artists.

    The same classifier is measured twice, with artists apart as the data has them, and on parts of
    the same sizes whose tracks are drawn by lot, so that artists stand on both sides. What the
    second gains is knowledge of artists (or albums), not of genres.

    Parameters
    ----------
    repeats : draws to take the mean of.
    """
    n_classes = len(data.tracks.genres)
    (x, owner), (more, more_owner) = (_described(part) for part in (data.tracks, data.held_out))
    x, owner = np.concatenate([x, more]), np.concatenate([owner, more_owner + len(data.tracks)])
    labels = np.concatenate([data.tracks.labels, data.held_out.labels])
    apart = np.arange(len(labels)) >= len(data.tracks)
    held = np.bincount(data.held_out.labels, minlength=n_classes)

    def recognised(held_out: np.ndarray) -> np.ndarray:
        """Held-out tracks of each genre that are right [shape=(classes,)]."""
        trained = ~held_out[owner]
        fitted = _estimator("linear SVM").fit(x[trained], labels[owner[trained]])
        votes = np.zeros((len(labels), n_classes))
        np.add.at(votes, owner[~trained], np.eye(n_classes)[fitted.predict(x[~trained])])
        right = votes.argmax(axis=1) == labels
        return np.bincount(labels[held_out & right], minlength=n_classes)

    def drawn(seed: int) -> np.ndarray:
        order = np.random.default_rng(seed).permutation(len(labels))
        held_out = np.zeros(len(labels), bool)
        for label, n in enumerate(held):
            held_out[order[labels[order] == label][:n]] = True
        return held_out

    def recalls(right: np.ndarray) -> tuple[float, ...]:
        return tuple(round(float(share), 4) for share in right / np.maximum(held, 1))

    right_apart = recognised(apart)
    right_mixed = np.mean([recognised(drawn(seed)) for seed in range(repeats)], axis=0)
    return ArtistEffect(
        text=_HOW_ARTISTS,
        genres=data.tracks.genres,
        apart=recalls(right_apart),
        all_apart=round(float(right_apart.sum() / held.sum()), 4),
        mixed=recalls(right_mixed),
        all_mixed=round(float(right_mixed.sum() / held.sum()), 4),
    )


def _described(tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    windows, owner = tracks.windows()
    return statistics(_time_first(windows, tracks.spec.axes)), owner


def _time_first(windows: np.ndarray, axes: str) -> np.ndarray:
    """Windows as (n, frames, bands); the rows of all channels of pictures count as bands."""
    if axes == "channels_last":
        windows = np.moveaxis(windows, -1, 1)
    if axes != "time_first":
        windows = windows.reshape(len(windows), -1, windows.shape[-1]).swapaxes(1, 2)
    return windows


def _estimator(name: str) -> Any:
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import LinearSVC
    except ImportError:
        raise DataError(
            "the baselines need scikit-learn: pip install 'edge-genre[train]'"
        ) from None
    estimators = {
        "logistic regression": LogisticRegression(C=0.01, max_iter=1000),
        "nearest neighbours": KNeighborsClassifier(15),
        "linear SVM": LinearSVC(C=0.001),
    }
    return make_pipeline(StandardScaler(), estimators[name])
