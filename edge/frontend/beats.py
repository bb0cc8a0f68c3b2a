"""Onset strength, tempo and beats, as ``librosa.beat.beat_track`` finds them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from edge_genre.frontend.median import sort_for_median
from edge_genre.frontend.tempogram import MeanTempogram

# librosa's defaults, all of them.
_START_BPM = 120.0
_MAX_BPM = 320.0
_TEMPO_SECONDS = 8.0
_TIGHTNESS = 100.0
_HANN_5 = np.array([0.0, 0.5, 1.0, 0.5, 0.0])


@dataclass(frozen=True)
class Rhythm:
    """What was found on the way: beats a minute (0: none), frames of the beats, the tuning."""

    bpm: float
    beats: NDArray[np.intp]
    tuning: float


class BeatTracker:
    """Finds beats in the levels of one window.

    Onset strength is the median over mel bands of the rise in level from frame to frame. The tempo
    is the strongest lag of its local autocorrelation, weighted by a log-normal prior around 120 bpm
    (Grosche, Müller and Kurth 2010; Ellis 2007); the beats are the best path through the onsets at
    that tempo, by dynamic programming (Ellis, Beat Tracking by Dynamic Programming, 2007).

    Parameters
    ----------
    n_frames : of a window
    frame_rate : frames a second
    lead : frames by which an onset is noticed early, ``n_fft // (2 * hop_length)`` if centred
    """

    def __init__(self, n_frames: int, frame_rate: float, lead: int) -> None:
        self._frame_rate = frame_rate
        self._lead = lead
        length = max(2, int(_TEMPO_SECONDS * frame_rate))  # frames of one autocorrelation
        self._tempogram = MeanTempogram(n_frames, length)
        lags = np.arange(1, length)
        bpm = 60.0 * frame_rate / lags
        prior = -0.5 * np.log2(bpm / _START_BPM) ** 2
        prior[: int(np.argmax(bpm < _MAX_BPM))] = -np.inf
        self._bpm, self._prior = bpm, prior
        self._path = lru_cache(maxsize=16)(partial(_Path, n_frames))

    def onset_strength(self, levels: NDArray[Any]) -> NDArray[Any]:
        """Onset strength of each frame.

        Parameters
        ----------
        levels : dB [shape=(n_frames, n_mels)]

        Returns
        -------
        float [shape=(n_frames,)], of the levels' type
        """
        rises = levels[1:] - levels[:-1]
        np.maximum(rises, 0, out=rises)
        medians = sort_for_median(rises)
        onsets = np.zeros(len(levels), levels.dtype)
        first = 1 + self._lead
        onsets[first:] = medians[: len(levels) - first]
        return onsets

    def tempo(self, onsets: NDArray[Any]) -> float:
        """Beats a minute, one of the values that whole frames allow; 0 without onsets."""
        if not onsets.any():
            return 0.0
        strength = self._tempogram(onsets)[1:]
        return float(self._bpm[np.argmax(np.log1p(1e6 * strength) + self._prior)])

    def beats(self, onsets: NDArray[Any], bpm: float) -> NDArray[np.intp]:
        """Frames of the beats, in order [shape=(n,)]; none where there are no onsets."""
        if not onsets.any():
            return np.empty(0, np.intp)
        centred = onsets - onsets.mean()
        spread = math.sqrt(float(centred @ centred) / (len(onsets) - 1))
        tiny = float(np.finfo(onsets.dtype).tiny)
        normalized = (onsets / (spread + tiny)).astype(np.float64)
        normalized[0] = 0.0  # the reference's smoothing never reads it
        return self._path(int(np.round(60.0 * self._frame_rate / bpm)))(normalized)


class _Path:
    """The best path through the onsets of ``n`` frames, for one period between beats.

    No step is shorter than half a period, so that the best totals of as many frames are found at
    once; the views and buffers of these blocks are made here, since a period stays for a while.
    """

    def __init__(self, n: int, period: int) -> None:
        self._period = period
        steps = np.arange(max(1, round(period / 2)), 2 * period + 1)
        # What a step costs that is not one period long.
        self._penalty = -_TIGHTNESS * (np.log(steps) - np.log(period)) ** 2
        # A Gaussian, a 32nd of the period wide.
        self._smoothing = np.exp(-0.5 * (np.arange(-period, period + 1) * 32.0 / period) ** 2)
        self._shortest, longest = int(steps[0]), int(steps[-1])
        self._score = np.empty(n)
        # The best total score of a path up to each frame. Nothing leads to a frame before the
        # first, nor from one to the first few.
        self._padded = np.full(longest + n, -np.inf)
        self._total = self._padded[longest:]
        # Row i: the totals of frames i - shortest, i - shortest - 1, ... i - longest.
        nearest_first = (self._padded.itemsize, -self._padded.itemsize)
        self._earlier = as_strided(
            self._padded[longest - self._shortest :], (n, len(steps)), nearest_first
        )
        sums = np.empty((self._shortest, len(steps)))
        best = np.empty(self._shortest)
        self._blocks = []
        for first in range(self._shortest, n, self._shortest):
            block = slice(first, min(first + self._shortest, n))
            size = block.stop - first
            self._blocks.append(
                (
                    self._earlier[block],
                    sums[:size],
                    best[:size],
                    self._score[block],
                    self._total[block],
                )
            )

    def __call__(self, normalized: NDArray[np.float64]) -> NDArray[np.intp]:
        score, total = self._score, self._total
        smoothed = np.convolve(normalized, self._smoothing)
        score[:] = smoothed[self._period : self._period + len(score)]
        total[: self._shortest] = score[: self._shortest]
        for earlier, sums, best, own, block_total in self._blocks:
            np.add(earlier, self._penalty, out=sums)
            np.maximum.reduce(sums, axis=1, out=best)
            np.add(own, best, out=block_total)
        # Back from the last beat; weak frames before the first strong one begin no path.
        strong = max(self._shortest, int(np.argmax(score >= 0.01 * score.max())))
        path = [_last(total)]
        while path[-1] >= strong:
            step = int((self._earlier[path[-1]] + self._penalty).argmax())
            path.append(path[-1] - self._shortest - step)
        return _trimmed(score, np.array(path[::-1], np.intp))


def _last(total: NDArray[np.float64]) -> int:
    """The last local maximum of the total score that is half its median at least."""
    middle = total[1:-1]
    peaks = 1 + np.flatnonzero((middle > total[:-2]) & (middle >= total[2:]))
    if total[-1] > total[-2]:
        peaks = np.append(peaks, len(total) - 1)
    if not len(peaks):
        return len(total) - 1
    strong = np.flatnonzero(total[peaks] >= 0.5 * sort_for_median(total[peaks]))
    return int(peaks[strong[-1]]) if len(strong) else len(total) - 1


def _trimmed(score: NDArray[np.float64], beats: NDArray[np.intp]) -> NDArray[np.intp]:
    """Without weak beats at both ends: below half the RMS of the smoothed scores at the beats."""
    smooth = np.convolve(score[beats], _HANN_5)[2 : len(score) + 2]
    strong = np.flatnonzero(score > 0.5 * math.sqrt(float(smooth @ smooth) / len(smooth)))
    if not len(strong):
        return beats[:0]
    return np.asarray(beats[(beats >= strong[0]) & (beats <= strong[-1])])
