"""Mel filter banks."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Slaney's Auditory Toolbox (1998): linear below 1 kHz, 66.67 Hz a mel; above it a factor of 6.4 in
# 27 mels.
_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: NDArray[np.float64] | float, scale: str) -> NDArray[np.float64]:
    """Convert Hz to mel on the ``"slaney"`` or ``"htk"`` scale (O'Shaughnessy 1987)."""
    hz = np.asarray(hz, np.float64)
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _HZ_PER_MEL, above)


def mel_to_hz(mel: NDArray[np.float64] | float, scale: str) -> NDArray[np.float64]:
    """Inverse of `hz_to_mel`."""
    mel = np.asarray(mel, np.float64)
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
    above = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _HZ_PER_MEL, above)


@lru_cache(maxsize=8)
def mel_filters(
    *, sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float, scale: str, slaney: bool
) -> NDArray[np.float32]:
    """Triangular filters over the bins of a power spectrum.

    The same numbers as ``librosa.filters.mel``, computed in float64 and rounded once.

    Parameters
    ----------
    slaney : divide each triangle by its width, so that all have unit area

    Returns
    -------
    float32 [shape=(n_mels, 1 + n_fft // 2)], read-only
    """
    bins = np.arange(1 + n_fft // 2) * (sample_rate / n_fft)
    low, high = hz_to_mel(np.array([fmin, fmax]), scale)
    corners = mel_to_hz(np.linspace(low, high, n_mels + 2), scale)
    widths = np.diff(corners)
    rising = (bins - corners[:-2, None]) / widths[:-1, None]
    falling = (corners[2:, None] - bins) / widths[1:, None]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    if slaney:
        filters *= (2.0 / (corners[2:] - corners[:-2]))[:, None]
    result = filters.astype(np.float32)
    result.flags.writeable = False
    return result
