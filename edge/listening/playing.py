"""What is playing now: one label a song, or all labels that hold, made of many windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_genre.choices import VOTES
from edge_genre.results import NOTHING, SILENCE, WindowResult
from edge_genre.task import GENRES, THRESHOLD, Task

UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Held:
    """A label that holds, or what is said in place of one.

    Parameters
    ----------
    label : of the model; ``"silence"``, ``"uncertain"`` or ``"nothing"``
    probability : over the last windows (with a majority vote, the share of them that have it); 0
        for the other three
    since : position in the audio where it began to hold, seconds
    """

    label: str
    probability: float
    since: float

    def to_dict(self) -> dict[str, object]:
        """Return the documented schema, ready for JSON."""
        return {
            "label": self.label,
            "probability": round(self.probability, 4),
            "since": round(self.since, 3),
        }


@dataclass(frozen=True, kw_only=True)
class Playing:
    """What is playing.

    Parameters
    ----------
    held : labels that hold, most probable first; of labels that exclude each other, one at most
    otherwise : what to say where there is none: silence; that it is uncertain which of them; that
        nothing reaches its threshold
    probabilities : of all labels over the last windows, see `Held`; None for silence
    """

    held: tuple[Held, ...]
    otherwise: Held | None = None
    probabilities: dict[str, float] | None

    def __post_init__(self) -> None:
        if (self.otherwise is None) != bool(self.held):
            raise ValueError("labels hold, or otherwise says what does")

    @property
    def stretches(self) -> tuple[Held, ...]:
        """The labels that hold; where there is none, what holds otherwise. One at least."""
        return self.held or tuple(filter(None, (self.otherwise,)))

    @property
    def label(self) -> str:
        """The first of the labels; ``"silence"``, ``"uncertain"`` or ``"nothing"``."""
        return self.stretches[0].label

    @property
    def labels(self) -> tuple[str, ...]:
        """Those that hold, most probable first; perhaps none."""
        return tuple(each.label for each in self.held)

    @property
    def text(self) -> str:
        """All that hold, or what holds otherwise, for people."""
        return "; ".join(each.label for each in self.stretches)

    @property
    def probability(self) -> float:
        """Of the label; see `Held`."""
        return self.stretches[0].probability

    @property
    def since(self) -> float:
        """Position in the audio where the label began to hold, seconds."""
        return self.stretches[0].since

    def to_dict(self) -> dict[str, object]:
        """Return the documented schema, ready for JSON."""
        return self.stretches[0].to_dict() | {"labels": [each.to_dict() for each in self.held]}


class NowPlaying:
    """Smooths windows and holds labels until others have proven themselves.

    Labels that exclude each other: the label of a window alone changes a dozen times in a song. The
    mean over 25 seconds, and a label that is given up only after another has led for 5 by a margin,
    give one label a song: in 40 streams of 12 validation tracks of 81 s each, one after another,
    0.86 changes a track with songnet-gtzan, where the labels that each track ends with make 0.80
    necessary (windows alone change 16.5 times). A new song has its label after a quarter of a
    minute.

    Labels that hold together: each begins to hold where its mean reaches its threshold, and ends
    once it has been below for 5 seconds by a margin. Where a label wavers about its threshold,
    which is the worst case, it changes 26 times an hour: of windows alone 957 times, of the mean
    alone 190 times (`tests/edge/listening/test_playing.py`).

    Parameters
    ----------
    task : of the model: `Classifier.task`; its thresholds are those of the labels
    smooth : seconds of windows that decide together; 0 for each alone
    hold : seconds for which another label has to lead before it takes over; of labels that hold
        together, for which one has to be below its threshold before it ends. Silence, too
    margin : of probability by which it has to lead, 0.05 where it is left out; of labels that hold
        together, the share of its threshold by which it has to be below, 0.2
    min_confidence : below it, what plays is uncertain; not of labels that hold together
    vote : ``"mean"`` of the probabilities or ``"majority"`` of the labels; of labels that hold
        together, each that half of the windows have

    Raises
    ------
    ValueError
        A number is negative, the vote is unknown, or labels that hold together get a min_confidence
        or a margin of 1 and more.
    """

    def __init__(
        self,
        *,
        task: Task = GENRES,
        smooth: float = 25.0,
        hold: float = 5.0,
        margin: float | None = None,
        min_confidence: float = 0.0,
        vote: str = "mean",
    ) -> None:
        if min(smooth, hold, margin or 0, min_confidence) < 0:
            raise ValueError("smooth, hold, margin and min_confidence must not be negative")
        if vote not in VOTES:
            raise ValueError(f"vote is {vote!r}, expected one of {', '.join(VOTES)}")
        asked = _Asked(smooth, hold, margin, min_confidence, vote == "majority")
        self._holder = _HOLDERS[task.kind](task, asked)

    def update(self, result: WindowResult) -> Playing:
        """Take the next window into account.

        Parameters
        ----------
        result : its window ends later than that of the call before

        Returns
        -------
        What is playing when the window ends
        """
        return self._holder.update(result)


def states(task: Task) -> tuple[str, ...]:
    """What is said of a task's labels where none of them holds."""
    return _HOLDERS[task.kind].otherwise


@dataclass(frozen=True)
class _Asked:
    """See `NowPlaying`."""

    smooth: float
    hold: float
    margin: float | None
    min_confidence: float
    majority: bool


_Row = TypeVar("_Row")


class _Recent(Generic[_Row]):
    """The windows that decide: where they end, and a row of numbers for each."""

    def __init__(self, smooth: float) -> None:
        self._smooth = smooth
        self._ends: deque[float] = deque()
        self.rows: deque[_Row] = deque()

    def add(self, end: float, row: _Row) -> None:
        self._ends.append(end)
        self.rows.append(row)
        while self._ends[0] <= end - self._smooth and len(self._ends) > 1:
            self._ends.popleft()
            self.rows.popleft()

    def clear(self) -> None:
        self._ends.clear()
        self.rows.clear()


class _Holder(ABC):
    """What `NowPlaying` is for one kind of tasks."""

    otherwise: tuple[str, ...]  # what it says where no label holds

    @abstractmethod
    def __init__(self, task: Task, asked: _Asked) -> None:
        """Take the parameters of `NowPlaying`."""

    @abstractmethod
    def update(self, result: WindowResult) -> Playing:
        """See `NowPlaying.update`."""


class _OneLabel(_Holder):
    """Of labels that exclude each other, one holds until another has proven itself."""

    otherwise = (SILENCE, UNCERTAIN)

    def __init__(self, task: Task, asked: _Asked) -> None:
        self._asked = asked
        self._margin = 0.05 if asked.margin is None else asked.margin
        self._recent: _Recent[tuple[float, ...]] = _Recent(asked.smooth)
        self._smoothed: dict[str, float] | None = None
        self._label = ""
        self._challenged: float | None = None  # since when another label leads
        self._shown = ""
        self._since = 0.0

    def update(self, result: WindowResult) -> Playing:
        if result.probabilities is None:
            leader = SILENCE
        else:
            self._smoothed = self._with(result.end, result.probabilities)
            leader = max(self._smoothed, key=self._smoothed.__getitem__)
        if self._takes_over(leader, result.end):
            self._label = leader
            self._challenged = None
        if self._label == SILENCE:  # what comes after it is another song
            self._recent.clear()
            self._smoothed = None
        return self._playing(result.end)

    def _with(self, end: float, probabilities: dict[str, float]) -> dict[str, float]:
        """Probabilities of the windows that count, a new one among them."""
        if self._asked.majority:
            best = max(probabilities, key=probabilities.__getitem__)
            probabilities = {label: float(label == best) for label in probabilities}
        self._recent.add(end, tuple(probabilities.values()))
        # Added up anew each time: a sum that is kept would drift over weeks.
        sums = map(sum, zip(*self._recent.rows, strict=True))
        count = len(self._recent.rows)
        return {label: each / count for label, each in zip(probabilities, sums, strict=True)}

    def _takes_over(self, leader: str, now: float) -> bool:
        if leader == self._label:
            self._challenged = None
            return False
        if self._label in ("", SILENCE):
            return True
        if leader != SILENCE and self._smoothed:
            ahead = self._smoothed[leader] - self._smoothed[self._label]
            if ahead < self._margin:
                self._challenged = None
                return False
        if self._challenged is None:
            self._challenged = now
        return now - self._challenged >= self._asked.hold

    def _playing(self, now: float) -> Playing:
        label, probability = self._label, (self._smoothed or {}).get(self._label, 0.0)
        holds = label != SILENCE and probability >= self._asked.min_confidence
        if not holds and label != SILENCE:
            label, probability = UNCERTAIN, 0.0
        if label != self._shown:
            self._shown, self._since = label, now
        shown = Held(label, probability, self._since)
        if holds:
            return Playing(held=(shown,), probabilities=self._smoothed)
        return Playing(held=(), otherwise=shown, probabilities=self._smoothed)


class _ManyLabels(_Holder):
    """Labels that hold together, each on its own."""

    otherwise = (SILENCE, NOTHING)

    def __init__(self, task: Task, asked: _Asked) -> None:
        if asked.min_confidence:
            raise ValueError("min_confidence is for labels that exclude each other, not for these")
        margin = 0.2 if asked.margin is None else asked.margin
        if margin >= 1:
            raise ValueError(f"margin is {margin:g}, expected a share of the threshold, below 1")
        self._asked = asked
        thresholds = 0.5 if asked.majority else task.thresholds or THRESHOLD
        # In single precision, as `Task.decide` compares; what follows is in double.
        self._thresholds = np.asarray(thresholds, np.float32).astype(np.float64)
        # A share of it: a rare label's chosen threshold may be smaller than any fixed margin.
        self._lower = self._thresholds * (1 - margin)
        self._recent: _Recent[NDArray[np.float64]] = _Recent(asked.smooth)
        self._smoothed: dict[str, float] | None = None
        self._since: dict[str, float] = {}  # of the labels that hold
        self._below: dict[str, float] = {}  # of these, since when they have been below
        self._quiet: float | None = None  # since when it has been silent
        self._otherwise = SILENCE
        self._otherwise_since: float | None = None

    def update(self, result: WindowResult) -> Playing:
        now = result.end
        if result.probabilities is not None:
            self._quiet = None
            self._hear(result)
        elif self._smoothed is not None:
            self._quiet = now if self._quiet is None else self._quiet
            if now - self._quiet >= self._asked.hold:  # what comes after it is another song
                self._recent.clear()
                self._smoothed = None
                self._since.clear()
                self._below.clear()
        return self._playing(now)

    def _hear(self, result: WindowResult) -> None:
        """Take a window that is not silent into account."""
        probabilities, now = result.probabilities or {}, result.end
        if self._asked.majority:
            having = set(result.labels)
            probabilities = {label: float(label in having) for label in probabilities}
        row = np.fromiter(probabilities.values(), np.float64, len(probabilities))
        self._recent.add(now, row)
        means = np.mean(self._recent.rows, axis=0)
        self._smoothed = dict(zip(probabilities, means.tolist(), strict=True))
        labels = tuple(probabilities)
        for number in np.flatnonzero(means >= self._thresholds):
            self._since.setdefault(labels[number], now)
        fallen = {labels[number] for number in np.flatnonzero(means < self._lower)}
        for label in list(self._since):
            if label not in fallen:
                self._below.pop(label, None)
            elif now - self._below.setdefault(label, now) >= self._asked.hold:
                del self._since[label], self._below[label]

    def _playing(self, now: float) -> Playing:
        smoothed = self._smoothed
        if smoothed is not None and self._since:
            self._otherwise_since = None
            held = [Held(label, smoothed[label], since) for label, since in self._since.items()]
            held.sort(key=lambda each: -each.probability)
            return Playing(held=tuple(held), probabilities=smoothed)
        shown = SILENCE if smoothed is None else NOTHING
        if self._otherwise_since is None or shown != self._otherwise:
            self._otherwise, self._otherwise_since = shown, now
        otherwise = Held(shown, 0.0, self._otherwise_since)
        return Playing(held=(), otherwise=otherwise, probabilities=smoothed)


_HOLDERS: dict[str, type[_Holder]] = {"single_label": _OneLabel, "multi_label": _ManyLabels}
