"""Run each step of a conversion in a process of its own.

Converters crash, hang, leak options into the next call and print what they like. A child process
has a time limit, its output goes to a log, and its end, whatever it is, becomes an `Outcome`.

A `Step` is a dataclass of its arguments, which travels as JSON in a file; arrays and graphs
pass through files beside it. The parent runs it with `Children`, the child answers with `answer`.
"""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from edge_genre.errors import EdgeGenreError, one_line
from edge_genre.host.child import Child, death
from edge_genre.host.record import Record

_LOG_LINES = 40
_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONFAULTHANDLER": "1"}


Found = TypeVar("Found", bound=Record)


@dataclass(frozen=True)
class Step(Record, Generic[Found]):
    """The arguments of one step; `result` is the class of what it finds."""

    result: ClassVar[type[Record]]


@dataclass(frozen=True)
class Outcome(Generic[Found]):
    """How a step ended.

    Parameters
    ----------
    status : ``"done"``; ``"failed"``: it said why; ``"crashed"``; ``"timed out"``
    seconds : how long it took
    found : what it found, if done
    message : why not, in one line
    log : the last lines of what it printed
    """

    status: str
    seconds: float
    found: Found | None = None
    message: str = ""
    log: tuple[str, ...] = ()


class Children:
    """The child processes of one conversion; as a context manager, it leaves none behind.

    Parameters
    ----------
    folder : for jobs, results and logs; it exists
    timeout : seconds for one step
    worker : the module that each child runs, with the path of its job: it calls `answer`
    """

    def __init__(
        self, folder: Path, timeout: float, *, worker: str = "edge_genre.convert.worker"
    ) -> None:
        self._folder, self._timeout, self._worker = folder, timeout, worker
        self._running: set[Child] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """End what still runs, and start nothing more."""
        with self._lock:
            self._closed = True
            for child in self._running:
                child.kill()

    def run(self, step: Step[Found]) -> Outcome[Found]:
        """Run one step of the worker; callable from several threads."""
        with self._lock:
            self._count += 1
            stem = self._folder / f"job{self._count}"
        job, result, log = (stem.with_suffix(suffix) for suffix in (".json", ".result", ".log"))
        name = type(step).__name__
        job.write_text(
            json.dumps({"step": name, "arguments": step.to_dict(), "result": str(result)})
        )
        begin = time.monotonic()
        code = self._finished(job, log)
        seconds = time.monotonic() - begin
        lines = tuple(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        if code is None:
            message = f"not done after {self._timeout:g} s: give it longer with --timeout"
            return Outcome("timed out", seconds, message=message, log=lines)
        try:
            values = json.loads(result.read_text())
        except (OSError, ValueError):
            message = f"the converter {death(code)}: {_last(lines)}"
            return Outcome("crashed", seconds, message=message, log=lines)
        if "error" in values:
            return Outcome("failed", seconds, message=values["error"], log=lines)
        found: Any = type(step).result.from_dict(values["found"])
        return Outcome("done", seconds, found=found, log=lines)

    def _finished(self, job: Path, log: Path) -> int | None:
        """The exit code of a child that does a job; None if it took too long."""
        with log.open("wb") as stream:
            with self._lock:
                if self._closed:
                    raise KeyboardInterrupt
                child = Child(
                    *("-m", self._worker, job),
                    environment=_ENVIRONMENT,
                    stdout=stream,
                    stderr=stream,
                )
                self._running.add(child)
            try:
                return child.finish(self._timeout).code
            finally:
                with self._lock:
                    self._running.discard(child)


def _last(lines: tuple[str, ...]) -> str:
    """The line that says most: an error's, else the last one."""
    for line in reversed(lines):
        if "rror" in line:
            return line.strip()
    return lines[-1].strip() if lines else "it printed nothing"


def answer(path: str, steps: Mapping[type[Step[Any]], Callable[[Any], Record]]) -> None:
    """Be the child: do the job of a file, and write down what it finds, or why it does not.

    Parameters
    ----------
    path : the job's, as `Children` gives it
    steps : what does each kind of step
    """
    threading.Thread(target=_die_with_parent, args=(os.getppid(),), daemon=True).start()
    job = json.loads(Path(path).read_text())
    kinds = {kind.__name__: kind for kind in steps}
    values: dict[str, Any]
    try:
        kind = kinds[job["step"]]
        values = {"found": steps[kind](kind.from_dict(job["arguments"])).to_dict()}
    except EdgeGenreError as error:
        values = {"error": str(error)}
    except MemoryError:
        values = {"error": "out of memory"}
    except OSError as error:
        values = {"error": f"{error.filename or 'a temporary file'}: {error.strerror or error}"}
    except Exception as error:  # frameworks raise many kinds, without a common base
        traceback.print_exc()
        why = one_line(error, 300) if str(error).strip() else ""
        values = {"error": f"{type(error).__name__}: {why}"}
    Path(job["result"]).write_text(json.dumps(values))


def _die_with_parent(parent: int) -> None:
    """End when the parent has ended, however it did."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
