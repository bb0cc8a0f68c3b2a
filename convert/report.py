"""What came of a conversion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_genre.convert.verify.gate import Verdict

# In the order in which they would end the command.
KEPT, FORCED, REFUSED = "kept", "kept by force", "refused"


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
    facts : operators, what XNNPACK leaves out, engine, milliseconds
    seconds : that it took
    message : why it was not kept, in one line
    notes : what else a user should know
    drift : the layers that drift most, of a graph beyond the limits
    log : last lines of a converter that failed
    waveform : of a file with the front end in its graph: how far its probabilities are from those
        of the split form, NumPy's front end and the same classifier, and what that form costs
    """

    suffix: str
    quantization: str
    status: str
    path: Path | None = None
    size: int = 0
    verdict: Verdict | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    message: str = ""
    notes: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    waveform: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Such as ``tflite int8``."""
        return f"{self.suffix} {self.quantization}"

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        return asdict(self) | {"path": None if self.path is None else str(self.path)}


@dataclass(frozen=True)
class ConversionReport:
    """A source and what became of it.

    Parameters
    ----------
    source : path, kind, SHA-256, parameters and the versions of what read it
    windows : how many were compared, how many of them with a known genre, how many calibrated, and
        where they are from
    results : one for each format that was asked for
    """

    source: dict[str, Any]
    windows: dict[str, Any]
    results: tuple[FormatResult, ...]

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
            "source": self.source,
            "windows": self.windows,
            "results": [result.to_dict() for result in self.results],
        }
