"""What a finished run says of itself: the content of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from edge_genre.benchmarks.accuracy.evaluation import Track, confusion_matrix
from edge_genre.host.record import Record
from edge_genre.models.train.records import read_json, write_json
from edge_genre.models.train.scores import RankingScore, RankingStep, Score, Step
from edge_genre.task import Task

METRICS_FILE = "metrics.json"


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
