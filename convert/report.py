"""What came of a conversion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_genre.convert.steps import EngineFacts, ModelFacts
from edge_genre.convert.verify.gate import Verdict
from edge_genre.convert.verify.parity import AnyParity
from edge_genre.task import GENRES, Task

# In the order in which they would end the command.
KEPT, FORCED, REFUSED = "kept", "kept by force", "refused"


@dataclass(frozen=True)
class WaveformResult:
    """A file with the front end in its graph, beside NumPy's front end and the same classifier.

    Parameters
    ----------
    data : where the windows of audio are from, in words
    parity : how far apart the probabilities of both forms are
    split_size : bytes of the classifier alone
    split_milliseconds : of a window in the split form
    """

    data: str
    parity: AnyParity
    split_size: int
    split_milliseconds: float

    def to_dict(self) -> dict[str, Any]:
        """All of it in one level, ready for JSON."""
        return {
            "data": self.data,
            **self.parity.to_dict(),
            "split_size": self.split_size,
            "split_milliseconds": self.split_milliseconds,
        }


@dataclass(frozen=True)
class FormatResult:
    """One format of one model.

    Parameters
    ----------
    suffix : ``"tflite"`` or ``"onnx"``
    quantization : ``"fp32"``, ``"fp16"``, ``"dynamic"`` or ``"int8"``
    status : `KEPT`; `FORCED`: beyond the gate's limits; `REFUSED` for that; or, where there is
        nothing to refuse, ``"failed"``, ``"crashed"`` or ``"timed out"``
    path : the file, if kept
    size : bytes of the graph, without its description; 0 where there is none
    verdict : its figures beside the source's
    facts : of its graph in its engine, if it runs
    seconds : that it took
    message : why it was not kept, in one line
    notes : what else a user should know
    drift : the layers that drift most, of a graph beyond the limits
    log : last lines of a converter that failed
    waveform : of a file with the front end in its graph
    """

    suffix: str
    quantization: str
    status: str
    path: Path | None = None
    size: int = 0
    verdict: Verdict | None = None
    facts: EngineFacts | None = None
    seconds: float = 0.0
    message: str = ""
    notes: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    waveform: WaveformResult | None = None

    @property
    def name(self) -> str:
        """Such as ``tflite int8``."""
        return f"{self.suffix} {self.quantization}"

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        return asdict(self) | {
            "path": None if self.path is None else str(self.path),
            "facts": {} if self.facts is None else self.facts.figures(),
            "waveform": {} if self.waveform is None else self.waveform.to_dict(),
        }


@dataclass(frozen=True)
class SourceReport:
    """The model that was converted: its file and what is in it.

    Parameters
    ----------
    notes : what a user should know of its outputs
    """

    path: str
    sha256: str
    facts: ModelFacts
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it in one level, ready for JSON; ``input_shape`` is that of the first input."""
        return {
            "path": self.path,
            "sha256": self.sha256,
            "input_shape": list(self.facts.inputs[0].shape),
            **self.facts.to_dict(),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class WindowsReport:
    """What was compared on.

    Parameters
    ----------
    compared : windows
    labelled : how many of them have a known genre
    calibrated : windows, others if there are enough, that ranges of 8 bits were taken from
    origin : where all are from, in words
    """

    compared: int
    labelled: int
    calibrated: int
    origin: str


@dataclass(frozen=True)
class ConversionReport:
    """A source and what became of it.

    Parameters
    ----------
    source, windows : what was converted, and what it was compared on
    results : one for each format that was asked for
    task : what the outputs mean
    """

    source: SourceReport
    windows: WindowsReport
    results: tuple[FormatResult, ...]
    task: Task = GENRES

    @property
    def files(self) -> list[Path]:
        """The files that were written."""
        return [result.path for result in self.results if result.path is not None]

    @property
    def exit_code(self) -> int:
        """0: all were kept; 1: one failed; 3: one was refused by the gate."""
        statuses = {result.status for result in self.results}
        if statuses - {KEPT, FORCED, REFUSED}:
            return 1
        return 3 if REFUSED in statuses else 0

    def problems(self) -> Iterator[str]:
        """A line for each format that was not kept, and for each note."""
        for note in self.source.notes:
            yield f"{Path(self.source.path).name}: {note}"
        for result in self.results:
            if result.status != KEPT:
                yield f"{result.name} {result.status}: {result.message}"
            if result.drift:
                yield f"{result.name} drifts most at {result.drift[0]}"
            for note in result.notes:
                yield f"{result.name}: {note}"

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        return {
            "source": self.source.to_dict(),
            "windows": asdict(self.windows),
            "results": [result.to_dict() for result in self.results],
            "task": self.task.to_dict(),
        }
