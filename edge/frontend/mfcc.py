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

    rhythm = None

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


class Deltas:
    """Deltas and delta-deltas along time, as ``librosa.feature.delta``, width 9, mode ``interp``.

    Both are sums over the nine frames around one: a matrix with nine diagonals, of which one block
    of frames after the other takes the same part.
    """

    _BLOCK = 32  # frames; much larger ones multiply more zeros than they save calls

    def __init__(self, dtype: type[Any]) -> None:
        self._half = tables.DELTA_WIDTH // 2
        self._band = np.zeros((2, self._BLOCK, self._BLOCK + 2 * self._half), dtype)
        for frame in range(self._BLOCK):
            for order in (1, 2):
                self._band[order - 1, frame, frame : frame + tables.DELTA_WIDTH] = tables.delta(
                    order
                )

    def __call__(self, features: NDArray[Any], out: NDArray[Any]) -> None:
        """Compute both.

        Parameters
        ----------
        features : float [shape=(n_frames, n)], 9 frames at least
        out : float [shape=(2, n_frames, n)], written
        """
        half, last = self._half, len(features) - self._half
        for first in range(half, last, self._BLOCK):
            stop = min(first + self._BLOCK, last)
            around = features[first - half : stop + half]
            band = self._band[:, : stop - first, : len(around)]
            np.matmul(band, around, out=out[:, first:stop])
        # The first and the last frames take the value of the nearest that has all its neighbours.
        out[:, :half] = out[:, half : half + 1]
        out[:, last:] = out[:, last - 1 : last]
