"""Temperatures of windows and of songs, on probabilities that are known to be too sure."""

from dataclasses import replace

import numpy as np
import pytest

from edge_genre.benchmarks.accuracy.confidence import expected_calibration_error
from edge_genre.benchmarks.accuracy.evaluation import tracks_of_windows
from edge_genre.models.train.temperature import calibrate_confidence, fit_temperature
from edge_genre.task import tempered


def _drawn(n: int, classes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are exactly as sure as they should be, and labels drawn from them."""
    rows = rng.dirichlet(np.full(classes, 0.7), n)
    labels = np.array([rng.choice(classes, p=row) for row in rows])
    return rows, labels


def test_a_temperature_undoes_overconfidence() -> None:
    rows, labels = _drawn(4000, 5, np.random.default_rng(0))
    assert fit_temperature(rows, labels) == pytest.approx(1, rel=0.06)
    assert fit_temperature(tempered(rows, 0.5), labels) == pytest.approx(2, rel=0.06)
    assert fit_temperature(tempered(rows, 2.5), labels) == pytest.approx(0.4, rel=0.06)


def test_windows_and_songs_are_calibrated_apart() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 300)
    owner = np.repeat(np.arange(300), 9)
    # Windows err on their own: their mean knows more than it says.
    logits = rng.normal(size=(2700, 4))
    logits[np.arange(2700), labels[owner]] += 1.2
    rows = np.exp(3 * logits) / np.exp(3 * logits).sum(1, keepdims=True)
    found = calibrate_confidence(tracks_of_windows(rows, owner, labels))
    assert found.temperature > 1.5
    assert found.song_temperature < 0.7
    for before, after in (found.window_error, found.track_error):
        assert after < before / 2
    assert found.cross_fitted_error < found.track_error[0]


def test_songs_of_one_window_have_one_temperature() -> None:
    rows, labels = _drawn(200, 3, np.random.default_rng(0))
    tracks = tracks_of_windows(rows, np.arange(200), labels)
    assert calibrate_confidence(tracks).song_temperature == 1.0


def test_songs_of_one_window_have_no_say_in_the_temperature_of_longer_ones() -> None:
    rng = np.random.default_rng(2)
    rows, labels = _drawn(180, 3, rng)
    tracks = tracks_of_windows(rows, np.repeat(np.arange(60), 3), labels[::3])
    alone, others = _drawn(200, 3, rng)
    mixed = [*tracks, *tracks_of_windows(alone, np.arange(200), others)]
    found = calibrate_confidence(mixed)
    # The tracks as a model file with these temperatures has them.
    used = [
        replace(
            track,
            probabilities=tempered(track.probabilities, found.temperature),
            temperature=found.song_temperature,
        )
        for track in mixed
    ]
    error = expected_calibration_error(
        np.stack([track.mean for track in used]), np.array([track.genre for track in used])
    )
    assert found.track_error[1] == round(error, 4)
    longer = np.stack([track.probabilities.mean(axis=0) for track in used[:60]])
    assert found.song_temperature == fit_temperature(longer, labels[::3])
