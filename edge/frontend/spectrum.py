"""Power spectra of the frames of a window, into buffers made once."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from edge_genre.frontend.spec import FrontEndSpec

# Frames that are transformed together: 32 frames of 2048 are 256 kB of samples and as much of
# spectrum, which stays in a small core's second-level cache.
BLOCK_FRAMES = 32

_SINGLE_PRECISION = int(np.__version__.split(".")[0]) >= 2


class PowerSpectrum:
    """Framed, windowed, transformed and squared, block by block.

    ``padded`` holds one window of samples with the spec's padding on both sides; write the samples
    into ``samples``, a view of its middle, then call `pad`.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self.margin = spec.n_fft // 2 if spec.center else 0
        self.padded = np.zeros(spec.window_samples + 2 * self.margin, np.float32)
        self.samples = self.padded[self.margin : self.margin + spec.window_samples]
        self._reflect = spec.pad_mode == "reflect"
        self._frames = as_strided(
            self.padded,
            (spec.n_frames, spec.n_fft),
            (spec.hop_length * self.padded.itemsize, self.padded.itemsize),
            writeable=False,
        )
        # With norm="forward" NumPy 2 transforms float32 in single precision; with the default norm
        # it would convert to double. The division by n_fft that this norm brings is undone here;
        # for a power of two that is exact. (NumPy 1 always computes in double.)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(spec.n_fft) / spec.n_fft)
        self._window = (hann * spec.n_fft).astype(np.float32)
        block = min(BLOCK_FRAMES, spec.n_frames)
        self._block = np.empty((block, spec.n_fft), np.float32)
        self._spectrum = np.empty((block, 1 + spec.n_fft // 2), np.complex64)
        self._power = np.empty(self._spectrum.shape, np.float32)
        self._square = np.empty(self._spectrum.shape, np.float32)
        # Frames that reach into the padding: they differ from the same frames of a longer signal.
        first = -(-self.margin // spec.hop_length)
        last = (self.margin + spec.window_samples - spec.n_fft) // spec.hop_length
        self.interior = range(min(first, spec.n_frames), min(last + 1, spec.n_frames))

    @property
    def block_frames(self) -> int:
        """Frames that one call of `power` takes at most."""
        return len(self._block)

    def pad(self) -> None:
        """Fill the margins. Zeros never change; a reflection follows the samples."""
        if self._reflect and self.margin:
            self.padded[: self.margin] = self.samples[self.margin : 0 : -1]
            self.padded[-self.margin :] = self.samples[-2 : -self.margin - 2 : -1]

    def power(self, start: int, stop: int) -> NDArray[np.float32]:
        """Power spectra of frames ``start`` to ``stop``, ``block_frames`` at most.

        Returns
        -------
        float32 [shape=(stop - start, 1 + n_fft // 2)], valid until the next call
        """
        count = stop - start
        block, spectrum = self._block[:count], self._spectrum[:count]
        power, square = self._power[:count], self._square[:count]
        np.multiply(self._frames[start:stop], self._window, out=block)
        if _SINGLE_PRECISION:
            np.fft.rfft(block, norm="forward", out=spectrum)  # type: ignore[arg-type]
        else:
            spectrum[...] = np.fft.rfft(block, norm="forward")
        np.square(spectrum.real, out=power)
        np.square(spectrum.imag, out=square)
        power += square
        return power
