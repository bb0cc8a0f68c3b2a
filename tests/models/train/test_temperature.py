"""Temperatures of windows and of songs, on probabilities that are known to be too sure."""

import numpy as np
import pytest

from edge_genre.benchmarks.accuracy.evaluation import tracks_of_windows
from edge_genre.models.train.temperature import calibrate_confidence, fit_temperature
from edge_genre.results import tempered


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
