"""Histories to test with: what is heard, what is in the file, and who else has it."""

import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from edge_genre.cli import main
from edge_genre.listening.playing import Held, Playing
from edge_genre.outputs import Event
from edge_genre.outputs.history import History
from edge_genre.outputs.history_file import HistoryError, reading
from edge_genre.results import NOTHING, SILENCE, WindowResult
from edge_genre.task import Task
from tests.support.playing import playing
from tests.support.waiting import wait_for

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW = 3.0
GENRES = ("blues", "jazz", "metal", "pop", "rock")
PACE = 0.02  # of tests that wait for the file


def event(
    label: str,
    *,
    end: float,
    since: float = WINDOW,
    passed: float | None = None,
    probability: float = 0.5,
    dropped: int = 0,
) -> Event:
    """A window that ends at a position; the wall clock is at START at the first one's end."""
    result = WindowResult(
        start=end - WINDOW,
        end=end,
        labels=(),
        probabilities=None,
        level_dbfs=-20.0,
        front_end_ms=1.0,
        inference_ms=1.0,
        dropped_samples=dropped,
    )
    after = end - WINDOW if passed is None else passed
    shown = 0.0 if label == SILENCE else probability
    now = START + timedelta(seconds=after)
    return Event(now, result, playing(label, shown, since))


def events(labels: Iterable[str]) -> Iterator[Event]:
    """A window a second, one for each label."""
    before, since = "", 0.0
    for index, label in enumerate(labels):
        end = index + WINDOW
        if label != before:
            before, since = label, end
        yield event(label, end=end, since=since)


TAGS = Task(kind="multi_label", noun="tag")


def tagged(labels: Iterable[Sequence[str]]) -> Iterator[Event]:
    """A window a second, with labels that hold together, or none, or silence."""
    since: dict[str, float] = {}
    for index, names in enumerate(labels):
        one = event("", end=index + WINDOW)
        now = names or (NOTHING,)
        since = {name: since.get(name, one.result.end) for name in now}
        held = tuple(Held(name, 0.5, since[name]) for name in now)
        if now[0] in (NOTHING, SILENCE):
            said = Playing(held=(), otherwise=Held(now[0], 0.0, since[now[0]]), probabilities=None)
        else:
            said = Playing(held=held, probabilities=None)
        yield replace(one, playing=said)


def in_turns(n: int) -> list[Sequence[str]]:
    """For so many windows: labels that come and go at paces of their own, now and then silence."""
    paces = {"drum": 7, "guitar": 11, "voice": 30}
    return [
        (SILENCE,) if index % 90 > 80 else [k for k, p in paces.items() if index // p % 2 == 0]
        for index in range(n)
    ]


def feed(history: History, found: Iterable[Event], seconds: float = 0.0) -> list[float]:
    """Write events over so many seconds; return how long each write took."""
    chosen = list(found)
    took = []
    for one in chosen:
        begin = time.perf_counter()
        history.write(one)
        took.append(time.perf_counter() - begin)
        time.sleep(seconds / len(chosen))
    return took


def hear(history: History, said: list[str], line: str) -> None:
    """Wait until the history says a line, as it would with the next event."""

    def heard() -> bool:
        history._speak()
        return said[-1:] == [line]

    wait_for(heard)


def listen(path: Path, found: Iterable[Event], **options: Any) -> None:
    """A whole run, closed in the end."""
    history = History(path, model="m", **options)
    feed(history, found)
    history.close()


def rows(path: Path, columns: str = "*") -> list[Any]:
    """What any SQLite program sees, after it has checked the file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        found = connection.execute(f"SELECT {columns} FROM plays ORDER BY id").fetchall()
    return [tuple(row) if columns != "*" else dict(row) for row in found]


def count(path: Path) -> int:
    """Plays so far; 0 while there is no table."""
    with contextlib.suppress(HistoryError), reading(path) as connection:
        return int(connection.execute("SELECT count(*) FROM plays").fetchone()[0])
    return 0


def runs(found: list[Any]) -> list[list[int]]:
    """Numbers of the plays of each run."""
    runs: dict[int, list[int]] = {}
    for play in found:
        runs.setdefault(play["run"], []).append(play["number"])
    return list(runs.values())


def log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process has the file's lock for writing."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate(timeout=300)


def run(*arguments: object, code: int = 0) -> Result:
    """Run ``edge-genre history`` as the program does, errors included."""
    result = CliRunner().invoke(main, ["history", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result
