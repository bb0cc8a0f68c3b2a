"""Thresholds that were chosen by F1: by hand, and against every threshold there is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from edge_genre.benchmarks.accuracy.thresholds import best_thresholds, f1_scores


def _chosen(scores: list[float], truth: list[int], before: float = 0.5) -> float:
    column = np.array(scores, np.float32)[:, None]
    return best_thresholds(column, np.array(truth, bool)[:, None], [before])[0]


def test_by_hand():
    # From 0.3 on: two of two found, one false alarm, F1 4/5; from 0.4 on 1/2 and one false alarm.
    assert _chosen([0.4, 0.35, 0.3, 0.1], [0, 1, 1, 0]) == 0.2
    assert _chosen([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 0]) == 0.75
    assert _chosen([0.412345, 0.412347], [0, 1]) == 0.412346  # as many digits as it takes


def test_below_all_scores_where_all_but_one_are_of_the_label():
    found = _chosen([0.01, 0.02, 0.03, 0.04], [1, 0, 1, 1])
    assert 0 < found < 0.01


def test_what_is_no_worse_stays():
    assert _chosen([0.9, 0.1], [1, 0]) == 0.5
    assert _chosen([0.9, 0.1], [1, 0], 0.33) == 0.33


@pytest.mark.parametrize("truth", [[0, 0, 0], [1, 1, 1]])
def test_nothing_is_learned_of_a_label_that_all_or_none_have(truth):
    assert _chosen([0.1, 0.2, 0.3], truth) == 0.5


def test_scores_of_zero_are_never_reached():
    assert _chosen([0.0, 0.0, 0.0, 0.0], [1, 1, 1, 0]) == 0.5
    assert _chosen([0.2, 0.0, 0.0, 0.0], [1, 1, 1, 0]) == 0.1


def test_neighbours_in_float32_are_told_apart():
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    found = _chosen([low, high], [0, 1])
    assert low < np.float32(found) <= high


@settings(deadline=None)
@given(
    arrays(np.float32, (12, 2), elements=st.floats(0, 1, width=32)),
    arrays(np.bool_, (12, 2)),
)
def test_no_threshold_is_better(scores, truth):
    before = (0.5, 0.25)
    chosen = best_thresholds(scores, truth, before)
    assert all(0 < threshold <= 1 for threshold in chosen)
    found = f1_scores(scores >= np.float32(chosen), truth)
    for label, of_label in enumerate(truth.T):
        if of_label.any() and not of_label.all():
            levels = [level for level in scores[:, label] if level > 0]
            every = [
                f1_score(of_label, scores[:, label] >= level, zero_division=0.0) for level in levels
            ]
            assert found[label] == pytest.approx(max(every, default=0.0))
        else:
            assert chosen[label] == before[label]


def test_f1_is_scikit_learns():
    rng = np.random.default_rng(0)
    said, truth = rng.random((40, 5)) < 0.4, rng.random((40, 5)) < 0.3
    said[:, 4] = truth[:, 4] = False
    expected = f1_score(truth, said, average=None, zero_division=0.0)
    np.testing.assert_allclose(f1_scores(said, truth), expected)
