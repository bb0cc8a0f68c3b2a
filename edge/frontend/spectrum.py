"""Spectra of the frames of a window, into buffers made once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from edge_genre.frontend.framed import Framed

# Frames that are transformed together: the 130 of a 3 s window in one go, and a longer window in
# blocks, so that its spectra need no more memory than those of a short one.
BLOCK_FRAMES = 144

_HAS_OUT = int(np.__version__.split(".")[0]) >= 2


class PowerSpectrum:
    """Framed, windowed, transformed and squared, block by block.

    ``padded`` holds one window of samples with the spec's padding on both sides; write the samples
    into ``samples``, a view of its middle unless they are to be emphasised, then call `pad`.
    """

    def __init__(self, spec: Framed, dtype: type[Any]) -> None:
        self.margin = spec.margin
        self.padded = np.zeros(spec.window_samples + 2 * self.margin, dtype)
        self._inside = self.padded[self.margin : self.margin + spec.window_samples]
        self._emphasis = spec.pre_emphasis
        self.samples = np.zeros_like(self._inside) if self._emphasis else self._inside
        self._magnitudes = spec.power == 1
        self._reflect = spec.pad_mode == "reflect"
        self._frames = as_strided(
            self.padded,
            (spec.n_frames, spec.n_fft),
            (spec.hop_length * self.padded.itemsize, self.padded.itemsize),
            writeable=False,
        )
        # `transform` divides by n_fft, which is undone here; for a power of two that is exact.
        self._window = (spec.frame_window * spec.n_fft).astype(dtype)
        block = math.ceil(spec.n_frames / math.ceil(spec.n_frames / BLOCK_FRAMES))
        self._block = np.empty((block, spec.n_fft), dtype)
        self._spectrum = np.empty((block, 1 + spec.n_fft // 2), np.result_type(dtype, np.complex64))
        self._parts = self._spectrum.view(dtype)  # real and imaginary parts side by side
        self._power = np.empty(self._spectrum.shape, dtype)
        # Frames that reach into the padding differ from the same frames of a longer signal, and so
        # do those that hold the first sample of what is emphasised.
        first = -(-(self.margin + bool(self._emphasis)) // spec.hop_length)
        last = (self.margin + spec.window_samples - spec.n_fft) // spec.hop_length
        self.interior = range(min(first, spec.n_frames), min(last + 1, spec.n_frames))

    @property
    def block_frames(self) -> int:
        """Frames that one call of `power` takes at most."""
        return len(self._block)

    def pad(self) -> None:
        """Fill the margins. Zeros never change; a reflection follows the samples."""
        inside = self._inside
        if self._emphasis:
            np.multiply(self.samples[:-1], -self._emphasis, out=inside[1:])
            inside[1:] += self.samples[1:]
            inside[0] = 3 * self.samples[0] - self.samples[1]
        if self._reflect and self.margin:
            self.padded[: self.margin] = inside[self.margin : 0 : -1]
            self.padded[-self.margin :] = inside[-2 : -self.margin - 2 : -1]

    def power(self, frames: list[range]) -> NDArray[Any]:
        """Power or magnitude spectra of some stretches of frames, ``block_frames`` in all at most.

        Returns
        -------
        float [shape=(n, 1 + n_fft // 2)], one stretch after the other, valid until the next call
        """
        count = 0
        for stretch in frames:
            block = self._block[count : count + len(stretch)]
            np.multiply(self._frames[stretch.start : stretch.stop], self._window, out=block)
            count += len(stretch)
        transform(self._block[:count], self._spectrum[:count])
        parts = self._parts[:count]
        np.square(parts, out=parts)
        power = self._power[:count]
        np.add(parts[:, ::2], parts[:, 1::2], out=power)
        return np.sqrt(power, out=power) if self._magnitudes else power


def transform(frames: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """FFT of real frames, divided by their length, in their own precision.

    With ``norm="forward"`` NumPy 2 transforms float32 in single precision; with the default norm it
    would convert to double first. (NumPy 1 always computes in double.)

    Parameters
    ----------
    frames : float [shape=(count, n)]
    out : complex of the same precision [shape=(count, 1 + n // 2)], written and returned
    """
    if _HAS_OUT:
        return np.fft.rfft(frames, norm="forward", out=out)
    out[...] = np.fft.rfft(frames, norm="forward")
    return out
