"""Contenders that take turns: one computes while all the others wait."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from edge_genre.errors import EngineError

# One thread each; a GPU would not be the same machine for all.
ENVIRONMENT = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "CUDA_VISIBLE_DEVICES": "",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
_PATIENCE = 10.0  # seconds to end by itself

Answers = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A contender that is to be started; see `edge_genre.benchmarks.contender.Contender`."""

    name: str
    kind: str
    path: Path
    hop: float = 0.5
    engine: str | None = None


class Process:
    """A contender's process, seen from the one that asks.

    Parameters
    ----------
    entry : what it loads
    music : folder with samples for each rate

    Raises
    ------
    EngineError
        It cannot load it; the message is its own.
    """

    def __init__(self, entry: Entry, music: Path) -> None:
        self.entry = entry
        self._log: IO[str] = TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge_genre.benchmarks.contender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        )
        arguments = {
            "kind": entry.kind,
            "path": str(entry.path),
            "hop": entry.hop,
            "music": str(music),
            "engine": entry.engine,
        }
        try:
            self.facts: Answers = self.ask("load", **arguments)
        except EngineError:
            self.close()
            raise

    def ask(self, request: str, **arguments: Any) -> Any:
        """Send a request, and return the answer.

        Raises
        ------
        EngineError
            It failed, or the process died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([request, arguments]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            self._log.seek(0)
            said = (self._log.read().strip() or "nothing").splitlines()[-1]
            raise EngineError(f"{self.entry.name}: ended with code {code}, saying: {said}")
        answer = json.loads(line)
        if "error" in answer:
            raise EngineError(f"{self.entry.name}: {' '.join(answer['error'].split())}")
        return answer["answer"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()


@contextlib.contextmanager
def contenders(entries: Sequence[Entry], music: Path) -> Iterator[dict[str, Process]]:
    """Start a process for each entry, and end them all."""
    with contextlib.ExitStack() as stack:
        processes = {}
        for entry in entries:
            processes[entry.name] = process = Process(entry, music)
            stack.callback(process.close)
        yield processes


def take_turns(
    processes: Mapping[str, Process], rounds: int, request: str, **arguments: Any
) -> dict[str, Answers]:
    """Ask all the same, one after the other, round after round; return medians of the figures."""
    answers: dict[str, list[Answers]] = {name: [] for name in processes}
    for _ in range(rounds):
        for name, process in processes.items():
            answers[name].append(process.ask(request, **arguments))
    return {name: medians(found) for name, found in answers.items()}


def medians(answers: list[Answers]) -> Answers:
    """Median of each figure."""
    return {key: float(np.median([found[key] for found in answers])) for key in answers[0]}
