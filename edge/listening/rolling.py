"""Rolling windows of a source of audio, as features."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.resample import Resampler
from edge_genre.audio.source import Source
from edge_genre.errors import AudioError
from edge_genre.frontend import FrontEnd, FrontEndSpec, check_samples
from edge_genre.frontend.together import Features, FrontEnds
from edge_genre.results import level_dbfs

MIN_SECONDS = 0.5  # what is shorter has no genre
# A gap that is longer parts two pieces of audio; a window of both would be of neither.
GAP_SECONDS = 0.25
# Audio comes in blocks of half a second, of which a sound server sometimes hands over two at once,
# so that several hops may be complete; late is who is further behind than this.
LATE_SECONDS = 1.5


@dataclass(frozen=True)
class Window:
    """One window of audio, not yet classified; times as in `edge_genre.results.WindowResult`."""

    start: float
    end: float
    features: Features  # [shape=spec.shape] for each input of the model
    level_dbfs: float
    front_end_ms: float
    dropped_samples: int
    skipped_windows: int
    padded_seconds: float


def rolling_windows(
    source: Source, specs: Sequence[FrontEndSpec], *, hop: int, live: bool = False
) -> Iterator[Window]:
    """Cut a source into windows, each as soon as its last sample is there.

    Parameters
    ----------
    source : audio at any rate
    specs : the features to compute, an array each, all of the same window
    hop : samples, at the specs' rate, from one window to the next
    live : whoever takes the windows hears the source now: as soon as they are 1.5 s late, all
        complete ones but the newest are left out and counted

    Raises
    ------
    AudioError
        NaN or infinity in the audio, less than half a second of it, a sample rate that no audio
        has, or the source's own errors.
    TypeError
        The source is none.
    """
    rolling = Rolling(source, specs, hop=hop, live=live)
    for block in source.blocks():
        yield from rolling.accept(block)
    yield from rolling.finish()


class Rolling:
    """Windows of one source, whose blocks are handed over one after another.

    Several of them can cut one source into windows, each for a model of its own. Parameters and
    errors are those of `rolling_windows`.
    """

    def __init__(
        self, source: Source, specs: Sequence[FrontEndSpec], *, hop: int, live: bool = False
    ) -> None:
        if not isinstance(source, Source):
            raise TypeError(
                f"source is a {type(source).__name__}, expected a Source; of NumPy arrays, "
                "ArraySource(arrays, rate=...) makes one"
            )
        self._source = source
        self._spec = spec = specs[0]  # its window is that of all
        self._hop = hop
        self._front_ends = FrontEnds(specs, hop=hop)
        self._resampler = Resampler(source.rate, spec.sample_rate)
        self._meter = _Meter(source)
        self._received = self._dropped = self._accepted = 0
        self._tolerated = LATE_SECONDS * spec.sample_rate if live else math.inf
        self._size = spec.window_samples
        self._next_end = self._size  # of the samples accepted

    def accept(self, block: NDArray[np.float32]) -> Iterator[Window]:
        """Take the source's next block; yield the windows that it completes."""
        source, front_ends, meter = self._source, self._front_ends, self._meter
        first = front_ends.first
        meter.start()
        if source.dropped - self._dropped > GAP_SECONDS * source.rate:
            front_ends.reset()
            self._resampler.reset()
            meter.begin_at(self._received)
            self._accepted, self._next_end = 0, self._size
        self._dropped = source.dropped
        # Before resampling, which would smear it.
        check_samples(block, offset=self._received, rate=source.rate)
        self._received += len(block)
        samples = self._resampler.process(block)
        front_ends.accept(samples)
        self._accepted += len(samples)
        while first.ready:
            is_late = self._accepted - self._next_end > self._tolerated
            features, late = front_ends.newest_window() if is_late else (front_ends.window(), 0)
            self._next_end = first.start + self._size + self._hop
            yield meter.window(first, features, late=late)
            meter.start()
        meter.stop()

    def finish(self) -> Iterator[Window]:
        """Yield the windows of what is left, now that the source has ended."""
        source, front_ends, meter = self._source, self._front_ends, self._meter
        first = front_ends.first
        received = self._received
        if received < min(MIN_SECONDS, self._spec.window_seconds) * source.rate:
            length = f"only {received / source.rate:.3f} s of audio" if received else "no samples"
            raise AudioError(f"holds {length}, expected {MIN_SECONDS} s at least")
        meter.start()
        front_ends.accept(self._resampler.flush())
        while first.ready:
            yield meter.window(first, front_ends.window())
            meter.start()
        last = front_ends.last_window()
        if last is not None:
            features, zeros = last
            yield meter.window(first, features, zeros=zeros)


class _Meter:
    """Counts the front end's time, without what happens between windows, and dropped samples."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._origin = 0.0  # seconds of audio before the front end's first sample
        self._dropped = 0
        self._spent = self._begin = 0.0

    def start(self) -> None:
        self._begin = time.perf_counter()

    def stop(self) -> None:
        self._spent += time.perf_counter() - self._begin

    def begin_at(self, received: int) -> None:
        """Say that the front end starts anew after so many of the source's samples."""
        self._origin = received / self._source.rate

    def window(
        self,
        front_end: FrontEnd,
        features: Features,
        *,
        zeros: int = 0,
        late: int = 0,
    ) -> Window:
        """Describe the window that the front end gave last.

        ``zeros`` of its samples are padding, and ``late`` windows before it were left out.
        """
        rate = front_end.spec.sample_rate
        samples = front_end.samples[: len(front_end.samples) - zeros]
        level = level_dbfs(samples)
        self.stop()
        # The clock goes on while samples are lost.
        origin = self._origin + self._source.dropped / self._source.rate
        window = Window(
            start=origin + front_end.start / rate,
            end=origin + (front_end.start + len(samples)) / rate,
            features=features,
            level_dbfs=level,
            front_end_ms=self._spent * 1e3,
            dropped_samples=self._source.dropped - self._dropped,
            skipped_windows=late,
            padded_seconds=zeros / rate,
        )
        self._dropped += window.dropped_samples
        self._spent = 0.0
        return window
