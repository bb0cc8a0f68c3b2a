"""Log-mel spectrograms, equal to librosa's ``melspectrogram`` and ``power_to_db``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend.mel import filters_of
from edge_genre.frontend.spec import FrontEndSpec

# A low mel filter spans a handful of bins and a high one hundreds, so that most of a dense product
# multiplies zeros. Cutting the bank into groups of bands, each with its own range of bins, skips
# most of them and keeps the products large enough for BLAS.
_GROUP_EDGES = (0.0, 0.375, 0.625, 0.8125, 1.0)  # of the number of bands
_DECIBEL = 10.0 / math.log(10.0)


class LogMel:
    """The log-mel kind: what one frame gives, and what a window makes of its frames."""

    rhythm = None

    def __init__(self, spec: FrontEndSpec, dtype: type[Any]) -> None:
        self.spec = spec
        self.widths: tuple[int, ...] = (spec.n_mels,)
        filters = filters_of(spec)
        self._groups = list(_banded(filters.astype(dtype, copy=False)))

    def analyse(self, power: NDArray[Any], rows: list[NDArray[Any]]) -> None:
        """Logarithm of the mel powers, before anything that depends on the whole window.

        Parameters
        ----------
        power : float [shape=(frames, 1 + n_fft // 2)]
        rows : one field, float [shape=(frames, n_mels)], written
        """
        mel = rows[0]
        for bands, bins, filters in self._groups:
            np.matmul(power[:, bins], filters, out=mel[:, bands])
        if self.spec.log == "natural":
            np.add(mel, self.spec.amin, out=mel)
            np.log(mel, out=mel)
        elif self.spec.log == "db":
            np.maximum(mel, self.spec.amin, out=mel)
            np.log(mel, out=mel)  # three times as fast as log10
            mel *= _DECIBEL

    def levels(self, rows: list[NDArray[Any]]) -> NDArray[Any]:
        """Apply the reference and the floor of one window.

        Parameters
        ----------
        rows : one field, float [shape=(n_frames, n_mels)], left as it is

        Returns
        -------
        float [shape=(n_frames, n_mels)], a new array
        """
        spec, mel = self.spec, rows[0]
        if spec.log != "db":
            return mel.copy()
        loudest = float(mel.max())
        floor = -math.inf if spec.top_db is None else loudest - spec.top_db
        levels: NDArray[Any] = np.maximum(mel, mel.dtype.type(floor))
        reference = loudest if spec.ref == "max" else _decibel(float(spec.ref), spec.amin)
        if reference:
            levels -= mel.dtype.type(reference)
        return levels

    def finish(self, rows: list[NDArray[Any]]) -> NDArray[Any]:
        """Levels of one window, normalised [shape=spec.shape], a new array."""
        features = self.levels(rows)
        normalize(features, self.spec)
        return np.asarray(features if self.spec.axes == "time_first" else features.T)


def normalize(features: NDArray[Any], spec: FrontEndSpec) -> None:
    """Normalise one window in place, as ``spec.normalize`` says."""
    number = features.dtype.type
    if spec.normalize == "mean_variance":
        features -= number(features.mean(dtype=np.float64))
        features /= number(math.sqrt(float(np.vdot(features, features)) / features.size) + 1e-6)
    elif spec.normalize == "min_max":
        features -= features.min()
        features /= max(float(features.max()), 1e-6)
    elif spec.normalize == "fixed":
        features -= number(spec.mean)
        features /= number(spec.scale)


def _decibel(power: float, amin: float) -> float:
    return 10.0 * math.log10(max(power, amin))


def _banded(
    filters: NDArray[Any],
) -> Iterator[tuple[slice, slice, NDArray[Any]]]:
    """Cut a filter bank into groups of bands with the bins that they reach."""
    cuts = [round(edge * len(filters)) for edge in _GROUP_EDGES]
    for first, last in itertools.pairwise(cuts):
        if first == last:
            continue
        used = np.flatnonzero(filters[first:last].any(axis=0))
        bins = slice(used[0], used[-1] + 1) if len(used) else slice(0, 1)
        yield slice(first, last), bins, np.ascontiguousarray(filters[first:last, bins].T)
