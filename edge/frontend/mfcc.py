"""Mel-frequency cepstral coefficients and their deltas, equal to librosa's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend import tables
from edge_genre.frontend.log_mel import LogMel, normalize
from edge_genre.frontend.spec import FrontEndSpec


class Mfcc:
    """The MFCC kind: a log-mel spectrogram and its DCT."""

    def __init__(self, spec: FrontEndSpec, dtype: type[Any]) -> None:
        self.spec = spec
        self._log_mel = LogMel(spec, dtype)
        self.widths = self._log_mel.widths
        self.analyse = self._log_mel.analyse
        self._dct = np.ascontiguousarray(tables.dct(spec.n_mfcc, spec.n_mels).T, dtype)

    def coefficients(self, rows: list[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Levels and MFCC of one window.

        Returns
        -------
        dB [shape=(n_frames, n_mels)] and MFCC [shape=(n_frames, n_mfcc)], new arrays
        """
        levels = self._log_mel.levels(rows)
        mfcc = levels @ self._dct
        # BLAS adds up in sequence, and the first row is a sum of 128 large values of one sign: in
        # single precision that costs 8e-4. NumPy adds in pairs.
        np.add.reduce(levels, axis=1, out=mfcc[:, 0])
        mfcc[:, 0] *= self._dct[0, 0]
        return levels, mfcc

    def finish(self, rows: list[NDArray[Any]]) -> NDArray[Any]:
        """MFCC of one window, normalised [shape=spec.shape]."""
        _, mfcc = self.coefficients(rows)
        normalize(mfcc, self.spec)
        return mfcc if self.spec.axes == "time_first" else mfcc.T


def delta(features: NDArray[Any], order: int, out: NDArray[Any]) -> None:
    """Deltas along time, as ``librosa.feature.delta`` with width 9 and mode ``interp``.

    Parameters
    ----------
    features, out : float [shape=(n_frames, n)], 9 frames at least
    order : 1, or 2 for delta-deltas
    """
    half = tables.DELTA_WIDTH // 2
    inner = out[half:-half]
    inner[...] = 0
    for offset, weight in enumerate(tables.delta(order)):
        if weight:
            inner += features.dtype.type(weight) * features[offset : offset + len(inner)]
    out[:half] = out[half]
    out[-half:] = out[-half - 1]
