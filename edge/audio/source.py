"""What every source of audio has, and what stands between one and its user."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge_genre.errors import AudioError


@runtime_checkable
class Source(Protocol):
    """Mono audio, block by block: whatever has these three can be classified.

    Nothing else is asked of a source. One that holds a file or a device is a context manager, too,
    and whoever opened it closes it. How long it is need not be known. Blocks have any length, and
    the next one is asked for when the one before has been used; who cannot wait keeps what comes
    meanwhile, or loses it and counts it in ``dropped``. A source is read once, by one reader.

    A source of one's own needs no base class::

        class Hum:
            rate = 16_000
            dropped = 0

            def blocks(self):
                t = np.arange(5 * self.rate) / self.rate
                yield np.sin(2 * np.pi * 50 * t).astype(np.float32)

        song = Classifier.load().classify(Hum())

    ``isinstance(thing, Source)`` tells whether something has all three.
    """

    @property
    def rate(self) -> int:
        """Samples a second; it does not change."""

    @property
    def dropped(self) -> int:
        """Samples lost so far, at ``rate``; times in results go on over them.

        After a gap of more than a quarter of a second, the window begins anew.
        """

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield blocks, float32 [shape=(n,)], full scale 1, in order, until the audio ends.

        What goes wrong is an error of `edge_genre.errors`, which reaches whoever takes the results.
        """


@contextlib.contextmanager
def naming(source: object) -> Iterator[None]:
    """Say of an audio error which source it is of."""
    try:
        yield
    except AudioError as error:
        raise AudioError(f"{source}: {error}") from None


def mono(block: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Mix a block [shape=(n, channels)] down to one channel [shape=(n,)], by the mean."""
    channels = block.shape[1]
    if channels == 1:
        if out is None:
            return block[:, 0]
        out[:] = block[:, 0]
        return out
    # Channel by channel: NumPy's mean along so short an axis takes twenty times as long.
    mixed: NDArray[np.float32] = np.add(block[:, 0], block[:, 1], out=out)
    for channel in range(2, channels):
        mixed += block[:, channel]
    mixed /= channels
    return mixed


class Metered:
    """A source whose samples are counted, and which may end early.

    Parameters
    ----------
    source : any source
    limit : seconds of it to take; all where it is left out
    """

    def __init__(self, source: Source, limit: float | None = None) -> None:
        self._source = source
        self._limit = None if limit is None else round(limit * source.rate)
        self._samples = 0
        self.rate = source.rate

    @property
    def dropped(self) -> int:
        """Samples lost so far."""
        return self._source.dropped

    @property
    def seconds(self) -> float:
        """How much has come so far."""
        return self._samples / self.rate

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the source's blocks, until the limit is reached."""
        for block in self._source.blocks():
            if self._limit is not None:
                block = block[: self._limit - self._samples]
            self._samples += len(block)
            yield block
            if self._samples == self._limit:
                return
