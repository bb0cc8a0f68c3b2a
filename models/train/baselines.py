"""Classical classifiers on statistics of windows: what a network has to beat.

A window's features are the mean, standard deviation and the 10th and 90th percentile of each mel
band over time, and the mean absolute change from frame to frame: after Tzanetakis and Cook (2002),
who described textures by moments of short-time features.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_genre.errors import DataError
from edge_genre.models.data.corpus import Tracks
from edge_genre.models.data.dataset import Data
from edge_genre.models.train.training import score


def statistics(windows: np.ndarray) -> np.ndarray:
    """Describe windows (n, frames, bands) by rows of (n, 5 bands) statistics.

    The rows of pictures (n, channels, rows, frames) count as bands.
    """
    if windows.ndim > 3:
        windows = windows.reshape(len(windows), -1, windows.shape[-1]).swapaxes(1, 2)
    low, high = np.percentile(windows, [10, 90], axis=1)
    change = np.abs(np.diff(windows, axis=1)).mean(axis=1)
    return np.hstack([windows.mean(axis=1), windows.std(axis=1), low, high, change])


def measure(data: Data) -> dict[str, dict[str, Any]]:
    """Fit each baseline to the training part and score it on the other, like the network.

    Returns
    -------
    For each name what `edge_genre.models.train.training.score` gives.

    Raises
    ------
    DataError
        scikit-learn is not installed.
    """
    x, owner = _described(data.tracks, data)
    rows, tested_owner = _described(data.held_out, data)
    scores = {}
    for name in ("logistic regression", "nearest neighbours", "linear SVM"):
        fitted = _estimator(name).fit(x, data.tracks.labels[owner])
        # Votes stand for probabilities: an SVM has none.
        votes = np.eye(len(data.tracks.genres))[fitted.predict(rows)]
        found = score(votes, tested_owner, data.held_out.labels)
        del found["window_loss"]  # of votes it says nothing
        scores[name] = found
    return scores


def artist_effect(data: Data, *, repeats: int = 5) -> dict[str, Any]:
    """How much of each genre a linear SVM recognises by its artists.

    The same classifier is measured twice, with artists apart as the data has them, and on parts of
    the same sizes whose tracks are drawn by lot, so that artists stand on both sides. What the
    second gains is knowledge of artists (or albums), not of genres.

    Parameters
    ----------
    repeats : draws to take the mean of.

    Returns
    -------
    genres; apart, mixed : recall of each; all_apart, all_mixed : accuracy of tracks
    """
    n_classes = len(data.tracks.genres)
    (x, owner), (more, more_owner) = (
        _described(part, data) for part in (data.tracks, data.held_out)
    )
    x, owner = np.concatenate([x, more]), np.concatenate([owner, more_owner + len(data.tracks)])
    labels = np.concatenate([data.tracks.labels, data.held_out.labels])
    apart = np.arange(len(labels)) >= len(data.tracks)
    held = np.bincount(data.held_out.labels, minlength=n_classes)

    def recalls(held_out: np.ndarray) -> np.ndarray:
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

    found = {
        "apart": recalls(apart),
        "mixed": np.mean([recalls(drawn(seed)) for seed in range(repeats)], axis=0),
    }
    values: dict[str, Any] = {"genres": list(data.tracks.genres)}
    for name, right in found.items():
        values[name] = [round(float(share), 4) for share in right / np.maximum(held, 1)]
        values[f"all_{name}"] = round(float(right.sum() / held.sum()), 4)
    return values


def _described(tracks: Tracks, data: Data) -> tuple[np.ndarray, np.ndarray]:
    windows, owner = tracks.windows(data.spec.n_frames)
    return statistics(windows), owner


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
