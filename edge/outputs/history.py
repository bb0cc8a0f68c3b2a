"""What played when, in an SQLite file that outlives power cuts.

A row is a *play*: a stretch of one label, not a window. The row of what is playing is brought up to
date once a minute, so that an SD card sees a page of 4 kB a minute and a flush every few hours:

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

import click

from edge_genre.outputs import Event
from edge_genre.outputs.history_file import (
    HistoryError,
    is_history,
    make_table,
    stamp,
    valid_text,
    why_unusable,
)
from edge_genre.outputs.plays import Play, PlayMaker

PACE_SECONDS = 60.0
_RETRY_SECONDS = 10.0
# Plays that are kept while the file cannot be written: some days, and less than a megabyte.
MAX_WAITING = 2_000
_LOCK_SECONDS = 0.3  # to wait for another process; twice is less than close() has
_CLOSE_SECONDS = 0.9

_STORE = """
INSERT INTO plays (run, number, started, ended, seconds, label, probability, windows, model)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run, number) DO UPDATE SET started = excluded.started, ended = excluded.ended,
    seconds = excluded.seconds, probability = excluded.probability, windows = excluded.windows"""

_Row = tuple[int, int, str, str, float, str, float, int, str]


class History:
    """Keeps what is playing in a file, for ``edge-genre history`` and any SQLite program.

    While the file cannot be written, plays wait in memory, the newest 2,000 at most.

    Parameters
    ----------
    path : made if it does not exist; its folder is not, which may be a card that is not there yet
    model : the model's name
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
        say: Callable[[str], None] = lambda line: click.echo(line, err=True),
        pace: float = PACE_SECONDS,
        uptime: Callable[[], float] | None = None,
    ) -> None:
        self._path = Path(path)
        self._say = say
        self._pace = pace
        self._run = int.from_bytes(os.urandom(6))  # random: the clock may be what it was before
        self._model = model
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
        self._stored: _Row | None = None
        self._problem: str | None = None

    def write(self, event: Event) -> None:
        """Take one event; microseconds, whatever the disk does."""
        with self._lock:
            ended = self._maker.take(event)
            if ended is not None:
                self._wait_for_disk([self._row(ended)])
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
        return (
            self._run,
            play.number,
            stamp(play.started),
            stamp(play.ended),
            round(max(0.0, play.end - play.begin), 3),
            valid_text(play.label),
            round(play.probabilities / play.windows, 4),
            play.windows,
            valid_text(self._model),
        )

    def _wait_for_disk(self, rows: Iterable[_Row]) -> None:
        self._waiting.extend(rows)
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self._lost += 1

    def _work(self) -> None:
        last = False
        while not last:
            last = self._closing
            rows = self._take()
            problem = None
            try:
                if rows:
                    self._store(rows)
                if last:
                    self._disconnect()
            except (sqlite3.Error, OSError, MemoryError, HistoryError) as error:
                problem = why_unusable(error)
                self._disconnect()
                self._put_back(rows[:-1])
            self._report(problem, unwritten=len(rows) if last else 0)
            if not last:
                self._wake.wait(min(self._pace, _RETRY_SECONDS) if problem else self._pace)
                self._wake.clear()

    def _take(self) -> list[_Row]:
        """What the file does not have yet, what is playing last; nothing if nothing is new."""
        with self._lock:
            rows = list(self._waiting)
            self._waiting.clear()
            if self._maker.current is not None:
                rows.append(self._row(self._maker.current))
        return rows if rows[-1:] != [self._stored] else []

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
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_STORE, rows)
        connection.execute("COMMIT")
        self._stored = rows[-1]

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
            if not is_history(self._connection):
                make_table(self._connection)
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
