"""What played when, in an SQLite file that outlives power cuts.

A row is a *play*: a stretch of one label, not a window; of labels that hold together each has rows
of its own. The rows of what is playing are brought up to date once a minute, so that an SD card
sees a page of 4 kB a minute and a flush every few hours:

- In WAL mode with ``synchronous=NORMAL`` a commit is an append without a flush; only a checkpoint
  flushes, after 256 pages. The file is whole after SIGKILL and after a power cut. A power cut may
  take the last commits with it (the kernel writes them within half a minute), SIGKILL none; a flush
  a minute would wear the card to save half a minute of one label.
- A thread of its own does all of that: a slow card flushes for seconds, another process may hold a
  lock, and neither may keep a window waiting, nor `History.close` for more than a second.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from edge_genre.outputs import Event
from edge_genre.outputs.history_file import (
    COLUMNS_OF_SCHEMA_2,
    HistoryError,
    make_table,
    schema_of,
    stamp,
    valid_text,
    why_unusable,
)
from edge_genre.outputs.plays import Play, PlayMaker
from edge_genre.task import GENRES, Task

PACE_SECONDS = 60.0
_RETRY_SECONDS = 10.0
# Plays that are kept while the file cannot be written: some days, and less than a megabyte.
MAX_WAITING = 2_000
_LOCK_SECONDS = 0.3  # to wait for another process; twice is less than close() has
_CLOSE_SECONDS = 0.9

# Of a play's columns, those that stay as they are first written.
_FIXED = ("run", "number", "label", "model", "noun")

_Row = dict[str, Any]


class History:
    """Keeps what is playing in a file, for ``edge-genre history`` and any SQLite program.

    While the file cannot be written, plays wait in memory, the newest 2,000 at most.

    Parameters
    ----------
    path : made if it does not exist; its folder is not, which may be a card that is not there yet
    model : the model's name
    task : what its labels are
    say : gets one line when the file cannot be written, and one when it can again; called by
        `write` and `close`, never by another thread
    pace : seconds from one write to the file to the next
    uptime : seconds on a clock that nobody sets and that does not stop while the machine sleeps
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        model: str,
        task: Task = GENRES,
        say: Callable[[str], None] = lambda line: click.echo(line, err=True),
        pace: float = PACE_SECONDS,
        uptime: Callable[[], float] | None = None,
    ) -> None:
        self._path = Path(path)
        self._say = say
        self._pace = pace
        self._run = int.from_bytes(os.urandom(6))  # random: the clock may be what it was before
        self._model = model
        self._noun = task.noun
        # The first that can say all of it, for the sake of older readers.
        self._schema = 1 if (task.noun, task.exclusive) == (GENRES.noun, True) else 2
        self._lock = threading.Lock()  # of the next three, never held while the disk works
        self._maker = PlayMaker(uptime or _uptime)
        self._waiting: deque[_Row] = deque()
        self._lost = 0
        self._news: deque[str] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._worker: threading.Thread | None = None
        # The thread's own.
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None  # which file the connection is to
        self._stored: list[_Row] = []  # of what is playing
        self._problem: str | None = None

    def write(self, event: Event) -> None:
        """Take one event; microseconds, whatever the disk does."""
        with self._lock:
            for play in self._maker.take(event):
                self._wait_for_disk([self._row(play)])
                if len(self._waiting) == MAX_WAITING // 2:  # audio comes much faster than real time
                    self._wake.set()
        if self._worker is None:
            # A daemon: a card that hangs must not keep the process from ending.
            self._worker = threading.Thread(target=self._work, name="history", daemon=True)
            self._worker.start()
        self._speak()

    def close(self) -> None:
        """Write what is left, within a second; a disk that takes longer is left to itself."""
        self._closing = True
        self._wake.set()
        if self._worker is not None:
            self._worker.join(_CLOSE_SECONDS)
            if self._worker.is_alive():
                self._news.append(f"{self._path}: the disk does not answer; the end may be missing")
        self._speak()

    def _speak(self) -> None:
        while self._news:
            self._say(self._news.popleft())

    def _row(self, play: Play) -> _Row:
        row = {
            "run": self._run,
            "number": play.number,
            "started": stamp(play.started),
            "ended": stamp(play.ended),
            "seconds": round(play.seconds, 3),
            "label": valid_text(play.label),
            "probability": round(play.probabilities / play.windows, 4),
            "windows": play.windows,
            "model": valid_text(self._model),
            "noun": valid_text(self._noun),
            "heard": round(play.heard, 3),
        }
        later = () if self._schema > 1 else COLUMNS_OF_SCHEMA_2
        return {name: value for name, value in row.items() if name not in later}

    def _wait_for_disk(self, rows: Iterable[_Row]) -> None:
        self._waiting.extend(rows)
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self._lost += 1

    def _work(self) -> None:
        last = False
        while not last:
            last = self._closing
            ended, current = self._take()
            rows = sorted([*ended, *current], key=lambda row: row["number"])
            problem = None
            try:
                if rows:
                    self._store(rows)
                    self._stored = current
                if last:
                    self._disconnect()
            except (sqlite3.Error, OSError, MemoryError, HistoryError) as error:
                problem = why_unusable(error)
                self._disconnect()
                self._put_back(ended)
            self._report(problem, unwritten=len(rows) if last else 0)
            if not last:
                self._wake.wait(min(self._pace, _RETRY_SECONDS) if problem else self._pace)
                self._wake.clear()

    def _take(self) -> tuple[list[_Row], list[_Row]]:
        """What the file does not have yet: what has ended, and what is playing if that is new."""
        with self._lock:
            ended = list(self._waiting)
            self._waiting.clear()
            current = [self._row(play) for play in self._maker.current]
        return ended, current if ended or current != self._stored else []

    def _put_back(self, ended: list[_Row]) -> None:
        with self._lock:
            newer = list(self._waiting)
            self._waiting.clear()
            self._wait_for_disk(ended + newer)

    def _report(self, problem: str | None, *, unwritten: int) -> None:
        if problem and unwritten:
            left = unwritten + self._lost
            self._news.append(f"{self._path}: {problem}; plays that are not in it: {left}")
        elif problem and not self._problem:  # one line, in however many ways it fails then
            self._news.append(f"{self._path}: {problem}; plays wait in memory")
        elif not problem and (self._problem or self._lost):
            with self._lock:
                lost, self._lost = self._lost, 0
            missing = f"; plays that are not in it: {lost}, too many to wait" if lost else ""
            self._news.append(f"{self._path}: is written again{missing}")
        self._problem = problem

    def _store(self, rows: list[_Row]) -> None:
        connection = self._connect()
        columns = tuple(rows[0])
        changed = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in _FIXED)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            f"INSERT INTO plays ({', '.join(columns)}) "
            f"VALUES ({', '.join(f':{name}' for name in columns)}) "
            f"ON CONFLICT (run, number) DO UPDATE SET {changed}",
            rows,
        )
        connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        """The open file; opened anew if another one, or none, is in its place now."""
        if self._connection is not None and self._identity() != self._opened:
            # SQLite leaves the log of a file that was moved where it is: put it into the file.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._disconnect()
        if self._connection is None:
            # Absolute, since SQLite gives names such as :memory: a meaning.
            self._connection = sqlite3.connect(
                self._path.absolute(), timeout=_LOCK_SECONDS, isolation_level=None
            )
            if schema_of(self._connection) < self._schema:
                make_table(self._connection, self._schema)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA wal_autocheckpoint = 256")
            self._connection.execute("PRAGMA cache_size = -256")  # kB; plays are only appended
            self._opened = self._identity()
        return self._connection

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


def _uptime() -> float:
    if hasattr(time, "CLOCK_BOOTTIME"):  # of Linux, where `monotonic` stops in sleep
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
