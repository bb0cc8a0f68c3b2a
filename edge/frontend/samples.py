"""The samples of a stream: checked, and queued."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_genre.errors import AudioError

# Far beyond any audio, and small enough that its square is far from the greatest float32.
MAX_SAMPLE = 1e6


def check_samples(samples: NDArray[np.float32], *, offset: int = 0, rate: int = 0) -> None:
    """Refuse NaN, infinity, and what is no audio with a full scale of 1.

    Parameters
    ----------
    samples : float32 [shape=(n,)]
    offset : position in the stream of the first sample, for the message
    rate : samples a second, for the message; 0 to leave the time out

    Raises
    ------
    AudioError
        With the position of the first such sample.
    """
    # No sample is beyond the limit if their energy is not: look closer only then.
    if float(np.vdot(samples, samples)) <= MAX_SAMPLE**2:
        return
    bad = np.flatnonzero(~(np.abs(samples) <= MAX_SAMPLE))
    if len(bad):
        index = int(bad[0])
        where = f"sample {offset + index}"
        if rate:
            where += f" ({(offset + index) / rate:.3f} s)"
        raise AudioError(
            f"{where} is {samples[index]:g}: expected finite numbers, of which 1 is full scale"
        )


class SampleQueue:
    """First in, first out, in one array that grows only when a backlog does."""

    def __init__(self, capacity: int) -> None:
        self._buffer = np.empty(capacity, np.float32)
        self.clear()

    def __len__(self) -> int:
        return self._stop - self._start

    def clear(self) -> None:
        self._start = self._stop = 0

    def push(self, samples: NDArray[np.float32]) -> None:
        wanted = len(self) + len(samples)
        if self._stop + len(samples) > len(self._buffer):
            held = self._buffer[self._start : self._stop]
            if wanted > len(self._buffer):
                self._buffer = np.empty(2 * wanted, np.float32)
            self._buffer[: len(held)] = held
            self._start, self._stop = 0, len(held)
        self._buffer[self._stop : self._stop + len(samples)] = samples
        self._stop += len(samples)

    def skip(self, count: int) -> int:
        """Drop samples; return how many more should have been dropped than there were."""
        dropped = min(count, len(self))
        self._start += dropped
        return count - dropped

    def pop(self, out: NDArray[np.float32]) -> None:
        out[:] = self._buffer[self._start : self._start + len(out)]
        self._start += len(out)
