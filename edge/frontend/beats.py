"""Onset strength, tempo and beats, as ``librosa.beat.beat_track`` finds them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge_genre.frontend.tempogram import MeanTempogram

# librosa's defaults, all of them.
_START_BPM = 120.0
_MAX_BPM = 320.0
_TEMPO_SECONDS = 8.0
_TIGHTNESS = 100.0
_HANN_5 = np.array([0.0, 0.5, 1.0, 0.5, 0.0])


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
        rises.sort(axis=1)  # NumPy's sort is quicker than its partition here
        n_mels = rises.shape[1]
        median = (rises[:, (n_mels - 1) // 2] + rises[:, n_mels // 2]) / 2
        onsets = np.zeros(len(levels), levels.dtype)
        first = 1 + self._lead
        onsets[first:] = median[: len(levels) - first]
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
        period = int(np.round(60.0 * self._frame_rate / bpm))
        spread = onsets.std(ddof=1)
        normalized = (onsets / (spread + np.finfo(onsets.dtype).tiny)).astype(np.float64)
        normalized[0] = 0.0  # the reference's smoothing never reads it
        score = np.convolve(normalized, _smoothing(period))[period : period + len(onsets)]
        return _trimmed(score, _best_path(score, period))


@lru_cache(maxsize=64)
def _smoothing(period: int) -> NDArray[np.float64]:
    """A Gaussian, a 32nd of the period wide."""
    return np.exp(-0.5 * (np.arange(-period, period + 1) * 32.0 / period) ** 2)


@lru_cache(maxsize=64)
def _penalty(period: int) -> NDArray[np.float64]:
    """What a step costs that is not one period long, for steps of half a period to two."""
    steps = np.arange(round(period / 2), 2 * period + 1)
    steps = steps[steps > 0]
    return np.asarray(-_TIGHTNESS * (np.log(steps) - np.log(period)) ** 2)


def _best_path(score: NDArray[np.float64], period: int) -> NDArray[np.intp]:
    """The frames of the best path, in order.

    No step is shorter than half a period, so that the totals of as many frames are found at once.
    """
    penalty = _penalty(period)
    longest = 2 * period
    shortest = longest + 1 - len(penalty)
    n = len(score)
    # The best total score of a path up to each frame. Nothing leads to a frame before the first,
    # nor from one to the first few.
    total = np.full(longest + n, -np.inf)
    total[longest : longest + shortest] = score[:shortest]
    # Window i holds the totals of frames i - longest .. i - shortest; nearest first.
    windows = sliding_window_view(total, len(penalty))[:n, ::-1]
    for first in range(shortest, n, shortest):
        last = min(first + shortest, n)
        best = np.maximum.reduce(windows[first:last] + penalty, axis=1)
        np.add(score[first:last], best, out=total[longest + first : longest + last])
    # Back from the last beat; weak frames before the first strong one begin no path.
    strong = max(shortest, int(np.argmax(score >= 0.01 * score.max())))
    path = [_last(total[longest:])]
    while path[-1] >= strong:
        step = shortest + int(np.argmax(windows[path[-1]] + penalty))
        path.append(path[-1] - step)
    return np.array(path[::-1], np.intp)


def _last(total: NDArray[np.float64]) -> int:
    """The last local maximum of the total score that is half its median at least."""
    peaks = np.zeros(len(total), bool)
    peaks[1:-1] = (total[1:-1] > total[:-2]) & (total[1:-1] >= total[2:])
    peaks[-1] = total[-1] > total[-2]
    if not peaks.any():
        return len(total) - 1
    heights = np.sort(total[peaks])
    median = (heights[(len(heights) - 1) // 2] + heights[len(heights) // 2]) / 2
    strong = np.flatnonzero(peaks & (total >= 0.5 * median))
    return int(strong[-1]) if len(strong) else len(total) - 1


def _trimmed(score: NDArray[np.float64], beats: NDArray[np.intp]) -> NDArray[np.intp]:
    """Without weak beats at both ends: below half the RMS of the smoothed scores at the beats."""
    smooth = np.convolve(score[beats], _HANN_5)[2 : len(score) + 2]
    strong = np.flatnonzero(score > 0.5 * math.sqrt(float(smooth @ smooth) / len(smooth)))
    if not len(strong):
        return beats[:0]
    return np.asarray(beats[(beats >= strong[0]) & (beats <= strong[-1])])
