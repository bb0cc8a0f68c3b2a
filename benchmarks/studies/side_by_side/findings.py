"""What a comparison found; all but starts in milliseconds, and memory in MB."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from edge_genre.host.machine import Machine
from edge_genre.host.record import Record

PUBLISHED, SAME = "published", "edge-genre, same network"
FIVE_CHANNEL, SONGNET = "five-channel", "songnet"
YAMNET = "YAMNet"
TINY, LONG = "tiny-gtzan", "songnet-fma"


@dataclass(frozen=True)
class Cost(Record):
    """Time of a window, or of a start in seconds: of the processor, and by the clock."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class FileCost(Cost):
    """Time of a window of a file that has so many."""

    windows: float


@dataclass(frozen=True)
class InRam(Record):
    """MB that a process has now, and has had at most; None where the system does not say."""

    resident: float | None
    peak: float | None


@dataclass(frozen=True)
class Facts(Record):
    """What a contender is.

    Parameters
    ----------
    engine : what runs it, with versions
    rate : of its samples, Hz
    window, hop : seconds of a window, and from one to the next
    """

    engine: str
    rate: int
    window: float
    hop: float


@dataclass(frozen=True)
class Named(Record):
    """A contender by its name, and the bytes of its file."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Pipeline(Facts, Named):
    """A classifier from end to end.

    Parameters
    ----------
    stream, wav, song : time of a window of each
    memory : after streams
    start : process start to first answer, seconds
    start_api, listening : of ours: a start by the Python API, and memory of ``edge-genre listen``
    """

    stream: Cost
    wav: FileCost
    song: FileCost
    memory: InRam
    start: Cost
    start_api: Cost | None = None
    listening: InRam | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON, without what is of ours alone, where it is not."""
        return {key: value for key, value in super().to_dict().items() if value is not None}

    @property
    def resident(self) -> float:
        """MB while listening, where there is such a program; NaN where it is unknown."""
        found = (self.listening or self.memory).resident
        return math.nan if found is None else found


@dataclass(frozen=True)
class Streamed(Facts, Named):
    """A stream beside YAMNet's: time of a window, and of a second of audio."""

    stream: Cost
    cpu_per_second: float


@dataclass(frozen=True)
class Format(Record):
    """One model in a format and an engine.

    Parameters
    ----------
    name : of the contender
    format, weights, engine, bytes : of its file
    bundled : it is the file as it is bundled
    parity : what its conversion found
    inference : time of a window's
    """

    name: str
    format: str
    weights: str
    engine: str
    bytes: int
    bundled: bool
    parity: dict[str, Any] | None
    inference: Cost
    memory: InRam


@dataclass(frozen=True)
class Turn(Record):
    """Wall time of an inference in our engine and in LiteRT's own benchmark, and their ratio."""

    ours: float
    theirs: float
    ratio: float


@dataclass(frozen=True)
class AgainstLiteRT(Record):
    """The medians of a model's turns."""

    name: str
    ours: float
    theirs: float
    ratio: float


@dataclass(frozen=True)
class Installation(Record):
    """Bytes of installed packages, those of the largest, and all versions."""

    bytes: int
    largest: dict[str, int]
    versions: dict[str, str]


@dataclass(frozen=True)
class Agreement(Record):
    """Windows that two classifiers heard, and those that both gave the same genre."""

    windows: int
    same: int


@dataclass(frozen=True)
class MeasuredOn(Machine):
    """A machine, and when it measured."""

    time: str


@dataclass(frozen=True)
class Heard(Record):
    """Names of the songs, and of the folder of clips."""

    songs: tuple[str, ...]
    clips: str


@dataclass(frozen=True)
class Repeated(Record):
    """Turns of each contender, and starts of each program."""

    rounds: int
    starts: int


@dataclass(frozen=True)
class Report(Record):
    """Everything that was measured.

    Parameters
    ----------
    machine, warnings : what it was measured on, and why to doubt it
    music, plan : what was heard, and how often
    five_channel, songnet : pipelines, the published one first
    agreement : of the published five-channel pipeline and our file of it
    yamnet : YAMNet's streams, and ours
    formats : one model in every format and engine
    litert_benchmark : our engine and LiteRT's own benchmark
    installed : by what is installed; None where it was left out
    """

    machine: MeasuredOn
    warnings: tuple[str, ...]
    music: Heard
    plan: Repeated
    five_channel: tuple[Pipeline, ...] = field(metadata={"key": FIVE_CHANNEL})
    songnet: tuple[Pipeline, ...] = field(metadata={"key": SONGNET})
    agreement: Agreement
    yamnet: tuple[Streamed, ...]
    formats: tuple[Format, ...]
    litert_benchmark: tuple[AgainstLiteRT, ...] = field(metadata={"key": "litert-benchmark"})
    installed: dict[str, Installation] | None

    @property
    def pipelines(self) -> dict[str, tuple[Pipeline, ...]]:
        """Both sets of pipelines, by the network that was published."""
        return {FIVE_CHANNEL: self.five_channel, SONGNET: self.songnet}
