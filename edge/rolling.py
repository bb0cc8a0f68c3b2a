"""Rolling windows of a source of audio, as features."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.resample import Resampler
from edge_genre.audio.source import Source
from edge_genre.errors import AudioError
from edge_genre.frontend import FrontEnd, FrontEndSpec, check_samples
from edge_genre.results import level_dbfs

MIN_SECONDS = 0.5  # what is shorter has no genre


@dataclass(frozen=True)
class Window:
    """One window of audio, not yet classified; times as in `edge_genre.results.WindowResult`."""

    start: float
    end: float
    features: NDArray[np.float32]  # [shape=spec.shape]
    level_dbfs: float
    front_end_ms: float
    dropped_samples: int
    padded_seconds: float


def rolling_windows(source: Source, spec: FrontEndSpec, *, hop: int) -> Iterator[Window]:
    """Cut a source into windows, each as soon as its last sample is there.

    Parameters
    ----------
    source : audio at any rate
    spec : the features to compute
    hop : samples, at the spec's rate, from one window to the next

    Raises
    ------
    AudioError
        NaN or infinity in the audio, less than half a second of it, a sample rate that no audio
        has, or the source's own errors.
    """
    front_end = FrontEnd(spec, hop=hop)
    resampler = Resampler(source.rate, spec.sample_rate)
    meter = _Meter(source)
    received = 0
    for block in source.blocks():
        meter.start()
        # Before resampling, which would smear it.
        check_samples(block, offset=received, rate=source.rate)
        received += len(block)
        front_end.accept(resampler.process(block))
        while front_end.ready:
            yield meter.window(front_end, front_end.window())
            meter.start()
        meter.stop()
    if received < min(MIN_SECONDS, spec.window_seconds) * source.rate:
        length = f"only {received / source.rate:.3f} s of audio" if received else "no samples"
        raise AudioError(f"holds {length}, expected {MIN_SECONDS} s at least")
    meter.start()
    front_end.accept(resampler.flush())
    while front_end.ready:
        yield meter.window(front_end, front_end.window())
        meter.start()
    last = front_end.last_window()
    if last is not None:
        yield meter.window(front_end, *last)


class _Meter:
    """Counts the front end's time, without what happens between windows, and dropped samples."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._dropped = 0
        self._spent = self._begin = 0.0

    def start(self) -> None:
        self._begin = time.perf_counter()

    def stop(self) -> None:
        self._spent += time.perf_counter() - self._begin

    def window(self, front_end: FrontEnd, features: NDArray[np.float32], zeros: int = 0) -> Window:
        """Describe the window that the front end gave last; ``zeros`` of it are padding."""
        rate = front_end.spec.sample_rate
        samples = front_end.samples[: len(front_end.samples) - zeros]
        level = level_dbfs(samples)
        self.stop()
        lost = self._source.dropped / self._source.rate
        window = Window(
            # The clock goes on while samples are lost.
            start=lost + front_end.start / rate,
            end=lost + (front_end.start + len(samples)) / rate,
            features=features,
            level_dbfs=level,
            front_end_ms=self._spent * 1e3,
            dropped_samples=self._source.dropped - self._dropped,
            padded_seconds=zeros / rate,
        )
        self._dropped += window.dropped_samples
        self._spent = 0.0
        return window
