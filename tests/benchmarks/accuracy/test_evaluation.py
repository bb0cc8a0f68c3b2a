"""Figures of an evaluation, against values worked out by hand or by scikit-learn's definitions."""

import numpy as np
import pytest

from edge_genre.benchmarks.accuracy.evaluation import (
    Track,
    calibration_error,
    chance_of_calibration_error,
    evaluate,
    reliability,
    wilson,
)

GENRES = ("blues", "jazz", "rock")


def track(genre: int, *rows: tuple[float, float, float]) -> Track:
    return Track(f"{GENRES[genre]}.ogg", genre, np.array(rows, np.float32))


@pytest.fixture(scope="module")
def four() -> list[Track]:
    return [
        track(0, (0.8, 0.1, 0.1), (0.2, 0.7, 0.1)),  # blues by the mean, one window of two
        track(1, (0.1, 0.8, 0.1)),
        track(2, (0.6, 0.3, 0.1), (0.5, 0.1, 0.4)),  # taken for blues
        track(2, (0.1, 0.2, 0.7)),
    ]


def test_counts_and_shares(four):
    found = evaluate(four, GENRES)
    assert (found.tracks, found.tracks_correct) == (4, 3)
    assert (found.windows, found.windows_correct) == (6, 3)
    assert found.track_accuracy.value == 0.75
    assert found.window_accuracy.value == 0.5
    assert found.confusion == ((1, 0, 0), (0, 1, 0), (1, 0, 1))
    assert found.confused == (("blues", "rock", 1),)
    # F1: blues 2/3, jazz 1, rock 2/3
    assert found.macro_f1.value == pytest.approx(7 / 9)
    blues, jazz, rock = found.genres
    assert (blues.recall, blues.precision) == (1, 0.5)
    assert (rock.tracks, rock.correct, rock.recall, rock.precision) == (2, 1, 0.5, 1)
    assert rock.taken_for == {"blues": 1}
    assert jazz.taken_for == {}


def test_a_genre_without_tracks_does_not_count(four):
    found = evaluate([four[0], four[3]], GENRES)
    assert found.macro_f1.value == 1
    assert found.genres[1].tracks == 0
    assert found.genres[1].f1 == 0


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    # R: prop.test(x, n, correct = FALSE)$conf.int
    [(129, 197, 0.5860, 0.7177), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_wilson(correct, n, low, high):
    found = wilson(correct, n)
    assert found.value == correct / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-4)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Tracks of which 70 % are right, all windows of a track alike."""
    rng, held = np.random.default_rng(0), {"track": 0, "window": 0}
    for seed in range(50):
        right = rng.random(60) < 0.7
        tracks = [track(0, *[(0.9, 0.1, 0) if each else (0.1, 0.9, 0)] * 5) for each in right]
        found = evaluate(tracks, GENRES, seed=seed)
        held["track"] += found.track_accuracy.low <= 0.7 <= found.track_accuracy.high
        # Had windows been taken for independent, it would be about 30.
        held["window"] += found.window_accuracy.low <= 0.7 <= found.window_accuracy.high
    assert min(held.values()) >= 44


def test_calibration_error():
    rows = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]], np.float32)
    truth = np.array([0, 0, 0, 1])
    # Two of two right at 0.9, one of two at 0.6.
    assert calibration_error(rows, truth) == pytest.approx(0.1)
    assert reliability(rows, truth) == [
        (pytest.approx(0.6), 0.5, 2),
        (pytest.approx(0.9), 1.0, 2),
    ]
    sure = np.array([[1.0, 0.0]], np.float32)
    assert calibration_error(sure, np.array([1])) == 1


def test_probabilities_that_are_what_they_say_are_calibrated():
    rng = np.random.default_rng(1)
    rows = rng.dirichlet((0.5, 0.5, 0.5), 20_000)
    truth = (rows.cumsum(axis=1) > rng.random((len(rows), 1))).argmax(axis=1)
    assert calibration_error(rows.astype(np.float32), truth) < 0.01


def test_the_same_seed_gives_the_same(four):
    assert evaluate(four, GENRES, seed=3) == evaluate(four, GENRES, seed=3)


def test_nothing_to_evaluate():
    with pytest.raises(ValueError, match="no tracks"):
        evaluate([], GENRES)


def test_calibration_error_by_chance_is_what_draws_give():
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(10, 0.3), 200)
    drawn = []
    for _ in range(300):
        # Right with the probability that is said, else anything else.
        right = rng.random(200) < rows.max(axis=1)
        labels = np.where(right, rows.argmax(axis=1), (rows.argmax(axis=1) + 1) % 10)
        drawn.append(calibration_error(rows, labels))
    assert chance_of_calibration_error(rows) == pytest.approx(np.mean(drawn), rel=0.05)
