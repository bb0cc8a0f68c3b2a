"""A bounded buffer between the sound card's thread and ours."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray


class Ring:
    """Samples from one writer to one reader; when full, new ones are dropped and counted.

    The writer neither waits nor allocates: it copies, moves its own counter and sets an event.

    Parameters
    ----------
    capacity : samples
    """

    def __init__(self, capacity: int) -> None:
        self._buffer = np.zeros(capacity, np.float32)
        self._written = 0  # moved by the writer only
        self._read = 0  # moved by the reader only
        self._event = threading.Event()
        self.dropped = 0

    def write(self, samples: NDArray[np.float32]) -> None:
        """Append samples [shape=(n,)], as many as there is room for."""
        free = len(self._buffer) - (self._written - self._read)
        count = min(free, len(samples))
        self.dropped += len(samples) - count
        at = self._written % len(self._buffer)
        first = min(count, len(self._buffer) - at)
        self._buffer[at : at + first] = samples[:first]
        self._buffer[: count - first] = samples[first:count]
        self._written += count
        self._event.set()

    def read(self, timeout: float) -> NDArray[np.float32]:
        """Take all samples that are there, after waiting for the first of them.

        Parameters
        ----------
        timeout : seconds to wait at most

        Returns
        -------
        float32 [shape=(n,)], n is 0 after a time-out
        """
        if self._written == self._read:
            self._event.wait(timeout)
        self._event.clear()
        count = self._written - self._read
        at = self._read % len(self._buffer)
        first = min(count, len(self._buffer) - at)
        samples = np.concatenate([self._buffer[at : at + first], self._buffer[: count - first]])
        self._read += count
        return samples
