"""A bounded buffer between the sound card's thread and ours."""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.source import mono


class Ring:
    """Samples from one writer to one reader; when it is full, new ones are dropped.

    The writer never waits for the reader: it mixes channels down into the buffer, moves its own
    counter and releases a lock that a reader without samples waits for. (A `threading.Event` is a
    condition made in Python, which costs both sides several times as much.)

    Parameters
    ----------
    capacity : samples
    """

    def __init__(self, capacity: int) -> None:
        self._buffer = np.zeros(capacity, np.float32)
        self._written = 0  # moved by the writer only
        self._read = 0  # moved by the reader only
        self._drops: deque[tuple[int, int]] = deque()  # position and number of dropped samples
        self._arrived = threading.Lock()  # free from a write until a reader has waited for it
        self._arrived.acquire()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Samples missing before the end of what has been read."""
        return self._dropped

    def write(self, block: NDArray[np.float32]) -> None:
        """Append a block [shape=(n, channels)], mixed down, as much of it as there is room for."""
        free = len(self._buffer) - (self._written - self._read)
        count = min(free, len(block))
        at = self._written % len(self._buffer)
        first = min(count, len(self._buffer) - at)
        mono(block[:first], out=self._buffer[at : at + first])
        if first < count:
            mono(block[first:count], out=self._buffer[: count - first])
        if count < len(block):
            self._drops.append((self._written + count, len(block) - count))
        self._written += count
        if self._arrived.locked():
            self._arrived.release()

    def read(self, timeout: float) -> NDArray[np.float32]:
        """Take the samples that are there, after waiting for the first of them.

        Samples on the two sides of a gap never come together: `dropped` grows in between.

        Parameters
        ----------
        timeout : seconds to wait at most

        Returns
        -------
        float32 [shape=(n,)], n is 0 after a time-out only
        """
        deadline = time.monotonic() + timeout
        # The lock may be free because of samples that were taken before: look again.
        while self._written == self._read:
            left = deadline - time.monotonic()
            if left <= 0 or not self._arrived.acquire(timeout=left):
                break
        while self._drops and self._drops[0][0] == self._read:
            self._dropped += self._drops.popleft()[1]
        stop = self._drops[0][0] if self._drops else self._written
        count = min(stop, self._written) - self._read
        at = self._read % len(self._buffer)
        first = min(count, len(self._buffer) - at)
        samples = self._buffer[at : at + first].copy()
        if first < count:
            samples = np.concatenate([samples, self._buffer[: count - first]])
        self._read += count
        return samples
