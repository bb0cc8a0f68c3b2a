"""Constant matrices of the features: DCT, deltas, half-pixel resizing."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DELTA_WIDTH = 9  # frames; librosa's default


@lru_cache(maxsize=8)
def dct(n_out: int, n_in: int) -> NDArray[np.float64]:
    """Orthonormal DCT-II [shape=(n_out, n_in)] (Ahmed, Natarajan and Rao 1974)."""
    k, n = np.arange(n_out)[:, None], np.arange(n_in)
    table = np.sqrt(2.0 / n_in) * np.cos(np.pi / n_in * (n + 0.5) * k)
    table[0] /= np.sqrt(2.0)
    return _constant(table)


@lru_cache(maxsize=8)
def resize(n_in: int, n_out: int) -> NDArray[np.float64]:
    """Bilinear resizing of one axis with half-pixel centres [shape=(n_out, n_in)].

    Output i lies at ``(i + 0.5) * n_in / n_out - 0.5``; beyond the first and the last input it
    takes their values. It is PyTorch's ``interpolate(..., align_corners=False)``.
    """
    position = np.clip((np.arange(n_out) + 0.5) * n_in / n_out - 0.5, 0, n_in - 1)
    lower = np.minimum(position.astype(int), max(n_in - 2, 0))
    upper = np.minimum(lower + 1, n_in - 1)
    table = np.zeros((n_out, n_in))
    rows = np.arange(n_out)
    np.add.at(table, (rows, lower), 1 - (position - lower))
    np.add.at(table, (rows, upper), position - lower)
    return _constant(table)


@lru_cache(maxsize=2)
def delta(order: int) -> NDArray[np.float64]:
    """Weights of the slope (order 1) or the curvature (2) over `DELTA_WIDTH` frames.

    The derivative of the polynomial of that order that fits the frames best (Savitzky and Golay
    1964). At the edges the same polynomial holds for the outer frames; its highest derivative is
    constant, so that they take the value of the first and last frame that has all its neighbours.
    """
    half = DELTA_WIDTH // 2
    offsets = np.arange(-half, half + 1)
    fit = np.linalg.pinv(np.vander(offsets, order + 1, increasing=True))
    return _constant(fit[order] * order)  # the n-th derivative of x**n is n!, and n is 1 or 2


def _constant(table: NDArray[np.float64]) -> NDArray[np.float64]:
    table.flags.writeable = False
    return table
