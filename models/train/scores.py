"""How right a network is on the validation part, in counts and in ranks, and at which step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from edge_genre.benchmarks.accuracy.evaluation import Counts, Track, count
from edge_genre.benchmarks.accuracy.multi_label import targets
from edge_genre.benchmarks.accuracy.ranking import Ranking, average_precision
from edge_genre.errors import DataError
from edge_genre.host.record import Record


@dataclass(frozen=True)
class Score(Counts):
    """What is right of a validation part.

    Parameters
    ----------
    window_loss : mean cross-entropy of the windows; None for classifiers without probabilities
    """

    window_loss: float | None = None

    @property
    def window_accuracy(self) -> float:
        """Share of windows that are right, to four digits."""
        return round(self.windows_correct / self.windows, 4)

    @property
    def figure(self) -> float:
        """What the best step has most of: windows, being many, are less subject to chance."""
        return self.windows_correct

    what: ClassVar[str] = "accuracy"  # of the figures

    @property
    def figures(self) -> dict[str, float]:
        """To draw, by what they are of."""
        return {
            "validation windows": self.window_accuracy,
            "validation tracks": self.track_accuracy,
        }

    @property
    def text(self) -> str:
        """It in a few words."""
        return f"windows {self.window_accuracy:.1%}, tracks {self.track_accuracy:.1%}"

    @property
    def result(self) -> str:
        """It as the last word on a run."""
        return (
            f"{self.tracks_correct} of {self.tracks} tracks, {self.windows_correct} of "
            f"{self.windows} windows right"
        )

    @property
    def counted(self) -> str:
        """It in counts."""
        return (
            f"{self.windows_correct} of {self.windows} windows, {self.tracks_correct} of "
            f"{self.tracks} tracks"
        )

    @property
    def track_accuracy(self) -> float:
        """Share of tracks that are right, to four digits."""
        return round(self.tracks_correct / self.tracks, 4)

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        values = {
            "windows": self.windows,
            "windows_correct": self.windows_correct,
            "window_accuracy": self.window_accuracy,
            "tracks": self.tracks,
            "tracks_correct": self.tracks_correct,
            "track_accuracy": self.track_accuracy,
        }
        return values if self.window_loss is None else values | {"window_loss": self.window_loss}


def score(tracks: Sequence[Track]) -> Score:
    """Count what is right, and take the mean loss of the windows to four digits."""
    likelihood = np.concatenate([track.probabilities[:, track.genre] for track in tracks])
    loss = round(float(-np.log(np.maximum(likelihood, 1e-7)).mean()), 4)
    return Score(**asdict(count(tracks)), window_loss=loss)


@dataclass(frozen=True, kw_only=True)
class Step(Score):
    """The network after so many steps of training, and how it does on the validation part.

    Parameters
    ----------
    step : number of the optimizer step
    train_loss : mean loss of the batches since the step before
    """

    step: int
    train_loss: float

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        return {"step": self.step, "train_loss": self.train_loss, **super().to_dict()}


@dataclass(frozen=True)
class RankingScore(Record):
    """How well labels that do not exclude each other are found on a validation part.

    Parameters
    ----------
    tracks, windows : how many there are
    macro_average_precision, micro_average_precision : of tracks; see
        `edge_genre.benchmarks.accuracy.multi_label.MultiLabelEvaluation`
    window_loss : mean cross-entropy of the labels of the windows
    """

    tracks: int
    windows: int
    macro_average_precision: float
    micro_average_precision: float
    window_loss: float

    @property
    def figure(self) -> float:
        """What the best step has most of."""
        return self.macro_average_precision

    what: ClassVar[str] = "average precision"  # of the figures

    @property
    def figures(self) -> dict[str, float]:
        """To draw, by what they are of."""
        return {
            "macro, validation tracks": self.macro_average_precision,
            "micro, validation tracks": self.micro_average_precision,
        }

    @property
    def text(self) -> str:
        """It in a few words."""
        macro, micro = self.macro_average_precision, self.micro_average_precision
        return f"average precision macro {macro:.3f}, micro {micro:.3f}"

    @property
    def result(self) -> str:
        """It as the last word on a run."""
        return self.counted

    @property
    def counted(self) -> str:
        """The same, and of how much."""
        return f"{self.text} of {self.tracks} tracks"


def rank(tracks: Sequence[Track]) -> RankingScore:
    """Measure labels that do not exclude each other, to four digits.

    Raises
    ------
    DataError
        There is no label that some of the tracks have and others have not.
    """
    scores = np.stack([track.mean for track in tracks])
    truth = targets(tracks, scores.shape[1])
    measured = truth.any(axis=0) & ~truth.all(axis=0)
    if not measured.any():
        raise DataError(
            f"{len(tracks)} validation tracks have no label that others of them lack, so that "
            "nothing can be measured: hold more out (--share)"
        )
    each = [
        average_precision(*Ranking(scores[:, label], truth[:, label]).counts())[0]
        for label in np.flatnonzero(measured)
    ]
    every = Ranking(scores[:, measured].ravel(), truth[:, measured].ravel())
    windows = np.concatenate([track.probabilities for track in tracks])
    of_windows = np.repeat(truth, [len(track.probabilities) for track in tracks], axis=0)
    right = np.where(of_windows, windows, 1 - windows)
    return RankingScore(
        tracks=len(tracks),
        windows=len(windows),
        macro_average_precision=round(float(np.mean(each)), 4),
        micro_average_precision=round(float(average_precision(*every.counts())[0]), 4),
        window_loss=round(float(-np.log(np.maximum(right, 1e-7)).mean()), 4),
    )


@dataclass(frozen=True, kw_only=True)
class RankingStep(RankingScore):
    """The network after so many steps; see `Step`."""

    step: int
    train_loss: float
