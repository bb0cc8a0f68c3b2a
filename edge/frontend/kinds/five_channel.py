"""The five-channel stack: MFCC, its deltas, beat-synchronous MFCC, chroma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend import tables
from edge_genre.frontend.beats import BeatTracker, Rhythm
from edge_genre.frontend.chroma import N_CHROMA, Chroma
from edge_genre.frontend.kinds.mfcc import Coefficients
from edge_genre.frontend.kinds.mfcc_deltas import Deltas, MfccDeltas
from edge_genre.frontend.spec import require


@dataclass(frozen=True, kw_only=True)
class FiveChannel(MfccDeltas):
    """MFCC, deltas, means of MFCC between beats, and chroma: pictures of one size, stacked."""

    kind: str = "five_channel"
    ref: float | str = 1.0

    channels: ClassVar[int] = 5

    def check(self) -> None:
        super().check()
        # Beats are defined on these levels.
        for key, value in {"log": "db", "ref": 1.0, "center": True, "power": 2.0}.items():
            require(getattr(self, key) == value, key, getattr(self, key), f"{value!r}")

    @property
    def description(self) -> str:
        """In a few words."""
        return "MFCC, deltas, beats and chroma"

    def computation(self, dtype: type[Any]) -> Coefficients:
        """What computes it."""
        return _FiveChannel(self, dtype)

    @property
    def made_of_levels(self) -> bool:
        """Beats and chroma are made of more."""
        return False

    @property
    def no_graph(self) -> str | None:
        """Why this cannot be a part of a graph."""
        return "it tracks beats, and how many there are is known only when it runs"

    @property
    def no_c(self) -> str | None:
        """What the front end in C does instead."""
        return "computes log-mel and MFCC, not this: beats and chroma need a whole window in memory"


class _FiveChannel(Coefficients):
    """Computes the stack.

    A frame's row holds its log-mel levels, its power spectrum and its spectral peaks: all that the
    window's tuning, beats and chroma are made of.
    """

    def __init__(self, spec: FiveChannel, dtype: type[Any]) -> None:
        super().__init__(spec, dtype)
        self._dtype = dtype
        self._deltas = Deltas(dtype)
        self._chroma = Chroma(sample_rate=spec.sample_rate, n_fft=spec.n_fft, dtype=dtype)
        lead = spec.n_fft // (2 * spec.hop_length) if spec.center else 0
        self._tracker = BeatTracker(spec.n_frames, spec.sample_rate / spec.hop_length, lead)
        peaks = self._chroma.peak_columns
        self.widths = (*self.widths, 1 + spec.n_fft // 2, peaks, peaks)
        self._rows_of_chroma = tables.resize(N_CHROMA, spec.n_mfcc).astype(dtype).T
        self.rhythm = Rhythm(0.0, np.empty(0, np.intp), 0.0)  # of the last window

    def analyse(self, power: NDArray[Any], rows: list[NDArray[Any]]) -> None:
        """Everything that depends on one frame alone; see `Computation`."""
        _, spectra, magnitudes, deviations = rows
        super().analyse(power, rows)
        spectra[...] = power
        self._chroma.find_peaks(power, magnitudes, deviations)

    def finish(self, rows: list[NDArray[Any]]) -> NDArray[Any]:
        """The stack of one window [shape=spec.shape]."""
        n_frames, n_mfcc = self.spec.n_frames, self.spec.n_mfcc
        _, spectra, magnitudes, deviations = rows
        levels, mfcc = self.coefficients(rows)
        onsets = self._tracker.onset_strength(levels)
        bpm = self._tracker.tempo(onsets)
        beats = self._tracker.beats(onsets, bpm)
        tuning = self._chroma.tuning(magnitudes, deviations)
        chroma = self._chroma.chroma(spectra, tuning)
        self.rhythm = Rhythm(bpm, beats, tuning)

        channels = np.empty((5, n_frames, n_mfcc), self._dtype)
        channels[0] = mfcc
        self._deltas(mfcc, channels[1:3])
        synchronous = _between(mfcc, beats)
        resize = tables.resize(len(synchronous), n_frames).astype(self._dtype)
        np.matmul(resize, synchronous, out=channels[3])
        np.matmul(chroma, self._rows_of_chroma, out=channels[4])
        return self.finished(channels)


def _between(features: NDArray[Any], beats: NDArray[np.intp]) -> NDArray[Any]:
    """Means over the stretches before, between and after the beats [shape=(stretches, n)].

    Without beats the whole window is one stretch. (librosa's ``sync`` returns nothing then, and the
    published pipeline fails.)
    """
    starts = beats if len(beats) and beats[0] == 0 else np.concatenate([[0], beats])
    lengths = np.diff(np.append(starts, len(features)))
    sums = np.add.reduceat(features, starts, axis=0, dtype=np.float64)
    return np.asarray(sums / lengths[:, None], features.dtype)


KIND = FiveChannel
PRESETS = {
    # The five-channel CNN as published, in the layout of Keras and TFLite, and in PyTorch's.
    "five-channel": FiveChannel(axes="channels_last"),
    "five-channel-first": FiveChannel(axes="channels_first"),
}
