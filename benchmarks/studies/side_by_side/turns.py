"""Contenders that take turns: one computes while all the others wait."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, TypeVar

import numpy as np

from edge_genre.benchmarks.studies.side_by_side.findings import Cost, Facts, FileCost, InRam
from edge_genre.errors import EdgeGenreError, EngineError
from edge_genre.host.process import ONE_THREAD, Process
from edge_genre.host.record import Record

# One thread each; a GPU would not be the same machine for all.
ENVIRONMENT = {
    **ONE_THREAD,
    "CUDA_VISIBLE_DEVICES": "",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

_Figures = TypeVar("_Figures", bound=Record)


@dataclass(frozen=True)
class Entry:
    """A contender that is to be started; see `contender.Contender`."""

    name: str
    kind: str
    path: Path
    hop: float = 0.5
    engine: str | None = None


class Contending(Process):
    """A contender's process.

    Parameters
    ----------
    entry : what it loads
    music : folder with samples for each rate

    Raises
    ------
    EngineError
        It cannot load it.
    """

    def __init__(self, entry: Entry, music: Path) -> None:
        self._stderr: IO[str] = TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        super().__init__(
            "edge_genre.benchmarks.studies.side_by_side.contender",
            name=entry.name,
            environment=ENVIRONMENT,
            log=self._stderr,
        )
        try:
            self.facts = Facts.from_dict(
                self.ask(
                    "load",
                    kind=entry.kind,
                    path=str(entry.path),
                    hop=entry.hop,
                    music=str(music),
                    engine=entry.engine,
                )
            )
        except EdgeGenreError:
            self.close()
            raise

    def ask(self, request: str, *arguments: Any, **keywords: Any) -> Any:
        """As `Process.ask`; every error names the contender."""
        try:
            return super().ask(request, *arguments, **keywords)
        except EngineError:
            raise
        except EdgeGenreError as error:
            raise EngineError(f"{self._name}: {error}") from None

    def stream(self, windows: int) -> Cost:
        """Measure windows of a stream."""
        return Cost.from_dict(self.ask("stream", windows))

    def file(self, path: Path) -> FileCost:
        """Measure a whole file."""
        return FileCost.from_dict(self.ask("file", str(path)))

    def inference(self, runs: int) -> Cost:
        """Measure the model on the features of one window."""
        return Cost.from_dict(self.ask("inference", runs))

    def memory(self) -> InRam:
        """How much memory the process has."""
        return InRam.from_dict(self.ask("memory"))

    def labels(self, path: Path) -> list[str]:
        """Genres of windows, an array (n, window) in a file."""
        return [str(label) for label in self.ask("labels", str(path))]

    def close(self) -> None:
        """End the process."""
        super().close()
        self._stderr.close()


@contextlib.contextmanager
def contenders(entries: Sequence[Entry], music: Path) -> Iterator[dict[str, Contending]]:
    """Start a process for each entry, and end them all."""
    with contextlib.ExitStack() as stack:
        yield {entry.name: stack.enter_context(Contending(entry, music)) for entry in entries}


def take_turns(
    processes: Mapping[str, Contending], rounds: int, task: Callable[[Contending], _Figures]
) -> dict[str, _Figures]:
    """Ask all the same, one after the other, round after round; return medians of the figures."""
    found: dict[str, list[_Figures]] = {name: [] for name in processes}
    for _ in range(rounds):
        for name, process in processes.items():
            found[name].append(task(process))
    return {name: medians(figures) for name, figures in found.items()}


def medians(found: Sequence[_Figures]) -> _Figures:
    """Median of each figure."""
    names = vars(found[0])
    return type(found[0])(
        **{name: float(np.median([getattr(each, name) for each in found])) for name in names}
    )
