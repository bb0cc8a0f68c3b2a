"""Classical classifiers on statistics of windows: what a network has to beat.

A window's features are the mean, standard deviation and the 10th and 90th percentile of each mel
band over time, and the mean absolute change from frame to frame: after Tzanetakis and Cook (2002),
who described textures by moments of short-time features.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_genre.errors import DataError
from edge_genre.models.data import Data
from edge_genre.models.training import score


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
    For each name what `edge_genre.models.training.score` gives.

    Raises
    ------
    DataError
        scikit-learn is not installed.
    """
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
    windows, owner = data.tracks.windows(data.spec.n_frames)
    x, y = statistics(windows), data.tracks.labels[owner]
    tested, tested_owner = data.held_out.windows(data.spec.n_frames)
    rows, n_classes = statistics(tested), len(data.tracks.genres)
    estimators = {
        "logistic regression": LogisticRegression(C=0.01, max_iter=1000),
        "nearest neighbours": KNeighborsClassifier(15),
        "linear SVM": LinearSVC(C=0.001),
    }
    scores = {}
    for name, estimator in estimators.items():
        fitted = make_pipeline(StandardScaler(), estimator).fit(x, y)
        # Votes stand for probabilities: an SVM has none.
        votes = np.eye(n_classes)[fitted.predict(rows)]
        found = score(votes, tested_owner, data.held_out.labels)
        del found["window_loss"]  # of votes it says nothing
        scores[name] = found
    return scores
