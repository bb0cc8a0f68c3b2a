"""Log-mel spectrograms, equal to librosa's ``melspectrogram`` and ``power_to_db``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend.mel import mel_filters
from edge_genre.frontend.spec import FrontEndSpec

# A low mel filter spans a handful of bins and a high one hundreds, so that most of a dense product
# multiplies zeros. Cutting the bank into groups of bands, each with its own range of bins, skips
# most of them and keeps the products large enough for BLAS.
_BAND_GROUPS = 4


class LogMel:
    """The log-mel kind: what one frame gives, and what a window makes of its frames."""

    def __init__(self, spec: FrontEndSpec) -> None:
        self.spec = spec
        self.columns = spec.n_mels
        filters = mel_filters(
            sample_rate=spec.sample_rate,
            n_fft=spec.n_fft,
            n_mels=spec.n_mels,
            fmin=spec.fmin,
            fmax=spec.sample_rate / 2 if spec.fmax is None else spec.fmax,
            scale=spec.mel_scale,
            slaney=spec.mel_norm == "slaney",
        )
        self._groups = list(_banded(filters))

    def analyse(self, power: NDArray[np.float32], rows: NDArray[np.float32]) -> None:
        """Logarithm of the mel powers, before anything that depends on the whole window.

        Parameters
        ----------
        power : float32 [shape=(frames, 1 + n_fft // 2)]
        rows : float32 [shape=(frames, n_mels)], written
        """
        for bands, bins, filters in self._groups:
            np.matmul(power[:, bins], filters, out=rows[:, bands])
        if self.spec.log == "natural":
            np.add(rows, self.spec.amin, out=rows)
            np.log(rows, out=rows)
        else:
            np.maximum(rows, np.float32(self.spec.amin), out=rows)
            np.log10(rows, out=rows)
            rows *= 10.0

    def finish(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reference, floor and normalisation over one window.

        Parameters
        ----------
        rows : float32 [shape=(n_frames, n_mels)], left as they are

        Returns
        -------
        float32 [shape=spec.shape], a new array
        """
        spec = self.spec
        features = rows.copy()
        if spec.log == "db":
            loudest = float(features.max())
            if spec.top_db is not None:
                np.maximum(features, np.float32(loudest - spec.top_db), out=features)
            reference = loudest if spec.ref == "max" else _decibel(float(spec.ref), spec.amin)
            if reference:
                features -= np.float32(reference)
        normalize(features, spec)
        return features if spec.axes == "time_first" else features.T


def normalize(features: NDArray[np.float32], spec: FrontEndSpec) -> None:
    """Normalise one window in place, as ``spec.normalize`` says."""
    if spec.normalize == "mean_variance":
        features -= features.mean(dtype=np.float64).astype(np.float32)
        features /= np.float32(math.sqrt(float(np.vdot(features, features)) / features.size) + 1e-6)
    elif spec.normalize == "min_max":
        features -= features.min()
        features /= max(float(features.max()), 1e-6)
    elif spec.normalize == "fixed":
        features -= np.float32(spec.mean)
        features /= np.float32(spec.scale)


def _decibel(power: float, amin: float) -> float:
    return 10.0 * math.log10(max(power, amin))


def _banded(
    filters: NDArray[np.float32],
) -> Iterator[tuple[slice, slice, NDArray[np.float32]]]:
    """Cut a filter bank into groups of bands with the bins that they reach.

    The cuts halve the remaining bands, since the filters' widths grow geometrically.
    """
    n_mels = len(filters)
    cuts = [0, *(n_mels - (n_mels >> k) for k in range(1, _BAND_GROUPS)), n_mels]
    for first, last in itertools.pairwise(cuts):
        if first == last:
            continue
        used = np.flatnonzero(filters[first:last].any(axis=0))
        bins = slice(used[0], used[-1] + 1) if len(used) else slice(0, 1)
        yield slice(first, last), bins, np.ascontiguousarray(filters[first:last, bins].T)
