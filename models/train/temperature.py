"""Confidence that means something: temperatures for windows and for songs.

A model is calibrated if it is right in 70 of 100 cases that it calls 70 % sure. Dividing the logits
by one number, fitted on music that was not trained on, goes most of the way (Guo et al. 2017,
arXiv:1706.04599). Windows and songs need two: the mean over the windows of a song is less sure than
it should be, since windows err independently of each other in part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.accuracy.evaluation import calibration_error, chance_of_calibration_error
from edge_genre.results import tempered

_TEMPERATURES = np.geomspace(0.2, 5.0, 162)  # 2 % apart, and 1.0 among them


def calibrate(
    probabilities: NDArray[np.float32], owner: NDArray[np.int64], labels: NDArray[np.int64]
) -> dict[str, Any]:
    """Fit both temperatures.

    Parameters
    ----------
    probabilities : [shape=(windows, classes)]
    owner : the track that each window is of [shape=(windows,)]
    labels : of the tracks [shape=(tracks,)]

    Returns
    -------
    temperature : for the logits of windows
    song_temperature : for the mean of a song's windows after that
    window_error, track_error : expected calibration errors before and after, a pair each
    chance_error : that of tracks if confidence were perfect, on average
    cross_fitted_error : of tracks, half of them with the song temperature fitted on the others
    """
    truth = labels[owner]
    temperature = fit_temperature(probabilities, truth)
    windows = tempered(probabilities, temperature)
    before, means = (_means(each, owner, len(labels)) for each in (probabilities, windows))
    many = np.bincount(owner).max() > 1  # a song of one window is as sure as that

    def fitted(chosen: NDArray[np.bool_]) -> float:
        return fit_temperature(means[chosen], labels[chosen]) if many else 1.0

    song_temperature = fitted(np.ones(len(labels), bool))
    songs = tempered(means, song_temperature)
    # Every other track of each genre, so that both halves have all genres.
    half = np.zeros(len(labels), bool)
    half[np.argsort(labels, kind="stable")[::2]] = True
    crossed = means.copy()
    for part in (half, ~half):
        crossed[part] = tempered(means[part], fitted(~part))
    return {
        "temperature": temperature,
        "song_temperature": song_temperature,
        "window_error": [_error(each, truth) for each in (probabilities, windows)],
        "track_error": [_error(each, labels) for each in (before, songs)],
        "chance_error": round(chance_of_calibration_error(songs), 4),
        "cross_fitted_error": _error(crossed, labels),
    }


def _error(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return round(calibration_error(probabilities, labels), 4)


def fit_temperature(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature under which the labels are likeliest, between 0.2 and 5.

    Parameters
    ----------
    probabilities : [shape=(n, classes)]
    labels : [shape=(n,)]
    """
    rows = np.arange(len(labels))

    def surprise(temperature: float) -> float:
        right = tempered(probabilities, temperature)[rows, labels]
        return float(-np.log(np.maximum(right, 1e-9)).mean())

    return round(float(min(_TEMPERATURES, key=surprise)), 4)


def _means(
    probabilities: NDArray[np.float32], owner: NDArray[np.int64], n: int
) -> NDArray[np.float32]:
    sums = np.zeros((n, probabilities.shape[1]))
    np.add.at(sums, owner, probabilities)
    return (sums / sums.sum(axis=1, keepdims=True)).astype(np.float32)
