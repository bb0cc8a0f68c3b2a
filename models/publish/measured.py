"""What was measured of a model beyond training; the contents of ``measured.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from edge_genre.host.record import Record
from edge_genre.models.train.baselines import ArtistEffect
from edge_genre.models.train.records import read_json, write_json
from edge_genre.models.train.scores import Score, Step

MEASURED_FILE = "measured.json"


@dataclass(frozen=True)
class Times(Record):
    """Median milliseconds of one window on one thread."""

    front_end_ms: float
    inference_ms: float


@dataclass(frozen=True)
class Cost(Record):
    """What a window costs.

    Parameters
    ----------
    machine : name of the processor
    times : by the kind of file, ``"tflite"`` or ``"onnx"``
    multiply_accumulates : of the TFLite file's graph; None if there is none
    """

    machine: str
    times: dict[str, Times]
    multiply_accumulates: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        values: dict[str, Any] = {"machine": self.machine}
        for kind, times in self.times.items():
            values[kind] = times.to_dict()
            if kind == "tflite":
                values["multiply_accumulates"] = self.multiply_accumulates
        return values

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Read what `to_dict` gave."""
        if isinstance(values, dict):
            times = {kind: row for kind, row in values.items() if isinstance(row, dict)}
            values = {**values, "times": times}
        return super().from_dict(values)


@dataclass(frozen=True)
class Robustness(Record):
    """How many tracks are right under which condition.

    Parameters
    ----------
    data : what was measured on
    tracks, tracks_correct : how many there are, and how many are right as they are
    conditions : how many are right under each
    """

    data: str
    tracks: int
    tracks_correct: int
    conditions: dict[str, int]


@dataclass(frozen=True)
class Ablation(Record):
    """A recipe without one of its parts at a time.

    Parameters
    ----------
    text : how it was measured
    variants : the last steps of the runs of each variant, one a seed
    """

    text: str
    variants: dict[str, tuple[Step, ...]]


@dataclass(frozen=True)
class Measured(Record):
    """All of it; None where nothing was measured."""

    cost: Cost | None = None
    baselines: dict[str, Score] | None = None
    artists: ArtistEffect | None = None
    robustness: Robustness | None = None
    ablation: Ablation | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what was measured, ready for JSON."""
        return {name: part for name, part in super().to_dict().items() if part is not None}

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what was measured of the model of a folder: nothing, if there is no such file.

        Raises
        ------
        DataError
            The file cannot be read, or is damaged.
        """
        path = folder / MEASURED_FILE
        return read_json(path, cls) if path.exists() else cls()

    def write(self, folder: Path) -> Path:
        """Write what was measured into a model's folder; all else that stands there stays.

        Returns
        -------
        The file's path
        """
        path = folder / MEASURED_FILE
        before = json.loads(path.read_text()) if path.exists() else {}
        write_json(path, before | self.to_dict())
        return path
