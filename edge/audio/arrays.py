"""Samples that are in memory already, or come from another library as NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.source import mono
from edge_genre.errors import AudioError


class ArraySource:
    """NumPy arrays as a source of audio.

    Anything that gives arrays one after another will do, such as a generator of those that another
    thread puts into a queue, and of None at the end::

        def chunks():
            while (chunk := queue.get()) is not None:
                yield chunk

        for window in classifier.stream(ArraySource(chunks(), rate=16_000), hop=0.5):
            print(window.label, window.probability)

    Parameters
    ----------
    samples : one array, or an iterable of them, each [shape=(n,)] or, to be mixed down to one
        channel, [shape=(n, channels)]. Integers are scaled by their type's full scale (int16 by
        32,768); of floats, full scale is 1
    rate : samples a second

    Raises
    ------
    ValueError
        The rate is not positive.
    """

    dropped = 0

    def __init__(self, samples: NDArray[Any] | Iterable[NDArray[Any]], *, rate: int) -> None:
        if rate < 1:
            raise ValueError(f"rate is {rate} Hz, expected 1 or more")
        self.rate = rate
        self._arrays = (samples,) if isinstance(samples, np.ndarray) else samples

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield each array as it comes, a second of it at a time.

        Raises
        ------
        AudioError
            An array has another number of axes, no channel, or another type of numbers.
        """
        for array in self._arrays:
            samples = np.asarray(array)
            if samples.ndim == 1:
                samples = samples[:, None]
            if samples.ndim != 2 or not samples.shape[1]:
                raise AudioError(
                    f"an array of samples has shape {np.shape(array)}, expected (n,) or "
                    "(n, channels)"
                )
            for first in range(0, len(samples), self.rate):
                yield mono(_as_float(samples[first : first + self.rate]))


def _as_float(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Samples with a full scale of 1, whatever their type."""
    kind = samples.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):  # refused later, with its position
            return samples.astype(np.float32, copy=False)
    if kind == "i":
        return samples.astype(np.float32) / np.float32(-float(np.iinfo(samples.dtype).min))
    raise AudioError(f"samples are {samples.dtype}, expected floats or signed integers")
