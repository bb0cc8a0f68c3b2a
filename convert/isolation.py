"""Run each step of a conversion in a process of its own.

Converters crash, hang, leak options into the next call and print what they like. A child process
has a time limit, its output goes to a log, and its end, whatever it is, becomes an `Outcome`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

_LOG_LINES = 40


@dataclass(frozen=True)
class Outcome:
    """How a step ended.

    Parameters
    ----------
    status : ``"done"``; ``"failed"``: it said why; ``"crashed"``; ``"timed out"``
    values : what it found, if done
    message : why not, in one line
    log : the last lines of what it printed
    seconds : how long it took
    """

    status: str
    seconds: float
    values: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    log: tuple[str, ...] = ()


class Children:
    """The child processes of one conversion; as a context manager, it leaves none behind.

    Parameters
    ----------
    folder : for jobs, results and logs; it exists
    timeout : seconds for one step
    worker : the module that each child runs, with the path of its job
    """

    def __init__(
        self, folder: Path, timeout: float, *, worker: str = "edge_genre.convert.worker"
    ) -> None:
        self._folder, self._timeout, self._worker = folder, timeout, worker
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._count = 0

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._closed = True
            for process in self._running:
                _kill(process)

    def run(self, task: str, **arguments: Any) -> Outcome:
        """Run one task of the worker; callable from several threads."""
        with self._lock:
            self._count += 1
            stem = self._folder / f"job{self._count}"
        job, result, log = (stem.with_suffix(suffix) for suffix in (".json", ".result", ".log"))
        job.write_text(json.dumps({"task": task, "arguments": arguments, "result": str(result)}))
        begin = time.monotonic()
        with log.open("wb") as stream:
            process = self._start([sys.executable, "-m", self._worker, job], stream)
            try:
                code: int | None = process.wait(self._timeout)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _kill(process)
                with self._lock:
                    self._running.discard(process)
        seconds = time.monotonic() - begin
        lines = tuple(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        if code is None:
            message = f"not done after {self._timeout:g} s: give it longer with --timeout"
            return Outcome("timed out", seconds, message=message, log=lines)
        try:
            values = json.loads(result.read_text())
        except (OSError, ValueError):
            message = f"{_ending(code)}: {_last(lines)}"
            return Outcome("crashed", seconds, message=message, log=lines)
        if "error" in values:
            return Outcome("failed", seconds, message=values["error"], log=lines)
        return Outcome("done", seconds, values=values, log=lines)

    def _start(self, command: list[Any], log: Any) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONFAULTHANDLER": "1"},
                start_new_session=True,  # Ctrl-C is for the parent alone
            )
            self._running.add(process)
            return process


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _ending(code: int) -> str:
    if code < 0:
        return f"the converter was killed by {signal.Signals(-code).name}"
    return f"the converter ended with exit code {code}"


def _last(lines: tuple[str, ...]) -> str:
    """The line that says most: an error's, else the last one."""
    for line in reversed(lines):
        if "rror" in line:
            return line.strip()
    return lines[-1].strip() if lines else "it printed nothing"
