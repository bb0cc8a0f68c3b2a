"""The one type that every source of audio has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Source(Protocol):
    """Mono audio, block by block."""

    @property
    def rate(self) -> int:
        """Samples a second."""

    @property
    def dropped(self) -> int:
        """Samples lost so far."""

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield blocks, float32 [shape=(n,)], full scale 1, in order, until the audio ends."""


def mono(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mix a block [shape=(n, channels)] down to one channel [shape=(n,)], by the mean."""
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)


class Take:
    """The beginning of a source.

    Parameters
    ----------
    source : any source
    seconds : of it
    """

    def __init__(self, source: Source, seconds: float) -> None:
        self._source = source
        self._samples = round(seconds * source.rate)
        self.rate = source.rate

    @property
    def dropped(self) -> int:
        """Samples lost so far."""
        return self._source.dropped

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the source's blocks until so many seconds have come."""
        left = self._samples
        for block in self._source.blocks():
            yield block[:left]
            left -= len(block)
            if left <= 0:
                return
