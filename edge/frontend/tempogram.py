"""Local autocorrelation of onsets, averaged over time: what a tempo is read from.

Every frame has a window of its own, centred on it, Hann-weighted and as long as several beats; its
autocorrelation is divided by its energy, so that loud passages count no more than quiet ones.
Around the signal the onsets run out in a ramp. This is the mean over time of
``librosa.feature.tempogram`` (Grosche, Müller and Kurth, Cyclic tempogram, 2010). In double
precision: where onsets are few, the tempo hangs on values of 1e-9.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge_genre.frontend.spectrum import transform

_BLOCK_FRAMES = 144
_TINY = float(np.finfo(np.float64).tiny)


class MeanTempogram:
    """The mean tempogram of signals of one length.

    Parameters
    ----------
    n : frames of the signal
    length : frames of one window
    """

    def __init__(self, n: int, length: int) -> None:
        self._n, self._length, half = n, length, length // 2
        self._short = _Short(n, length) if n <= half else None
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
        self._hann = hann
        self._padded = np.zeros(n + 2 * half)
        self._windows = sliding_window_view(self._padded, length)[:n]
        self._ramp = np.arange(half) / half
        # Room for every lag without wrapping around, and a size that the FFT is quick at.
        self._fft = quick_size(2 * length)

    def __call__(self, onsets: NDArray[Any]) -> NDArray[np.float64]:
        """Strength of each lag [shape=(length,)]; that of lag 0 is 1 where there is anything."""
        half, n = self._length // 2, self._n
        self._padded[half : half + n] = onsets
        np.multiply(self._ramp, onsets[0], out=self._padded[:half])
        np.multiply(self._ramp[::-1], onsets[-1], out=self._padded[half + n :])
        if self._short is not None and onsets[0] == 0:
            return self._short(self._padded[half:])
        return self._frame_by_frame()

    def _frame_by_frame(self) -> NDArray[np.float64]:
        # With the zeros in place: the FFT would copy each frame to pad it.
        frames = np.zeros((min(self._n, _BLOCK_FRAMES), self._fft))
        spectrum = np.empty((len(frames), self._fft // 2 + 1), np.complex128)
        # Of a real signal's spectrum, all bins but the first and the last stand for two.
        fold = np.full(2 * spectrum.shape[1], 2.0)
        fold[:2] = 1
        if self._fft % 2 == 0:
            fold[-2:] = 1
        power = np.zeros(len(fold))
        for first in range(0, self._n, len(frames)):
            count = min(len(frames), self._n - first)
            windows = self._windows[first : first + count]
            np.multiply(windows, self._hann, out=frames[:count, : self._length])
            parts = transform(frames[:count], spectrum[:count]).view(np.float64)
            np.square(parts, out=parts)
            power += _inverse(parts @ fold) @ parts
        power = self._fft * (power[::2] + power[1::2])
        return np.asarray(np.fft.irfft(power, self._fft)[: self._length] / self._n)


class _Short:
    """The same in closed form, where each window reaches over the signal's beginning.

    A Hann window at time t has at position i the weight u(i) . v(t), with
    ``u(i) = (1, cos a i, sin a i)`` and ``v(t) = (1, -cos a t, -sin a t) / 2``. Summed over all
    windows that hold position j, the product of the weights at i and j is therefore
    ``u(i) . M(j) u(j)``, M the sum of ``v(t) v(t)' / energy(t)``: the sum over time leaves three
    cross-correlations.
    """

    def __init__(self, n: int, length: int) -> None:
        half = length // 2
        reach = n + half  # positions that are not 0: the signal and the ramp behind it
        self._n, self._length = n, length
        angle = 2 * np.pi / length
        i, t = np.arange(reach) + half, np.arange(n)
        self._u = np.stack([np.ones(reach), np.cos(angle * i), np.sin(angle * i)])
        v = 0.5 * np.stack([np.ones(n), -np.cos(angle * t), -np.sin(angle * t)])
        self._v_v = (v[:, None] * v).reshape(9, n)[:, ::-1].copy()  # last window first
        offset = i - t[:, None]
        weight = np.where(offset < length, 0.5 - 0.5 * np.cos(angle * offset), 0)
        self._weight_squared = weight**2
        # How many windows hold position i or begin behind it: of the last ones, that many.
        self._holding = n - np.clip(i - length + 1, 0, n)
        self._sums = np.zeros((9, n + 1))
        # u x and M u x, followed by zeros up to a size that the FFT is quick at.
        self._pairs = np.zeros((6, quick_size(reach + length)))

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """From the signal with its ramp [shape=(n + length // 2,)]."""
        inverse = _inverse(self._weight_squared @ np.square(x))
        sums = self._sums[:, 1:]
        np.multiply(self._v_v, inverse[::-1], out=sums)
        np.cumsum(sums, axis=1, out=sums)
        matrices = self._sums.take(self._holding, axis=1).reshape(3, 3, -1)
        earlier, later = self._pairs[:3, : len(x)], self._pairs[3:, : len(x)]
        np.multiply(self._u, x, out=earlier)
        np.add.reduce(matrices * earlier, axis=1, out=later)
        spectra = np.fft.rfft(self._pairs)
        product = np.add.reduce(spectra[:3].conj() * spectra[3:], axis=0)
        size = self._pairs.shape[1]
        return np.asarray(np.fft.irfft(product, size)[: self._length] / self._n)


def _inverse(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / energy; 0 where there is none."""
    return np.divide(1.0, energy, out=np.zeros_like(energy), where=energy >= _TINY)


def quick_size(n: int) -> int:
    """The least number from n on with no prime factor above 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1
