"""What a training run writes of itself: figures, and what it takes to go on.

The classes here are the contents of ``metrics.json`` and ``history.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from edge_genre.benchmarks.accuracy.evaluation import Counts, Track, confusion_matrix, count
from edge_genre.errors import DataError, one_line
from edge_genre.host.files import reading, write_whole

METRICS_FILE = "metrics.json"

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

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave."""
        counts = ("windows", "windows_correct", "tracks", "tracks_correct")
        return cls(**{name: values[name] for name in counts}, window_loss=values.get("window_loss"))


def score(tracks: Sequence[Track]) -> Score:
    """Count what is right, and take the mean loss of the windows to four digits."""
    likelihood = np.concatenate([track.probabilities[:, track.genre] for track in tracks])
    loss = round(float(-np.log(np.maximum(likelihood, 1e-7)).mean()), 4)
    return Score(**asdict(count(tracks)), window_loss=loss)


def scores_to_dict(scores: Mapping[str, Score]) -> dict[str, Any]:
    """Scores by name, such as those of classifiers, ready for JSON."""
    return {name: row.to_dict() for name, row in scores.items()}


def scores_from_dict(values: Mapping[str, Any]) -> dict[str, Score]:
    """Read what `scores_to_dict` gave."""
    return {name: Score.from_dict(row) for name, row in values.items()}


@dataclass(frozen=True)
class Step:
    """The network after so many steps of training.

    Parameters
    ----------
    step : number of the optimizer step
    train_loss : mean loss of the batches since the step before
    score : on the validation part
    """

    step: int
    train_loss: float
    score: Score

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        return {"step": self.step, "train_loss": self.train_loss, **self.score.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave."""
        return cls(values["step"], values["train_loss"], Score.from_dict(values))


@dataclass(frozen=True)
class History:
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
    steps: tuple[Step, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        return {
            "recipe": self.recipe,
            "tracks": self.tracks,
            "initial": self.initial,
            "seconds": self.seconds,
            "history": [step.to_dict() for step in self.steps],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave."""
        steps = tuple(Step.from_dict(row) for row in values["history"])
        same = {name: values[name] for name in ("recipe", "tracks", "initial", "seconds")}
        return cls(**same, steps=steps)

    @property
    def best(self) -> Step:
        """The step whose weights are kept: windows, being many, are less subject to chance."""
        return max(self.steps, key=lambda step: step.score.windows_correct)

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
class ConfidenceCalibration:
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

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` gave, after a way through JSON."""
        pairs = {name: tuple(values[name]) for name in ("window_error", "track_error")}
        return cls(**{**values, **pairs})


@dataclass(frozen=True)
class Recognised:
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
class Initial:
    """The file with the network that a run began with."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Metrics:
    """A finished run; the contents of ``metrics.json``.

    Parameters
    ----------
    data, split : name of the music, and how its parts were made
    chosen, chosen_step : how the step whose weights are kept was chosen, and which it is
    validation, validation_at_last_step : scores at that step, and at the last one
    confidence : temperatures of the kept weights
    genres, training_tracks, training_genres : of each genre, what became of the validation tracks,
        and how many tracks were trained on
    parameters : weights of the network
    seed, steps, initial, recipe : by what it was trained; the recipe as JSON has it, with the
        fields of the version that wrote it
    wall_seconds : of training
    versions : of Python and of the packages that the weights depend on
    baselines : scores of classical classifiers on the same parts, if they were measured
    """

    data: str
    split: str
    chosen: str
    chosen_step: int
    validation: Score
    validation_at_last_step: Step
    confidence: ConfidenceCalibration
    genres: dict[str, Recognised]
    training_tracks: int
    training_genres: dict[str, int]
    parameters: int
    seed: int
    steps: int
    initial: Initial | None
    wall_seconds: float
    recipe: dict[str, Any]
    versions: dict[str, str]
    baselines: dict[str, Score] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        values = {
            "calibration" if name == "confidence" else name: value
            for name, value in asdict(self).items()
        }
        values["validation"] = self.validation.to_dict()
        values["validation_at_last_step"] = self.validation_at_last_step.to_dict()
        if self.baselines is None:
            del values["baselines"]
        else:
            values["baselines"] = scores_to_dict(self.baselines)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave."""
        read = dict(values)
        initial, baselines = read["initial"], read.get("baselines")
        read |= {
            "validation": Score.from_dict(read["validation"]),
            "validation_at_last_step": Step.from_dict(read["validation_at_last_step"]),
            "confidence": ConfidenceCalibration.from_dict(read.pop("calibration")),
            "genres": {genre: Recognised(**row) for genre, row in read["genres"].items()},
            "initial": initial and Initial(**initial),
            "baselines": baselines and scores_from_dict(baselines),
        }
        return cls(**read)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the metrics of the run in a folder.

        Raises
        ------
        DataError
            They cannot be read, or are damaged.
        """
        path = folder / METRICS_FILE
        try:
            with reading(path):
                return cls.from_dict(json.loads(path.read_text()))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path}: is not what edge-genre train writes ({one_line(error)})"
            ) from None

    def write(self, folder: Path) -> None:
        """Write them into a run's folder."""
        write_json(folder / METRICS_FILE, self.to_dict())


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON, in place of what was there, whole or not at all."""
    write_whole(path, json.dumps(values, indent=1) + "\n")
