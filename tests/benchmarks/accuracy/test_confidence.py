"""How far confidence is from accuracy, against values worked out by hand and against draws."""

import numpy as np
import pytest

from edge_genre.benchmarks.accuracy.confidence import (
    calibration_error_by_chance,
    expected_calibration_error,
    reliability,
)


def test_calibration_error():
    rows = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]], np.float32)
    truth = np.array([0, 0, 0, 1])
    # Two of two right at 0.9, one of two at 0.6.
    assert expected_calibration_error(rows, truth) == pytest.approx(0.1)
    assert reliability(rows, truth) == [
        (pytest.approx(0.6), 0.5, 2),
        (pytest.approx(0.9), 1.0, 2),
    ]
    sure = np.array([[1.0, 0.0]], np.float32)
    assert expected_calibration_error(sure, np.array([1])) == 1


def test_probabilities_that_are_what_they_say_are_calibrated():
    rng = np.random.default_rng(1)
    rows = rng.dirichlet((0.5, 0.5, 0.5), 20_000)
    truth = (rows.cumsum(axis=1) > rng.random((len(rows), 1))).argmax(axis=1)
    assert expected_calibration_error(rows.astype(np.float32), truth) < 0.01


def test_calibration_error_by_chance_is_what_draws_give():
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(10, 0.3), 200)
    drawn = []
    for _ in range(300):
        # Right with the probability that is said, else anything else.
        right = rng.random(200) < rows.max(axis=1)
        labels = np.where(right, rows.argmax(axis=1), (rows.argmax(axis=1) + 1) % 10)
        drawn.append(expected_calibration_error(rows, labels))
    assert calibration_error_by_chance(rows) == pytest.approx(np.mean(drawn), rel=0.05)
