"""What a training run writes of itself: figures, and what it takes to go on.

The classes here are the contents of ``metrics.json`` and ``history.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from edge_genre.benchmarks.accuracy.evaluation import Counts, Track, confusion_matrix, count
from edge_genre.benchmarks.accuracy.multi_label import targets
from edge_genre.benchmarks.accuracy.ranking import Ranking, average_precision
from edge_genre.errors import DataError, one_line
from edge_genre.host.files import reading, write_whole
from edge_genre.host.record import Record
from edge_genre.task import Task

METRICS_FILE = "metrics.json"
_Record = TypeVar("_Record", bound=Record)

# Parts of what a run is, and what is said of a run in which one differs.
_DIFFERENCES = {
    "recipe": "of another recipe",
    "tracks": "on other tracks",
    "initial": "that began otherwise",
}


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


@dataclass(frozen=True)
class History(Record):
    """A run so far.

    Parameters
    ----------
    recipe : as JSON has it; see `edge_genre.models.train.recipes.Recipe`
    tracks : SHA-256 of the data; see `edge_genre.models.data.dataset.Data.digest`
    initial : SHA-256 of the file with the network that it began with; None for random weights
    seconds : of training
    steps : those that were evaluated
    """

    recipe: dict[str, Any]
    tracks: str
    initial: str | None
    seconds: float = 0.0
    steps: tuple[Step | RankingStep, ...] = field(default=(), metadata={"key": "history"})

    @property
    def best(self) -> Step | RankingStep:
        """The step whose weights are kept."""
        return max(self.steps, key=lambda step: step.figure)

    def difference(self, other: Self) -> str | None:
        """In what this run is another one than ``other``, in words; None if in nothing."""
        for name, words in _DIFFERENCES.items():
            if getattr(self, name) != getattr(other, name):
                return words
        return None

    def until(self, step: int) -> Self:
        """Return the run without what was evaluated after a step."""
        return replace(self, steps=tuple(each for each in self.steps if each.step <= step))


@dataclass(frozen=True)
class ConfidenceCalibration(Record):
    """Temperatures, and what they bring; see `edge_genre.models.train.temperature`.

    Parameters
    ----------
    temperature : for the logits of windows
    song_temperature : for the mean of a song's windows after that
    window_error, track_error : expected calibration errors before and after
    chance_error : mean error of as many perfectly calibrated tracks
    cross_fitted_error : of tracks, each half of them with the song temperature of the other half
    """

    temperature: float
    song_temperature: float
    window_error: tuple[float, float]
    track_error: tuple[float, float]
    chance_error: float
    cross_fitted_error: float


@dataclass(frozen=True)
class Recognised(Record):
    """One genre's validation tracks.

    Parameters
    ----------
    tracks, correct : how many there are, and how many were recognised
    taken_for : how many were taken for which genre, their own one included
    """

    tracks: int
    correct: int
    taken_for: dict[str, int]


def recognised(tracks: Sequence[Track], genres: Sequence[str]) -> dict[str, Recognised]:
    """Count each genre's tracks, and what they were taken for."""
    return {
        genre: Recognised(
            tracks=int(row.sum()),
            correct=int(row[label]),
            taken_for={genres[i]: int(n) for i, n in enumerate(row) if n},
        )
        for label, (genre, row) in enumerate(
            zip(genres, confusion_matrix(tracks, len(genres)), strict=True)
        )
    }


@dataclass(frozen=True)
class Initial(Record):
    """The file with the network that a run began with."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Thresholds(Record):
    """What was fitted for labels that do not exclude each other, and F1 on the same tracks.

    Parameters
    ----------
    temperature : for the logits of windows, of all labels alike
    macro_f1, micro_f1 : of tracks, at the thresholds that give each label its highest F1
    """

    temperature: float
    macro_f1: float
    micro_f1: float


@dataclass(frozen=True)
class FoundLabel(Record):
    """One label's validation tracks; see `edge_genre.benchmarks.accuracy.multi_label.LabelScore`.

    Parameters
    ----------
    threshold : from which probability on it holds
    recall, precision, f1 : at the threshold
    """

    tracks: int
    average_precision: float | None
    threshold: float
    recall: float
    precision: float
    f1: float


@dataclass(frozen=True)
class RunMetrics(Record):
    """A finished run; the contents of ``metrics.json``.

    Parameters
    ----------
    data, split : name of the music, and how its parts were made
    chosen, chosen_step : how the step whose weights are kept was chosen, and which it is
    validation, validation_at_last_step : scores at that step, and at the last one
    confidence : what was fitted to the kept weights
    genres, training_tracks, training_genres : of each genre (or what else the labels are), what
        became of the validation tracks, and how many tracks were trained on
    parameters : weights of the network
    seed, steps, initial, recipe : by what it was trained; the recipe as JSON has it, with the
        fields of the version that wrote it
    wall_seconds : of training
    versions : of Python and of the packages that the weights depend on
    """

    data: str
    split: str
    chosen: str
    chosen_step: int
    validation: Score | RankingScore
    validation_at_last_step: Step | RankingStep
    confidence: ConfidenceCalibration | Thresholds = field(metadata={"key": "calibration"})
    genres: Mapping[str, Recognised | FoundLabel]
    training_tracks: int
    training_genres: dict[str, int]
    parameters: int
    seed: int
    steps: int
    initial: Initial | None
    wall_seconds: float
    recipe: dict[str, Any]
    versions: dict[str, str]

    @property
    def song_temperature(self) -> float:
        """For the mean of a song's windows."""
        raise NotImplementedError

    def decided(self, task: Task) -> Task:
        """The task, with what was found out about it on the validation tracks."""
        raise NotImplementedError

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the metrics of the run in a folder.

        Raises
        ------
        DataError
            They cannot be read, are damaged, or are of a run of another task.
        """
        return read_json(folder / METRICS_FILE, cls)

    def write(self, folder: Path) -> None:
        """Write them into a run's folder."""
        write_json(folder / METRICS_FILE, self.to_dict())


@dataclass(frozen=True)
class Metrics(RunMetrics):
    """A finished run with labels that exclude each other.

    Parameters
    ----------
    baselines : scores of classical classifiers on the same parts, if they were measured
    """

    validation: Score
    validation_at_last_step: Step
    confidence: ConfidenceCalibration = field(metadata={"key": "calibration"})
    genres: dict[str, Recognised]
    baselines: dict[str, Score] | None = None

    @property
    def song_temperature(self) -> float:
        """For the mean of a song's windows."""
        return self.confidence.song_temperature

    def decided(self, task: Task) -> Task:
        """The task as it is."""
        return task

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        values = super().to_dict()
        if self.baselines is None:
            del values["baselines"]
        return values


@dataclass(frozen=True)
class LabelMetrics(RunMetrics):
    """A finished run with labels that each hold or not."""

    validation: RankingScore
    validation_at_last_step: RankingStep
    confidence: Thresholds = field(metadata={"key": "calibration"})
    genres: dict[str, FoundLabel]

    @property
    def song_temperature(self) -> float:
        """1: a label of half a song is no surer for the song's length."""
        return 1.0

    def decided(self, task: Task) -> Task:
        """The task, with the thresholds that were chosen."""
        return replace(task, thresholds=tuple(each.threshold for each in self.genres.values()))


def read_json(path: Path, kind: type[_Record]) -> _Record:
    """Read a record that was written as JSON.

    Raises
    ------
    DataError
        The file cannot be read, or is damaged.
    """
    try:
        with reading(path):
            return kind.from_dict(json.loads(path.read_text()))
    except ValueError as error:
        raise DataError(f"{path}: is not what edge-genre writes ({one_line(error)})") from None


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON, in place of what was there, whole or not at all."""
    write_whole(path, json.dumps(values, indent=1) + "\n")
