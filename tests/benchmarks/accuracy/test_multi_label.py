"""Figures of models of many labels, against scikit-learn and by hand."""

import math

import numpy as np
import pytest
from sklearn import metrics

from edge_genre.benchmarks.accuracy.evaluation import Track
from edge_genre.benchmarks.accuracy.multi_label import (
    MultiLabelEvaluation,
    evaluate_labels,
    targets,
)
from edge_genre.errors import DataError
from edge_genre.task import Task

LABELS = ("happy", "loud", "sad", "slow", "odd", "any")
THRESHOLDS = (0.5, 0.4, 0.5, 0.3, 0.5, 0.5)
TASK = Task(kind="multi_label", noun="mood", thresholds=THRESHOLDS)


def tracks_of(truth: np.ndarray, scores: np.ndarray) -> list[Track]:
    """A track a row, each of one window."""
    return [
        Track(str(number), frozenset(np.flatnonzero(row).tolist()), score[None], task=TASK)
        for number, (row, score) in enumerate(zip(truth, scores, strict=True))
    ]


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Truth and scores of 60 tracks: none is odd, and any holds of all."""
    rng = np.random.default_rng(0)
    truth = rng.random((60, 6)) < (0.5, 0.3, 0.2, 0.1, 0, 1)
    scores = (0.3 * truth + 0.7 * rng.random((60, 6))).round(2).astype(np.float32)
    return truth, scores


@pytest.fixture(scope="module")
def found(data) -> MultiLabelEvaluation:
    return evaluate_labels(tracks_of(*data), LABELS, TASK)


def test_figures_are_scikit_learns(data, found):
    truth, scores = (values[:, :4] for values in data)  # the labels that can be measured
    said = scores >= np.float32(THRESHOLDS[:4])
    for average in ("macro", "micro"):
        expected = {
            "average_precision": metrics.average_precision_score(truth, scores, average=average),
            "roc_auc": metrics.roc_auc_score(truth, scores, average=average),
            "f1": metrics.f1_score(truth, said, average=average),
        }
        for name, value in expected.items():
            estimate = getattr(found, f"{average}_{name}")
            assert estimate.value == pytest.approx(value)
            assert estimate.low < value < estimate.high


def test_labels_are_scikit_learns(data, found):
    truth, scores = data
    said = scores >= np.float32(THRESHOLDS)
    precision, recall, f1, have = metrics.precision_recall_fscore_support(
        truth, said, average=None, zero_division=0.0
    )
    for number, label in enumerate(found.labels):
        assert label.label == LABELS[number]
        assert (label.tracks, label.said) == (have[number], said[:, number].sum())
        assert label.threshold == THRESHOLDS[number]
        assert label.precision == pytest.approx(precision[number])
        assert label.recall == pytest.approx(recall[number])
        assert label.f1 == pytest.approx(f1[number])
    for number, label in enumerate(found.labels[:4]):
        column = truth[:, number], scores[:, number]
        assert label.average_precision == pytest.approx(metrics.average_precision_score(*column))
        assert label.roc_auc == pytest.approx(metrics.roc_auc_score(*column))


def test_labels_of_which_the_data_say_nothing_are_named(found):
    assert found.labels_measured == 4
    assert (found.without_positive, found.without_negative) == (("odd",), ("any",))
    odd, held = found.labels[4:]
    assert (odd.average_precision, odd.roc_auc, odd.curve) == (None, None, ())
    assert (held.average_precision, held.roc_auc, held.tracks) == (None, None, 60)


def test_a_track_is_all_its_windows():
    windows = np.array([[0.9, 0.0], [0.1, 0.4], [0.2, 0.2]], np.float32)
    tracks = [
        Track("a", frozenset({0}), windows, task=Task(kind="multi_label", thresholds=(0.4, 0.5))),
        Track("b", frozenset({1}), windows[1:2]),
    ]
    found = evaluate_labels(tracks, ("x", "y"), tracks[0].task)
    assert (found.tracks, found.windows) == (2, 4)
    assert found.labels[0].f1 == 1  # the mean over the windows is 0.4, which the threshold takes in
    assert found.labels[1].said == 0
    assert targets(tracks, 2).tolist() == [[True, False], [False, True]]


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of scores from two normal distributions 1.5 apart the true figures are known."""
    share, apart = 0.1, 1.5
    z = np.linspace(-8, 10, 20_001)
    above = np.array([math.erfc(value / math.sqrt(2)) / 2 for value in z])
    found = np.array([math.erfc((value - apart) / math.sqrt(2)) / 2 for value in z])
    precision = share * found / np.maximum(share * found + (1 - share) * above, 1e-300)
    truths = {"average_precision": -(precision[1:] * np.diff(found)).sum()}
    truths["roc_auc"] = -((1 - above[1:]) * np.diff(found)).sum()
    labels = tuple("abcdefghijklmnopqrst")
    rng, held = np.random.default_rng(1), dict.fromkeys(truths, 0)
    for seed in range(40):
        truth = rng.random((100, 20)) < share
        scores = rng.normal(size=(100, 20)) + apart * truth
        probabilities = (1 / (1 + np.exp(-scores))).astype(np.float32)
        task = Task(kind="multi_label", thresholds=(0.5,) * 20)
        got = evaluate_labels(tracks_of(truth, probabilities), labels, task, seed=seed)
        for name, value in truths.items():
            estimate = getattr(got, f"macro_{name}")
            held[name] += estimate.low <= value <= estimate.high
    # 38 are expected of long lists; the draws' own quantiles hold 19 of the precisions.
    assert min(held.values()) >= 31


def test_intervals_of_the_same_windows_twice_are_no_narrower():
    rng = np.random.default_rng(2)
    truth, scores = rng.random((40, 2)) < 0.4, rng.random((40, 2)).astype(np.float32)
    task = Task(kind="multi_label", thresholds=(0.5, 0.5))
    once = evaluate_labels(tracks_of(truth, scores), ("x", "y"), task)
    twice = [
        Track(each.name, each.truth, np.repeat(each.probabilities, 2, axis=0), task=task)
        for each in tracks_of(truth, scores)
    ]
    assert evaluate_labels(twice, ("x", "y"), task).micro_f1 == once.micro_f1


def test_many_pairs_get_fewer_draws_and_all_of_them(monkeypatch, data, found):
    """In parts that fit in memory, the draws give what they give at once."""
    from edge_genre.benchmarks.accuracy import multi_label

    monkeypatch.setattr(multi_label, "_AT_ONCE", 1000)
    parts = evaluate_labels(tracks_of(*data), LABELS, TASK)
    for name in ("micro_average_precision", "micro_roc_auc"):
        ours, theirs = getattr(parts, name), getattr(found, name)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    monkeypatch.setattr(multi_label, "_PAIRS", 60 * 4 * 300)
    assert evaluate_labels(tracks_of(*data), LABELS, TASK).resamples == 300
    assert found.resamples == 2000


def test_a_record_comes_back_from_json(found):
    assert MultiLabelEvaluation.from_dict(found.to_dict()) == found


def test_data_of_which_nothing_can_be_learned():
    scores = np.full((3, 6), 0.5, np.float32)
    with pytest.raises(DataError, match="no label that others"):
        evaluate_labels(tracks_of(np.ones((3, 6), bool), scores), LABELS, TASK)
