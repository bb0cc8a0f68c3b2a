"""What a benchmark found, as ``edge-genre benchmark --json`` prints it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self, cast

from edge_genre.host.machine import Condition, Machine
from edge_genre.host.record import OMITTED, Record

SCHEMA = 1


@dataclass(frozen=True)
class Distribution(Record):
    """Times of a step, milliseconds.

    Parameters
    ----------
    mean, median, p90, p95, p99, min, max, iqr : of all windows
    samples : some of the times, from the shortest to the longest, evenly chosen
    """

    mean: float
    median: float
    p90: float
    p95: float
    p99: float
    min: float
    max: float
    iqr: float
    samples: tuple[float, ...]


@dataclass(frozen=True)
class Stages(Record):
    """Times of a window: from audio to features, from there to probabilities, and altogether."""

    front_end: Distribution
    inference: Distribution
    total: Distribution


@dataclass(frozen=True)
class Memory(Record):
    """MB in RAM; None where the system does not say.

    Parameters
    ----------
    python : before the model was loaded
    loaded : with it
    resident : while windows come in
    peak : the most since the start
    """

    python: float | None
    loaded: float | None
    resident: float | None
    peak: float | None


@dataclass(frozen=True)
class Identity(Record):
    """A model file, and what runs it.

    Parameters
    ----------
    model : its name
    file, bytes, sha256 : of the file
    format : ``"tflite"`` or ``"onnx"``
    weights : how they are stored, such as ``"int8"``; empty where the file does not say
    engine : with its version
    device, threads : see `edge_genre.engines.Engine`
    noun : what a label is, see `edge_genre.task.Task`
    """

    model: str
    file: str
    format: str
    weights: str
    bytes: int
    sha256: str
    engine: str
    device: str
    threads: int
    noun: str = field(default="genre", metadata={OMITTED: True})


@dataclass(frozen=True)
class Graph(Record):
    """What is in a file; None where the package that reads its format is missing.

    Parameters
    ----------
    parameters : how many
    operators : how many of each
    outside_delegate : those that XNNPACK leaves to TFLite's slower kernels; None for ONNX files
    """

    parameters: int | None
    operators: dict[str, int] | None
    outside_delegate: dict[str, int] | None


@dataclass(frozen=True)
class Answer(Record):
    """What a model says of the audio.

    Parameters
    ----------
    label : the first of the labels; ``"silence"``, or ``"nothing"`` where none of many holds
    probabilities : of each label; None for silence
    labels : of a model of many labels all that hold, most probable first
    """

    label: str
    probabilities: dict[str, float] | None
    labels: tuple[str, ...] = field(default=(), metadata={OMITTED: True})


@dataclass(frozen=True)
class Agreement(Record):
    """In how many windows a file gives what another gives.

    Parameters
    ----------
    reference : name of the other file
    windows, same : how many there are, and in how many of them both agree
    """

    reference: str = field(metadata={"key": "with"})
    windows: int
    same: int

    def __post_init__(self) -> None:
        _require_share(self.same, self.windows)


@dataclass(frozen=True)
class Accuracy(Record):
    """How much of some labelled music is recognised.

    Parameters
    ----------
    data : name of the music
    tracks, tracks_correct, windows, windows_correct : counts
    agreement : with the fp32 file of the same name, if there is one
    """

    data: str
    tracks: int
    tracks_correct: int
    windows: int
    windows_correct: int
    agreement: Agreement | None

    def __post_init__(self) -> None:
        _require_share(self.tracks_correct, self.tracks)
        _require_share(self.windows_correct, self.windows)


@dataclass(frozen=True)
class LabelAccuracy(Record):
    """How well a model of many labels tells some labelled music apart.

    Parameters
    ----------
    data : name of the music
    tracks, windows, labels : how many there are; labels that the figure is of
    average_precision, low, high : mean over the labels, with the interval of 95 %; see
        `edge_genre.benchmarks.accuracy.multi_label`
    agreement : with the fp32 file of the same name, if there is one
    """

    data: str
    tracks: int
    windows: int
    labels: int
    average_precision: float
    low: float
    high: float
    agreement: Agreement | None

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise ValueError(f"{self.low} to {self.high} is no interval of an average precision")


AnyAccuracy = Accuracy | LabelAccuracy


def _require_share(some: int, whole: int) -> None:
    if not 0 <= some <= whole or not whole:
        raise ValueError(f"{some} of {whole} is no share")


@dataclass(frozen=True)
class OperatorTime(Record):
    """Time of all operators of a kind in one run, and its share of that of all kinds."""

    operator: str
    ms: float
    share: float


@dataclass(frozen=True)
class BatchTime(Record):
    """Time of so many windows at once, and how many a second that makes."""

    batch: int
    ms: float
    windows_per_second: float

    def __post_init__(self) -> None:
        if min(self.batch, self.ms, self.windows_per_second) <= 0:
            raise ValueError(f"{self.batch} windows in {self.ms} ms is no time of a batch")


@dataclass(frozen=True, kw_only=True)
class Run(Identity, Graph):
    """What is known of a model wherever it runs, even on an emulated processor.

    Parameters
    ----------
    hop : seconds from one window to the next, whole frames of the model
    self_test_deviation : largest difference of a probability; None for a file without a self-test
    result : what it says
    """

    hop: float
    self_test_deviation: float | None
    result: Answer

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON, in the order of the schema."""
        values = dict.fromkeys(_UNTIMED) | super().to_dict()
        return {key: values[key] for key in _ORDER if key in values}

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Make a run of JSON's values, a `TimedRun` where it has times."""
        if cls is Run and isinstance(values, dict) and values.get("stages"):
            return cast("Self", TimedRun.from_dict(values))
        return super().from_dict(values)


@dataclass(frozen=True, kw_only=True)
class TimedRun(Run):
    """A model that was measured.

    Parameters
    ----------
    load_ms, self_test_ms, first_window_ms : of the start, which is `start_ms` in all
    windows : how many were timed
    stages : times of a window
    cpu_ms : of all threads, mean of a window
    real_time_factor, core_share : mean time of a window, and its CPU time, by that of a hop
    windows_per_second : one after another
    memory_mb : in RAM
    profile : dearest operators first; None where it was not asked for, or the engine has none
    batches : None where they were not asked for, or the file takes one window at a time
    accuracy : None without labelled music
    """

    load_ms: float
    self_test_ms: float
    first_window_ms: float
    start_ms: float
    windows: int
    stages: Stages
    cpu_ms: float
    real_time_factor: float
    core_share: float
    windows_per_second: float
    memory_mb: Memory
    profile: tuple[OperatorTime, ...] | None
    batches: tuple[BatchTime, ...] | None
    accuracy: AnyAccuracy | None


# What a run has None for where another processor plays this one; other figures it has not.
_UNTIMED = ("stages", "memory_mb", "profile", "batches", "accuracy")
_ORDER = (
    *("model", "file", "format", "weights", "bytes", "sha256", "engine", "device", "threads"),
    *("hop", "load_ms", "self_test_ms", "self_test_deviation", "first_window_ms", "start_ms"),
    *("windows", "stages", "cpu_ms", "real_time_factor", "core_share", "windows_per_second"),
    *("memory_mb", "noun", "result", "parameters", "operators", "outside_delegate"),
    *("profile", "batches", "accuracy"),
)


@dataclass(frozen=True)
class Input(Record):
    """The audio: its name, the first model's hop in seconds, and whether in real time."""

    name: str
    hop: float
    paced: bool


@dataclass(frozen=True)
class Result(Record):
    """What a benchmark found.

    Parameters
    ----------
    command : that was given, to repeat it
    schema : of all this
    edge_genre : version
    machine, before, after : what it was measured on, and in what condition
    trusted, warnings : whether nothing makes the times doubtful, and what does
    input : the audio
    seconds : of measuring for each model
    runs : one or more; all timed, or none
    """

    command: str
    schema: int
    edge_genre: str
    machine: Machine
    before: Condition
    after: Condition
    trusted: bool
    warnings: tuple[str, ...]
    input: Input
    seconds: float
    runs: tuple[Run, ...]

    @property
    def timed(self) -> list[TimedRun]:
        """The runs that were timed."""
        return [run for run in self.runs if isinstance(run, TimedRun)]

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Make a result of JSON's values; raises ValueError as `Record.from_dict` does."""
        if isinstance(values, dict) and values.get("schema") != SCHEMA:
            raise ValueError("is of another schema")
        found = super().from_dict(values)
        if not found.runs:
            raise ValueError("has no runs")
        return found
