"""Figures of an evaluation, against values worked out by hand or by scikit-learn's definitions."""

import numpy as np
import pytest

from edge_genre.benchmarks.accuracy.evaluation import (
    Counts,
    Track,
    confusion_matrix,
    count,
    evaluate,
    tracks_of_windows,
    wilson,
)

GENRES = ("blues", "jazz", "rock")


def track(genre: int, *rows: tuple[float, float, float]) -> Track:
    return Track(f"{GENRES[genre]}.ogg", frozenset({genre}), np.array(rows, np.float32))


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


def test_the_same_counts_without_the_rest(four):
    assert count(four) == Counts(tracks=4, tracks_correct=3, windows=6, windows_correct=3)
    assert confusion_matrix(four, 3).tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
    assert count([]) == Counts(0, 0, 0, 0)


def test_windows_go_back_to_their_tracks(four):
    rows = np.concatenate([each.probabilities for each in four])
    labels, names = np.array([0, 1, 2, 2]), np.array(["a", "b", "c", "d"])
    found = tracks_of_windows(rows, np.array([0, 0, 1, 2, 2, 3]), labels, names=names)
    assert [each.name for each in found] == [*names]
    for one, other in zip(found, four, strict=True):
        assert one.genre == other.genre
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


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


def test_the_same_seed_gives_the_same(four):
    assert evaluate(four, GENRES, seed=3) == evaluate(four, GENRES, seed=3)


def test_nothing_to_evaluate():
    with pytest.raises(ValueError, match="no tracks"):
        evaluate([], GENRES)
