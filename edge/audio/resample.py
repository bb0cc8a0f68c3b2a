"""Resampling between any two rates, streaming, in NumPy."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import ArrayLike, NDArray

from edge_genre.audio.source import Source
from edge_genre.errors import AudioError

# Stop band of the anti-aliasing filter, dB: below the noise of 16-bit audio by 20 dB.
_ATTENUATION = 120.0
# Kaiser's formula for the shape parameter (Kaiser 1974).
_BETA = 0.1102 * (_ATTENUATION - 8.7)
# The pass band ends here, as a fraction of the lower Nyquist frequency; the stop band begins at it.
_PASS = 0.913
# Outputs of one matrix: enough for BLAS to be quick, few enough that the band of non-zeros, which
# is as long as the filter, fills most of the matrix.
_COLUMNS = 128
# Outputs that are computed together, and no others: for another number of rows BLAS may sum in
# another order, and a rounding error is enough to move an 8-bit network. So the same sound gives
# the same samples, however it is cut into blocks.
_TOGETHER = 2048
# Bytes of all matrices, at most, and about what a phase takes where both rates are the same.
_MAX_TABLES = 32e6
_PHASE_BYTES = 2000
# Beyond these a file's header is damaged rather than its rate unusual.
_RATES = range(4_000, 768_001)


class Resampler:
    """Polyphase resampling from one rate to another, in blocks of any size.

    The output starts at the input's first sample (no delay) and ends with its last; silence is
    assumed around the signal. The filter is a Kaiser-windowed sinc: flat to 91 % of the lower
    Nyquist frequency, 120 dB down from that frequency on.

    Output n stands at input position ``n * source / target``. With the rates reduced to their
    smallest whole ratio, positions repeat in a cycle, and the outputs of a cycle are cut into
    groups; a group is the product of one stretch of input with one constant matrix, and the same
    group of a batch of cycles is one matrix product over a strided view of the input. A batch is
    about 2,000 outputs, which come together.

    Parameters
    ----------
    source, target : Hz

    Raises
    ------
    AudioError
        A rate is below 4 kHz or above 768 kHz.
    """

    def __init__(self, source: int, target: int) -> None:
        for rate in (source, target):
            if rate not in _RATES:
                raise AudioError(
                    f"the sample rate is {rate} Hz, expected {_RATES[0]} to {_RATES[-1]} Hz"
                )
        self.source = source
        self.target = target
        # Exact between all common rates. 44,101 Hz would need 22,050 different phases: the nearest
        # ratio whose tables are small enough is not to be told from it (3e-5 off at most, which is
        # 0.05 cents).
        phases = int(_MAX_TABLES / (_PHASE_BYTES * max(1.0, source / target)))
        down, up = Fraction(source, target).limit_denominator(phases).as_integer_ratio()
        # Several cycles make one where a cycle has few outputs, as 44,100 to 22,050 Hz has one.
        repeat = max(1, _COLUMNS // up)
        self._cycle_in, self._cycle_out = down * repeat, up * repeat
        self._batch = max(1, _TOGETHER // self._cycle_out)
        self._ratio = (down, up)
        cutoff = min(1.0, up / down)  # lower Nyquist frequency over that of the source
        width = math.pi * (1 - _PASS) * cutoff
        self._half = math.ceil(((_ATTENUATION - 7.95) / (2.285 * width) + 1) / 2)
        self._cutoff = cutoff * (1 + _PASS) / 2
        groups = math.ceil(self._cycle_out / _COLUMNS)
        edges = [self._cycle_out * g // groups for g in range(groups + 1)]
        self._groups = [slice(a, b) for a, b in itertools.pairwise(edges)]
        self._matrices: dict[int, tuple[int, NDArray[np.float32]]] = {}
        self.reset()

    def reset(self) -> None:
        """Forget the signal so far."""
        # Silence before the first sample, so that the filter can be centred on it.
        self._input = np.zeros(self._half, np.float32)
        self._received = 0
        self._produced = 0

    def process(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Take the next samples and return the outputs that they complete.

        Parameters
        ----------
        samples : float [shape=(n,)]

        Returns
        -------
        float32 [shape=(m,)], m as small as 0
        """
        block = np.asarray(samples, np.float32)
        if self.source == self.target:
            return block
        self._received += len(block)
        self._input = np.concatenate([self._input, block])
        return self._whole_batches()

    def flush(self) -> NDArray[np.float32]:
        """End the signal: return the outputs that are still due, and reset.

        Returns
        -------
        float32 [shape=(m,)]; all in all ``ceil(n_in * target / source)`` outputs have come
        """
        if self.source == self.target:
            return np.empty(0, np.float32)
        due = -(-self._received * self.target // self.source) - self._produced
        batches = -(-due // (self._batch * self._cycle_out))
        silence = batches * self._batch * self._cycle_in + 2 * self._half
        self._input = np.concatenate([self._input, np.zeros(silence, np.float32)])
        output = self._whole_batches()[:due]
        self.reset()
        return output

    def _whole_batches(self) -> NDArray[np.float32]:
        start, matrix = self._matrix(len(self._groups) - 1)
        reach = start + len(matrix)  # the last group's stretch is the last one to be complete
        cycles = max(0, (len(self._input) - reach) // self._cycle_in + 1)
        batches = cycles // self._batch
        output = np.empty((batches, self._batch, self._cycle_out), np.float32)
        if not batches:
            return output.reshape(-1)
        step = self._input.itemsize
        cycle = self._cycle_in * step
        for index, group in enumerate(self._groups):
            start, matrix = self._matrix(index)
            stretches = as_strided(
                self._input[start:],
                (batches, self._batch, len(matrix)),
                (self._batch * cycle, cycle, step),
            )
            np.matmul(stretches, matrix, out=output[..., group])
        self._input = self._input[batches * self._batch * self._cycle_in :].copy()
        self._produced += output.size
        return output.reshape(-1)

    def _matrix(self, index: int) -> tuple[int, NDArray[np.float32]]:
        """First input of a group's stretch, and its matrix (inputs, outputs); made when needed."""
        if index not in self._matrices:
            down, up = self._ratio
            n = np.arange(self._groups[index].start, self._groups[index].stop)
            centre = n * down // up  # whole input sample at or before the output
            start, stop = int(centre[0]), int(centre[-1]) + 2 * self._half
            # In the buffer, input sample i of this cycle stands at i + half.
            inputs = np.arange(start, stop) - self._half
            distance = inputs[:, None] - n * (down / up)
            inside = np.clip(1 - (distance / self._half) ** 2, 0.0, None)
            kernel = np.sinc(distance * self._cutoff) * np.i0(_BETA * np.sqrt(inside))
            kernel *= (inside > 0) / np.i0(_BETA)
            # Unit gain for a constant signal, whatever the phase: no ripple at the phases' rate.
            kernel /= kernel.sum(axis=0)
            self._matrices[index] = (start, kernel.astype(np.float32))
        return self._matrices[index]


def resampled(source: Source, rate: int) -> NDArray[np.float32]:
    """All of a source, at another rate.

    Returns
    -------
    float32 [shape=(n,)], mono

    Raises
    ------
    AudioError
        The source's own.
    """
    resampler = Resampler(source.rate, rate)
    pieces = [resampler.process(block) for block in source.blocks()]
    return np.concatenate([*pieces, resampler.flush()])
