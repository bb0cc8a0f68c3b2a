"""What a classified window and a classified song are: one schema for every output.

``WindowResult.to_dict`` is what ``--json`` prints and what any other sink sends; its ``schema``
number changes when a key changes its meaning or goes away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.choices import VOTES
from edge_genre.task import GENRES, Task

SCHEMA = 1
SILENCE = "silence"
NOTHING = "nothing"  # of many labels, none reaches its threshold
SILENCE_DBFS = -60.0  # default gate: below it, features are those of the noise floor
MIN_DBFS = -120.0  # digital silence, which has no level in dB, is given as this


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a window and a song have in common.

    Parameters
    ----------
    labels : those that hold, most probable first: one, or of a model with many labels all that
        reach their thresholds, which may be none; none for silence, too
    probabilities : one a label; None for silence
    """

    labels: tuple[str, ...]
    probabilities: dict[str, float] | None

    @property
    def label(self) -> str:
        """The first of the labels; ``"silence"``, or ``"nothing"`` where none holds."""
        if self.probabilities is None:
            return SILENCE
        return self.labels[0] if self.labels else NOTHING

    @property
    def probability(self) -> float:
        """Probability of the label; 0 for silence and for nothing."""
        return self.probabilities[self.labels[0]] if self.probabilities and self.labels else 0.0

    def _answer(self) -> dict[str, Any]:
        """The answer's part of the documented schema."""
        probabilities = self.probabilities
        if probabilities is not None:
            probabilities = {label: round(value, 4) for label, value in probabilities.items()}
        return {
            "label": self.label,
            "labels": list(self.labels),
            "probability": round(self.probability, 4),
            "probabilities": probabilities,
        }


@dataclass(frozen=True)
class Moment:
    """A stretch of a window, in seconds of the audio, and a number that explains the answer."""

    start: float
    end: float
    value: float

    def to_dict(self) -> dict[str, float]:
        """Return the values, ready for JSON."""
        return {"start": round(self.start, 3), "end": round(self.end, 3), "value": self.value}


@dataclass(frozen=True, kw_only=True)
class WindowResult(Result):
    """One classified window of audio.

    Parameters
    ----------
    labels, probabilities : see `Result`; the probabilities of labels that exclude each other add
        up to 1
    start, end : position in the audio, in seconds; ``end`` is where real audio ends
    level_dbfs : RMS level relative to full scale (a full-scale square wave is 0), -120 at least
    front_end_ms, inference_ms : time that it took
    dropped_samples : samples, at the source's rate, lost since the window before was complete; the
        times go on meanwhile
    skipped_windows : windows before it that were left out because the microphone would not wait
    padded_seconds : zeros appended because the audio was shorter than a window
    explanations : what the model's further outputs say, step by step, where that was asked for
    """

    start: float
    end: float
    level_dbfs: float
    front_end_ms: float
    inference_ms: float
    dropped_samples: int = 0
    skipped_windows: int = 0
    padded_seconds: float = 0.0
    explanations: Mapping[str, tuple[Moment, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the documented schema, ready for JSON."""
        values = {
            "schema": SCHEMA,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            **self._answer(),
            "level_dbfs": round(self.level_dbfs, 1),
            "front_end_ms": round(self.front_end_ms, 3),
            "inference_ms": round(self.inference_ms, 3),
            "dropped_samples": self.dropped_samples,
            "skipped_windows": self.skipped_windows,
            "padded_seconds": round(self.padded_seconds, 3),
        }
        if self.explanations:
            values["explanations"] = {
                name: [moment.to_dict() for moment in moments]
                for name, moments in self.explanations.items()
            }
        return values


@dataclass(frozen=True, kw_only=True)
class SongResult(Result):
    """One classified file.

    Parameters
    ----------
    labels : by the vote of the windows that are not silent; see `Result`
    probabilities : mean over those windows, sharpened as the model asks for (see `vote`), or with
        a majority vote the share of windows that each label has; None for silence
    path : as it was given
    duration : seconds
    vote : ``"mean"`` or ``"majority"``
    windows : in order
    """

    path: str
    duration: float
    vote: str
    windows: tuple[WindowResult, ...]

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
            **self._answer(),
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
    task: Task = GENRES,
    temperature: float = 1.0,
    path: str = "",
    duration: float = 0.0,
) -> SongResult:
    """Make a song's result of its windows'.

    Parameters
    ----------
    method : ``"mean"`` of the probabilities, or ``"majority"`` of the labels, where the mean
        decides between those that equally many windows have
    task : of the model
    temperature : of the mean of two windows and more, see `edge_genre.task.tempered`: below 1 where
        a song is surer than its windows are on average
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
    heard = [window for window in windows if window.probabilities is not None]
    held: tuple[str, ...] = ()
    probabilities = None
    if heard:
        labels = list(heard[0].probabilities or ())
        rows = np.array([[*(window.probabilities or {}).values()] for window in heard])
        decisive = task.of_song(rows, temperature)
        if method == "majority":
            having = [window.labels for window in heard]
            shares = np.array([sum(label in some for some in having) for label in labels])
            shares = shares / len(heard)
            numbers, decisive = task.of_majority(shares, decisive), shares
        else:
            numbers = task.decide(decisive)
        held = tuple(labels[number] for number in numbers)
        probabilities = dict(zip(labels, decisive.tolist(), strict=True))
    return SongResult(
        path=path,
        duration=duration,
        labels=held,
        probabilities=probabilities,
        vote=method,
        windows=tuple(windows),
    )


Ranking = list[tuple[str, float]]  # labels and their probabilities, best first


def ranked(
    probabilities: Mapping[str, float] | None, held: Sequence[str], top: int, *, task: Task
) -> tuple[Ranking, Ranking]:
    """The labels to show: those that stand out, and others.

    Parameters
    ----------
    held : those that hold
    top : how many to show: of labels that exclude each other in all, where the most probable stands
        out; of many labels besides those that hold
    """
    # Of equals, the one that holds comes first: a majority's draw is decided by something else.
    best = sorted((probabilities or {}).items(), key=lambda item: (-item[1], item[0] not in held))
    if task.exclusive:
        return best[:1], best[1:top]
    others = [item for item in best if item[0] not in held]
    return [item for item in best if item[0] in held], others[:top]


def level_dbfs(samples: NDArray[np.float32]) -> float:
    """RMS level of samples relative to full scale, in dB, `MIN_DBFS` at least."""
    power = float(np.vdot(samples, samples)) / samples.size
    return max(MIN_DBFS, 10 * np.log10(power)) if power > 0 else MIN_DBFS
