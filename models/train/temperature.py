"""Confidence that means something: temperatures for windows and for songs.

A model's confidence is calibrated if it is right in 70 of 100 cases that it calls 70 % sure.
Dividing the logits by one number, the temperature, fitted on music that was not trained on, goes
most of the way (Guo et al. 2017, arXiv:1706.04599). Windows and songs need two: the mean over the
windows of a song is less sure than it should be, since windows err independently of each other in
part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.accuracy.confidence import (
    calibration_error_by_chance,
    expected_calibration_error,
)
from edge_genre.benchmarks.accuracy.evaluation import Track
from edge_genre.models.train.metrics import ConfidenceCalibration
from edge_genre.softmax import sigmoid
from edge_genre.task import tempered

_TEMPERATURES = np.geomspace(0.2, 5.0, 162)  # 2 % apart, and 1.0 among them


def calibrate_confidence(tracks: Sequence[Track]) -> ConfidenceCalibration:
    """Fit both temperatures to tracks that were not trained on, one or more.

    A track's own temperature is left out of account.
    """
    tracks = [replace(track, temperature=1.0) for track in tracks]
    labels = np.array([track.genre for track in tracks])
    truth = np.repeat(labels, [len(track.probabilities) for track in tracks])
    rows = np.concatenate([track.probabilities for track in tracks])
    temperature = fit_temperature(rows, truth)
    windows = [tempered(track.probabilities, temperature) for track in tracks]
    means = np.stack([each.mean(axis=0) for each in windows])
    several = np.array([len(each) > 1 for each in windows])  # a song of one is as sure as that

    def fitted(chosen: NDArray[np.bool_]) -> float:
        return fit_temperature(means[chosen], labels[chosen]) if chosen.any() else 1.0

    song_temperature = fitted(several)
    songs = means.copy()
    songs[several] = tempered(means[several], song_temperature)
    # Every other track of each genre, so that both halves have all genres.
    half = np.zeros(len(labels), bool)
    half[np.argsort(labels, kind="stable")[::2]] = True
    crossed = means.copy()
    for part in (several & half, several & ~half):
        crossed[part] = tempered(means[part], fitted(several & ~part))
    plain = np.stack([track.mean for track in tracks])
    return ConfidenceCalibration(
        temperature=temperature,
        song_temperature=song_temperature,
        window_error=(_error(rows, truth), _error(np.concatenate(windows), truth)),
        track_error=(_error(plain, labels), _error(songs, labels)),
        chance_error=round(calibration_error_by_chance(songs), 4),
        cross_fitted_error=_error(crossed, labels),
    )


def _error(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return round(expected_calibration_error(probabilities, labels), 4)


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


def fit_temperature_of_labels(
    probabilities: NDArray[np.float32], truth: NDArray[np.bool_]
) -> float:
    """The temperature under which labels that each hold or not are likeliest, between 0.2 and 5.

    Parameters
    ----------
    probabilities : [shape=(n, labels)]
    truth : which labels hold [shape=(n, labels)]
    """
    wrong = np.where(truth, -1, 1) * _logits(probabilities)

    def surprise(temperature: float) -> float:
        return float(np.logaddexp(0, wrong / temperature).mean())

    return round(float(min(_TEMPERATURES, key=surprise)), 4)


def tempered_labels(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """What dividing the logits by a temperature makes of probabilities that are sigmoids."""
    return sigmoid(_logits(probabilities) / temperature).astype(np.float32)


def _logits(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    p = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.log(p) - np.log1p(-p)
