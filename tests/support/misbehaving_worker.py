"""A worker that ends as converters do: run as a module, with the path of a job."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from edge_genre.convert.isolation import Step, answer
from edge_genre.errors import ConversionError
from edge_genre.host.record import Record


@dataclass(frozen=True)
class Number(Record):
    number: int
    seen: tuple[int, ...]


@dataclass(frozen=True)
class Obey(Step[Number]):
    """Behave well."""

    result = Number

    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Refuse(Obey):
    pass


@dataclass(frozen=True)
class Crash(Obey):
    pass


@dataclass(frozen=True)
class Exit(Obey):
    pass


@dataclass(frozen=True)
class Hang(Step[Number]):
    """Write down the process's number, and never end."""

    result = Number

    pid: str


def obey(step: Obey) -> Number:
    assert isinstance(step.numbers, tuple)
    return Number(42, step.numbers)


def refuse(step: Refuse) -> Number:
    raise ConversionError("unsupported")


def crash(step: Crash) -> Number:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def leave(step: Exit) -> Number:
    os.write(1, b"RuntimeError: no such operator\n")
    sys.exit(7)


def hang(step: Hang) -> Number:
    Path(step.pid).write_text(str(os.getpid()))
    time.sleep(600)
    raise AssertionError


if __name__ == "__main__":
    os.write(1, b"converting ...\n")
    answer(sys.argv[1], {Obey: obey, Refuse: refuse, Crash: crash, Exit: leave, Hang: hang})
