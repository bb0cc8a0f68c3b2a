"""Chroma with the tuning that the music is in, as ``librosa.feature.chroma_stft``."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend.median import sort_for_median

N_CHROMA = 12
_TUNINGS = np.linspace(-0.5, 0.5, 101)  # edges of the histogram; a tuning is the lower one
_A0 = 440.0 / 16  # Hz; octaves are counted from it


class Chroma:
    """Chroma of one window, from its power spectra.

    The tuning is estimated from spectral peaks between 150 and 4,000 Hz, refined by a parabola: the
    commonest deviation from the tempered scale, in hundredths of a semitone, among the louder half.
    What a peak contributes depends on its frame alone, and is kept in that frame's row.
    """

    def __init__(self, *, sample_rate: int, n_fft: int, dtype: type[Any]) -> None:
        self._sample_rate, self._n_fft, self._dtype = sample_rate, n_fft, dtype
        hz = np.arange(1 + n_fft // 2) * sample_rate / n_fft
        inside = np.flatnonzero((hz >= 150.0) & (hz < min(4000.0, sample_rate / 2)))
        self._first, self._last = int(inside[0]), int(inside[-1]) + 1
        # Two neighbours are never both peaks: two bins share one column.
        self.peak_columns = (self._last - self._first + 1) // 2

    def find_peaks(
        self, power: NDArray[Any], magnitudes: NDArray[Any], deviations: NDArray[Any]
    ) -> None:
        """Find the spectral peaks of some frames.

        Parameters
        ----------
        power : [shape=(frames, 1 + n_fft // 2)]
        magnitudes : [shape=(frames, peak_columns)], written; 0 where there is no peak
        deviations : likewise; the number of the peak's histogram bin
        """
        near = np.ascontiguousarray(power[:, self._first - 1 : self._last + 1])
        loud = near > 0.1 * power.max(axis=1, keepdims=True)
        loud[:, 0] = loud[:, -1] = False  # neighbours only
        at = np.flatnonzero(loud)
        left, peak, right = (near.ravel()[at + k] for k in (-1, 0, 1))
        # A neighbour that is not loud is below the peak in any case.
        highest = (peak > left) & (peak >= right)
        at, left, peak, right = at[highest], left[highest], peak[highest], right[highest]
        frame, bin_ = np.divmod(at, near.shape[1])
        bin_ -= 1
        slope = (right - left) / 2
        curve = left + right - 2 * peak
        shift = np.zeros_like(slope)
        np.divide(-slope, curve, out=shift, where=np.abs(slope) < np.abs(curve))
        hz = (self._first + bin_ + shift) * (self._sample_rate / self._n_fft)
        semitone = N_CHROMA * np.log2(hz.astype(self._dtype) / self._dtype(_A0))
        deviation = np.mod(semitone, 1.0)
        deviation[deviation >= 0.5] -= 1.0
        magnitudes[...] = 0
        magnitudes[frame, bin_ // 2] = peak + 0.5 * slope * shift
        deviations[frame, bin_ // 2] = np.searchsorted(_TUNINGS, deviation, side="right") - 1

    def tuning(self, magnitudes: NDArray[Any], deviations: NDArray[Any]) -> float:
        """Tuning of one window, in fractions of a semitone: one of -0.50, -0.49, ... 0.49.

        Parameters
        ----------
        magnitudes, deviations : of all its frames, as `find_peaks` wrote them
        """
        found = magnitudes[magnitudes > 0]
        if not len(found):
            return 0.0
        chosen = deviations[magnitudes >= sort_for_median(found)]
        counts = np.bincount(chosen.astype(np.intp), minlength=len(_TUNINGS) - 1)
        return float(_TUNINGS[np.argmax(counts)])

    def chroma(self, power: NDArray[Any], tuning: float) -> NDArray[Any]:
        """Energy of the twelve pitch classes, the largest of each frame 1.

        Returns
        -------
        float [shape=(frames, 12)]; zeros for a silent frame
        """
        chroma = power @ _filters(
            self._sample_rate, self._n_fft, tuning, np.dtype(self._dtype).name
        )
        largest = chroma.max(axis=1, keepdims=True)
        silent = largest < np.finfo(self._dtype).tiny
        chroma /= np.where(silent, 1, largest)
        return np.asarray(chroma)


@lru_cache(maxsize=100)  # one for each tuning, made when music in it is heard
def _filters(sample_rate: int, n_fft: int, tuning: float, dtype: str) -> NDArray[Any]:
    """From bins to pitch classes, C first [shape=(1 + n_fft // 2, 12)] (Ellis, chroma, 2007).

    Each bin spreads over the pitch classes as a Gaussian as wide as the bin, and counts by another
    one, two octaves wide, around the fifth octave.
    """
    position, distance, sharpness = _pitches(sample_rate, n_fft)
    distance = np.abs(distance - tuning)
    np.minimum(distance, N_CHROMA - distance, out=distance)  # the other way round the octave
    filters = np.exp(sharpness * np.square(distance))
    weight = np.exp(-0.5 * (((position - tuning) / N_CHROMA - 5.0) / 2.0) ** 2)
    weight /= np.sqrt(np.einsum("ij,ij->i", filters, filters))
    filters *= weight[:, None]
    return np.ascontiguousarray(filters, dtype)


@lru_cache(maxsize=8)
def _pitches(
    sample_rate: int, n_fft: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What a tuning does not change, for all bins; another tuning moves them all by as much.

    Returns
    -------
    Position in semitones above A0 [shape=(bins,)], distance from each pitch class, -6 to 6
    [shape=(bins, 12)], and the exponent of its Gaussian at a distance of 1 [shape=(bins, 1)]
    """
    hz = np.arange(1, n_fft) * sample_rate / n_fft
    position = N_CHROMA * np.log2(hz / _A0)
    position = np.concatenate([[position[0] - 1.5 * N_CHROMA], position])  # bin 0 has no pitch
    width = np.maximum(np.diff(position), 1.0)[: 1 + n_fft // 2]
    position = position[: len(width)]
    from_c = (np.arange(N_CHROMA) + 3) % N_CHROMA  # semitones above A
    half = N_CHROMA // 2
    distance = np.remainder(position[:, None] - from_c + half, N_CHROMA) - half
    return position, distance, -2.0 / width[:, None] ** 2
