"""The time of each step of a classifier that listens, taken on the product's own path."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_genre.classifier import Classifier
from edge_genre.host.record import Record
from edge_genre.results import WindowResult


class Loop:
    """Audio that never ends: some samples again and again, in blocks of one hop.

    Parameters
    ----------
    samples : float32 [shape=(n,)]
    rate : Hz
    hop : seconds of a block
    paced : hand a block over when a microphone would have it, not at once
    """

    dropped = 0

    def __init__(
        self, samples: NDArray[np.float32], rate: int, *, hop: float, paced: bool = False
    ) -> None:
        longest = math.ceil(hop * rate) + 1
        self._length = len(samples)
        self._samples = np.resize(samples, self._length + longest)  # its beginning once more
        self._hop = hop
        self._paced = paced
        self.rate = rate
        self.waited = 0.0

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield blocks for ever."""
        given = 0
        begin = time.perf_counter()
        for number in range(1, 1 << 62):
            end = round(number * self._hop * self.rate)
            start = given % self._length
            block = self._samples[start : start + end - given]
            given = end
            if self._paced:
                now = time.perf_counter()
                ahead = begin + end / self.rate - now
                if ahead > 0:
                    time.sleep(ahead)
                    self.waited += time.perf_counter() - now
            yield block


@dataclass(frozen=True)
class Steps(Record):
    """Times of windows, one after another, in milliseconds; of the processor, all in all.

    Parameters
    ----------
    front_end : from audio to features, resampling included
    inference : from features to probabilities
    total : from audio to the result
    cpu : of all threads, for all windows together
    """

    front_end: tuple[float, ...]
    inference: tuple[float, ...]
    total: tuple[float, ...]
    cpu: float

    def __add__(self, other: Steps) -> Steps:
        """Both, one after the other."""
        return Steps(
            self.front_end + other.front_end,
            self.inference + other.inference,
            self.total + other.total,
            self.cpu + other.cpu,
        )


class Streaming:
    """A classifier on a loop of audio.

    The first window is computed at once: all of its samples are new.

    Parameters
    ----------
    classifier : to measure
    source : of audio
    hop : seconds from one window to the next
    """

    def __init__(self, classifier: Classifier, source: Loop, *, hop: float) -> None:
        self._source = source
        # Quiet passages cost what loud ones cost.
        self._results = classifier.stream(source, hop=hop, silence_dbfs=-math.inf)
        self.first, self.first_ms = self._next()

    def measure(self, windows: int) -> Steps:
        """Classify windows and take their times."""
        front_end, inference, totals = [], [], []
        begin = time.process_time()
        for _ in range(windows):
            result, total = self._next()
            front_end.append(result.front_end_ms)
            inference.append(result.inference_ms)
            totals.append(total)
        cpu = (time.process_time() - begin) * 1e3
        return Steps(tuple(front_end), tuple(inference), tuple(totals), cpu)

    def _next(self) -> tuple[WindowResult, float]:
        waited, begin = self._source.waited, time.perf_counter()
        result = next(self._results)
        passed = time.perf_counter() - begin - (self._source.waited - waited)
        return result, passed * 1e3
