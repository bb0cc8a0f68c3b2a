"""Whether confidence means something: how far a model's probabilities are from its accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 10  # more would hold too few of a few hundred tracks each
_DRAWS = 200


def reliability(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], bins: int = _BINS
) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and count of each bin of confidence that holds any.

    Parameters
    ----------
    probabilities : [shape=(n, classes)]
    truth : classes [shape=(n,)]
    bins : of equal width between 0 and 1
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bin_of = _bin_of(confidence, bins)
    rows = []
    for number in range(bins):
        inside = bin_of == number
        if inside.any():
            row = float(confidence[inside].mean()), float(right[inside].mean()), int(inside.sum())
            rows.append(row)
    return rows


def expected_calibration_error(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], bins: int = _BINS
) -> float:
    """Mean distance between confidence and accuracy (Guo et al. 2017, equation 3).

    Parameters
    ----------
    probabilities : [shape=(n, classes)]
    truth : classes [shape=(n,)]
    bins : of equal width between 0 and 1
    """
    rows = reliability(probabilities, truth, bins)
    return sum(count * abs(confidence - share) for confidence, share, count in rows) / len(truth)


def calibration_error_by_chance(
    probabilities: NDArray[np.float32], bins: int = _BINS, *, seed: int = 0
) -> float:
    """Mean expected calibration error of perfectly calibrated answers that are as sure as these.

    Whether each is right is drawn by its confidence. So few answers cannot tell errors below this
    one from none.

    Parameters
    ----------
    probabilities : [shape=(n, classes)]
    bins : as of `expected_calibration_error`
    seed : of the draws
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = np.random.default_rng(seed).random((_DRAWS, len(confidence))) < confidence
    members = np.eye(bins)[_bin_of(confidence, bins)]
    return float(np.abs((right - confidence) @ members).sum(axis=1).mean() / len(confidence))


def _bin_of(confidence: NDArray[Any], bins: int) -> NDArray[np.int64]:
    return np.minimum((confidence * bins).astype(int), bins - 1)
