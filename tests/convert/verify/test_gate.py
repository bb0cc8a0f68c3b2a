"""The limits, one by one, on probabilities made by hand."""

import numpy as np
import pytest

from edge_genre.convert.verify.gate import judge
from edge_genre.convert.verify.windows import UNKNOWN
from edge_genre.task import Task

N = 1000


def rows(first: np.ndarray, confidence: float = 0.9) -> np.ndarray:
    """Probabilities of two classes, of which ``first`` is the greater."""
    result = np.full((len(first), 2), 1 - confidence, np.float32)
    result[np.arange(len(first)), first] = confidence
    return result


SOURCE = np.arange(N) % 2
NOBODY_KNOWS = np.full(N, UNKNOWN)


def flipped(count: int) -> np.ndarray:
    result = SOURCE.copy()
    result[:count] = 1 - result[:count]
    return result


@pytest.mark.parametrize(
    ("quantization", "allowed"), [("fp32", 0), ("fp16", 0), ("dynamic", 15), ("int8", 15)]
)
def test_agreement(quantization: str, allowed: int) -> None:
    for count in (allowed, allowed + 1):
        verdict = judge(quantization, rows(SOURCE), rows(flipped(count)), NOBODY_KNOWS)
        assert verdict.parity.top1_agreement == pytest.approx(1 - count / N)
        assert bool(verdict.reasons) == (count > allowed)
    assert "windows get the same genre" in verdict.reasons[0] or quantization == "fp16"


@pytest.mark.parametrize(("quantization", "allowed"), [("fp32", 1e-4), ("fp16", 5e-3)])
def test_largest_difference(quantization: str, allowed: float) -> None:
    for factor in (0.9, 1.1):
        shifted = rows(SOURCE)
        shifted[3] += np.float32(allowed * factor)
        verdict = judge(quantization, rows(SOURCE), shifted, NOBODY_KNOWS)
        assert bool(verdict.reasons) == (factor > 1)
    assert "a probability is off by" in verdict.reasons[0]


def test_lost_accuracy_where_genres_are_known() -> None:
    labels = np.where(np.arange(N) < 500, SOURCE, UNKNOWN)
    for count in (5, 6):
        verdict = judge("int8", rows(SOURCE), rows(flipped(count)), labels)
        assert (verdict.labelled, verdict.source_correct) == (500, 500)
        assert verdict.correct == 500 - count
        assert bool(verdict.reasons) == (count == 6)
    assert verdict.reasons == (
        "494 instead of 500 of 500 labelled windows are right, a loss of 1% allowed",
    )


def test_a_gain_is_no_loss() -> None:
    labels = flipped(20)
    verdict = judge("int8", rows(SOURCE), rows(flipped(10)), labels)
    assert verdict.correct > verdict.source_correct
    assert not verdict.reasons


def test_nan_is_never_close() -> None:
    broken = rows(SOURCE)
    broken[0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        judge("int8", rows(SOURCE), broken, NOBODY_KNOWS)


TAGS = Task(kind="multi_label", noun="tag", thresholds=(0.5, 0.5, 0.5))
NO_TAGS = np.full((N, 3), UNKNOWN)


def tags(held: np.ndarray) -> np.ndarray:
    """Probabilities of labels, each of which holds or does not by far."""
    return np.where(held, 0.9, 0.1).astype(np.float32)


def test_tags_of_8_bits() -> None:
    """Of 1000 labels that one gives, 15 are others: 985 of 1015."""
    held = np.zeros((N, 3), bool)
    held[:, 0] = True
    for count in (15, 16):
        other = held.copy()
        other[:count] = [False, True, False]
        verdict = judge("int8", tags(held), tags(other), NO_TAGS, TAGS)
        assert verdict.parity.agreement == pytest.approx((N - count) / (N + count))
        assert bool(verdict.reasons) == (count == 16)
    assert verdict.reasons == ("96.85% of the tags of 1000 windows are the same, 97.00% expected",)


def test_a_tag_at_its_threshold_fails_no_exact_file() -> None:
    source = np.full((N, 3), 0.5, np.float32)
    moved = source - np.float32(5e-5)
    verdict = judge("fp32", source, moved, NO_TAGS, TAGS)
    assert verdict.parity.agreement == 0
    assert not verdict.reasons
    (reason,) = judge("fp32", source, source - np.float32(2e-4), NO_TAGS, TAGS).reasons
    assert reason == "a probability is off by 0.0002, 0.0001 allowed"


def test_all_tags_of_a_window_are_right_or_it_is_wrong() -> None:
    truth = np.zeros((N, 3), int)
    truth[:, 1] = 1
    truth[500:] = UNKNOWN
    source = tags(np.tile([False, True, False], (N, 1)))
    found = source.copy()
    found[:6, 2] = 0.9  # and one more
    verdict = judge("int8", source, found, truth, TAGS)
    assert (verdict.labelled, verdict.source_correct, verdict.correct) == (500, 500, 494)
    assert verdict.reasons == (
        "494 instead of 500 of 500 labelled windows are right, a loss of 1% allowed",
    )
