"""Average precision and ROC AUC, against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics

from edge_genre.benchmarks.accuracy.ranking import (
    Ranking,
    average_precision,
    precision_recall_curve,
    roc_auc,
)


def _both(scores, truth, weights=None, owner=None) -> tuple[np.ndarray, np.ndarray]:
    ranking = Ranking(np.asarray(scores, float), np.asarray(truth, bool), owner)
    hits, alarms = ranking.counts(weights)
    return average_precision(hits, alarms), roc_auc(hits, alarms)


def test_by_hand():
    # Going down: right, wrong, right, wrong. Precision 1 at half of the recall, 2/3 at all of it.
    precision, auc = _both([0.9, 0.8, 0.6, 0.1], [1, 0, 1, 0])
    assert precision == pytest.approx([(1 + 2 / 3) / 2])
    assert auc == pytest.approx([3 / 4])  # of four pairs, three are in order


def test_equal_scores_are_one_step():
    precision, auc = _both([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0])
    assert precision == pytest.approx([0.25])  # whatever order the rows are in
    assert auc == pytest.approx([0.5])


def test_all_or_none_of_the_label():
    assert np.isnan(_both([0.1, 0.2], [0, 0])).all()
    precision, auc = _both([0.1, 0.2], [1, 1])
    assert precision == 1
    assert np.isnan(auc)


@settings(deadline=None)
@given(
    # few different scores, so that many are equal
    arrays(np.float32, (30,), elements=st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0])),
    arrays(np.bool_, (30,)).filter(lambda truth: truth.any() and not truth.all()),
)
def test_as_scikit_learn(scores, truth):
    precision, auc = _both(scores, truth)
    assert precision == pytest.approx([metrics.average_precision_score(truth, scores)])
    assert auc == pytest.approx([metrics.roc_auc_score(truth, scores)])


def test_draws_are_as_if_the_rows_stood_there_so_often():
    rng = np.random.default_rng(0)
    scores, truth = rng.random(40).round(1), rng.random(40) < 0.3
    chosen = rng.integers(40, size=(5, 40))
    weights = np.stack([np.bincount(each, minlength=40) for each in chosen], axis=1).astype(float)
    precision, auc = _both(scores, truth, weights)
    for draw, rows in enumerate(chosen):
        assert precision[draw] == pytest.approx(
            metrics.average_precision_score(truth[rows], scores[rows])
        )
        assert auc[draw] == pytest.approx(metrics.roc_auc_score(truth[rows], scores[rows]))


def test_rows_of_the_same_track_are_drawn_together():
    rng = np.random.default_rng(1)
    scores, truth = rng.random((12, 3)), rng.random((12, 3)) < 0.4
    chosen = rng.integers(12, size=12)
    weights = np.bincount(chosen, minlength=12)[:, None].astype(float)
    precision, auc = _both(scores.ravel(), truth.ravel(), weights, np.repeat(np.arange(12), 3))
    drawn = truth[chosen].ravel(), scores[chosen].ravel()
    assert precision == pytest.approx([metrics.average_precision_score(*drawn)])
    assert auc == pytest.approx([metrics.roc_auc_score(*drawn)])


def test_the_curve_is_scikit_learns():
    rng = np.random.default_rng(2)
    scores, truth = rng.random(50).round(1), rng.random(50) < 0.4
    found = precision_recall_curve(*Ranking(scores, truth).counts(), most=100)
    precision, recall, _ = metrics.precision_recall_curve(truth, scores)
    theirs = {*zip(recall.round(9), precision.round(9), strict=True)}
    assert all((round(r, 9), round(p, 9)) in theirs for r, p in found)
    assert found[-1][0] == 1
    few = precision_recall_curve(*Ranking(scores, truth).counts(), most=3)
    assert len(few) == 3
    assert (few[0], few[-1]) == (found[0], found[-1])
