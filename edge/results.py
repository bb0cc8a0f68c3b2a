"""What a classified window and a classified song are: one schema for every output.

``WindowResult.to_dict`` is what ``--json`` prints and what any other sink sends; its ``schema``
number changes when a key changes its meaning or goes away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.choices import VOTES
from edge_genre.softmax import softmax

SCHEMA = 1
SILENCE = "silence"
SILENCE_DBFS = -60.0  # default gate: below it, features are those of the noise floor
MIN_DBFS = -120.0  # digital silence, which has no level in dB, is given as this


@dataclass(frozen=True, kw_only=True)
class WindowResult:
    """One classified window of audio.

    Parameters
    ----------
    start, end : position in the audio, in seconds; ``end`` is where real audio ends
    label : a genre, or ``"silence"``
    probabilities : one a genre, adding up to 1; None for silence
    level_dbfs : RMS level relative to full scale (a full-scale square wave is 0), -120 at least
    front_end_ms, inference_ms : time that it took
    dropped_samples : samples, at the source's rate, lost since the window before was complete; the
        times go on meanwhile
    skipped_windows : windows before it that were left out because the microphone would not wait
    padded_seconds : zeros appended because the audio was shorter than a window
    """

    start: float
    end: float
    label: str
    probabilities: dict[str, float] | None
    level_dbfs: float
    front_end_ms: float
    inference_ms: float
    dropped_samples: int = 0
    skipped_windows: int = 0
    padded_seconds: float = 0.0

    @property
    def probability(self) -> float:
        """Probability of the label; 0 for silence."""
        return self.probabilities[self.label] if self.probabilities else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the documented schema, ready for JSON."""
        return {
            "schema": SCHEMA,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "label": self.label,
            "probability": round(self.probability, 4),
            "probabilities": _rounded(self.probabilities),
            "level_dbfs": round(self.level_dbfs, 1),
            "front_end_ms": round(self.front_end_ms, 3),
            "inference_ms": round(self.inference_ms, 3),
            "dropped_samples": self.dropped_samples,
            "skipped_windows": self.skipped_windows,
            "padded_seconds": round(self.padded_seconds, 3),
        }


@dataclass(frozen=True, kw_only=True)
class SongResult:
    """One classified file.

    Parameters
    ----------
    path : as it was given
    duration : seconds
    label : the vote of the windows that are not silent; ``"silence"`` if all are
    probabilities : mean over those windows, sharpened as the model asks for (see `vote`), or with
        a majority vote the share of windows that each genre won; None for silence
    vote : ``"mean"`` or ``"majority"``
    windows : in order
    """

    path: str
    duration: float
    label: str
    probabilities: dict[str, float] | None
    vote: str
    windows: tuple[WindowResult, ...]

    @property
    def probability(self) -> float:
        """Probability of the label; 0 for silence."""
        return self.probabilities[self.label] if self.probabilities else 0.0

    @property
    def padded_seconds(self) -> float:
        """Zeros appended because the file was shorter than a window."""
        return self.windows[-1].padded_seconds

    def to_dict(self, *, windows: bool = False) -> dict[str, Any]:
        """Return the documented schema, ready for JSON, with each window's or without."""
        values = {
            "schema": SCHEMA,
            "path": self.path,
            "duration": round(self.duration, 3),
            "label": self.label,
            "probability": round(self.probability, 4),
            "probabilities": _rounded(self.probabilities),
            "vote": self.vote,
            "n_windows": len(self.windows),
            "silent_windows": sum(window.probabilities is None for window in self.windows),
            "padded_seconds": round(self.padded_seconds, 3),
        }
        if windows:
            values["windows"] = [window.to_dict() for window in self.windows]
        return values


def vote(
    windows: Sequence[WindowResult],
    method: str = "mean",
    *,
    temperature: float = 1.0,
    path: str = "",
    duration: float = 0.0,
) -> SongResult:
    """Make a song's result of its windows'.

    Parameters
    ----------
    method : ``"mean"`` of the probabilities, or ``"majority"`` of the labels, where the mean
        decides between genres with equally many
    temperature : of the mean of two windows and more, see `tempered`: below 1 where a song is
        surer than its windows are on average
    path, duration : of the song, for its result

    Raises
    ------
    ValueError
        There are no windows, or the method is unknown.
    """
    if method not in VOTES:
        raise ValueError(f"vote is {method!r}, expected one of {', '.join(VOTES)}")
    if not windows:
        raise ValueError("there are no windows to vote")
    heard = [window.probabilities for window in windows if window.probabilities is not None]
    probabilities = None
    label = SILENCE
    if heard:
        genres = list(heard[0])
        rows = np.array([[row[genre] for genre in genres] for row in heard])
        mean = song_probabilities(rows, temperature)
        share = mean
        if method == "majority":
            labels = [window.label for window in windows]
            share = np.array([labels.count(genre) for genre in genres]) / len(heard)
        label = genres[int(np.lexsort((mean, share))[-1])]
        probabilities = dict(zip(genres, share.tolist(), strict=True))
    return SongResult(
        path=path,
        duration=duration,
        label=label,
        probabilities=probabilities,
        vote=method,
        windows=tuple(windows),
    )


def song_probabilities(windows: NDArray[Any], temperature: float = 1.0) -> NDArray[Any]:
    """Probabilities of a song [shape=(classes,)] from those of its windows.

    Parameters
    ----------
    windows : [shape=(windows, classes)], one or more
    temperature : of the mean of two and more
    """
    mean: NDArray[Any] = windows.mean(axis=0)
    return mean if len(windows) == 1 else tempered(mean, temperature)


def tempered(probabilities: NDArray[Any], temperature: float) -> NDArray[Any]:
    """What dividing the logits by a temperature makes of probabilities [shape=(..., classes)].

    Softmax of log(p) / T (Guo et al. 2017, equation 9): above 1 less sure, below 1 surer.
    """
    if temperature == 1:
        return probabilities
    logits = np.log(np.maximum(probabilities, 1e-12)) / temperature
    return softmax(logits)


def level_dbfs(samples: NDArray[np.float32]) -> float:
    """RMS level of samples relative to full scale, in dB, `MIN_DBFS` at least."""
    power = float(np.vdot(samples, samples)) / samples.size
    return max(MIN_DBFS, 10 * np.log10(power)) if power > 0 else MIN_DBFS


def _rounded(probabilities: dict[str, float] | None) -> dict[str, float] | None:
    if probabilities is None:
        return None
    return {label: round(value, 4) for label, value in probabilities.items()}
