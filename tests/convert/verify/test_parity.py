import json

import numpy as np
import pytest

from edge_genre.convert.verify.parity import Parity, compare, compare_labels
from edge_genre.task import Task


def test_figures_are_those_calculated_by_hand():
    reference = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]], np.float32)
    candidate = np.array([[0.7, 0.3], [0.3, 0.7], [0.4, 0.6], [0.5, 0.5]], np.float32)
    parity = compare(reference, candidate)
    assert parity.windows == 4
    assert parity.max_difference == pytest.approx(0.2)
    assert parity.mean_difference == pytest.approx((0.1 + 0.1 + 0.2 + 0.2) / 8)
    assert parity.top1_agreement == 0.75


def test_equal_probabilities_agree_in_everything():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(10), size=5)
    assert compare(probabilities, probabilities) == Parity(5, 0.0, 0.0, 1.0)


def test_survives_json():
    parity = Parity(3, 0.125, 0.0625, 1.0)
    assert Parity.from_dict(json.loads(json.dumps(parity.to_dict()))) == parity


@pytest.mark.parametrize("shapes", [((2, 3), (3, 3)), ((3,), (3,)), ((0, 3), (0, 3))])
def test_refuses_shapes_that_cannot_be_compared(shapes):
    with pytest.raises(ValueError, match="expected the same"):
        compare(*(np.zeros(shape) for shape in shapes))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_what_is_not_finite(value):
    with pytest.raises(ValueError, match="NaN or infinity"):
        compare(np.zeros((1, 2)), np.array([[0.0, value]]))


def test_labels_that_hold_are_counted_by_hand():
    reference = np.array([[0.9, 0.6, 0.1], [0.2, 0.1, 0.1]], np.float32)
    candidate = np.array([[0.9, 0.4, 0.1], [0.6, 0.1, 0.1]], np.float32)

    def compared(*thresholds):
        task = Task(kind="multi_label", thresholds=thresholds)
        return compare_labels(reference, candidate, task)

    parity = compared(0.5, 0.5, 0.5)
    assert parity.max_difference == pytest.approx(0.4)
    assert parity.mean_difference == pytest.approx((0.2 + 0.4) / 6)
    assert parity.label_agreement == pytest.approx(1 / 3)  # of three that either gives
    # Each label by its own threshold; where none holds, both agree.
    assert compared(0.1, 0.3, 0.05).label_agreement == 1
    assert compared(1.0, 1.0, 1.0).label_agreement == 1
