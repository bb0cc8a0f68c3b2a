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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from edge_genre.errors import EdgeGenreError
from edge_genre.outputs import Event

SCHEMA = 1
_APPLICATION = 0x45644765  # "EdGe": what SQLite and file(1) know a format by
PACE_SECONDS = 60.0
_RETRY_SECONDS = 10.0
# Two clocks that are further apart have not ticked alike, and a longer hole in the audio ends a
# play; as much as a song's label is smoothed over.
_APART_SECONDS = 30.0
# Plays that are kept while the file cannot be written: some days, and less than a megabyte.
MAX_WAITING = 2_000
_LOCK_SECONDS = 0.3  # to wait for another process; twice is less than close() has
_CLOSE_SECONDS = 0.9

_TABLE = """
CREATE TABLE IF NOT EXISTS plays (
    id INTEGER PRIMARY KEY,     -- in the order in which they were heard
    run INTEGER NOT NULL,       -- one for each start of listening
    number INTEGER NOT NULL,    -- within the run
    started TEXT NOT NULL,      -- UTC, by the wall clock
    ended TEXT NOT NULL,        -- likewise; so far, if it still plays
    seconds REAL NOT NULL,      -- of audio, whatever the clock did
    label TEXT NOT NULL,        -- a genre, silence or uncertain
    probability REAL NOT NULL,  -- mean over the windows; 0 for silence and uncertain
    windows INTEGER NOT NULL,
    model TEXT NOT NULL,
    UNIQUE (run, number)
)"""
_STORE = """
INSERT INTO plays (run, number, started, ended, seconds, label, probability, windows, model)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run, number) DO UPDATE SET started = excluded.started, ended = excluded.ended,
    seconds = excluded.seconds, probability = excluded.probability, windows = excluded.windows"""

_Row = tuple[int, int, str, str, float, str, float, int, str]


class HistoryError(EdgeGenreError):
    """A history cannot be used: missing, damaged, locked, newer, or no history at all."""


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
        self._stretches = _Stretches(uptime or _uptime)
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
            ended = self._stretches.take(event)
            if ended is not None:
                self._wait_for_disk([self._row(ended)])
                if len(self._waiting) == MAX_WAITING // 2:  # audio comes much faster than life
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

    def _row(self, play: _Play) -> _Row:
        return (
            self._run,
            play.number,
            stamp(play.started),
            stamp(play.ended),
            round(max(0.0, play.end - play.begin), 3),
            _text(play.label),
            round(play.probabilities / play.windows, 4),
            play.windows,
            _text(self._model),
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
                problem = reason(error)
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
            if self._stretches.current is not None:
                rows.append(self._row(self._stretches.current))
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
            if not _is_history(self._connection):
                _make(self._connection)
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


@dataclass
class _Play:
    """A stretch of one label; positions in the audio in seconds."""

    number: int
    label: str
    since: float  # as `edge_genre.listening.playing.Playing` has it
    begin: float
    started: datetime
    end: float
    ended: datetime
    probabilities: float = 0.0  # their sum
    windows: int = 0

    def reach(self, end: float, ended: datetime) -> None:
        self.end, self.ended = end, ended

    def move(self, by: timedelta) -> None:
        """Say when it was by a clock that has been set meanwhile."""
        self.started += by
        self.ended += by


class _Stretches:
    """Makes plays of events.

    The plays of a run join without gaps, so that they add up to what was heard: the first begins
    with its first window, each other one where its label began to hold. A hole in the audio (the
    microphone was away) or in time (the machine slept) ends a play, even if the same genre comes
    after it: nobody knows what was there.
    """

    def __init__(self, uptime: Callable[[], float]) -> None:
        self.current: _Play | None = None
        self._uptime = uptime
        self._up = 0.0  # at the event before
        self._count = 0

    def take(self, event: Event) -> _Play | None:
        """Take one event; return the play that it ends, if any."""
        end, since = event.result.end, event.playing.since
        before, up_before, self._up = self.current, self._up, self._uptime()
        ended = before
        if before is None or self._is_apart(before, event, self._up - up_before):
            self._begin(event, event.result.start)
        elif (event.playing.label, since) != (before.label, before.since):
            before.reach(since, event.time - timedelta(seconds=end - since))
            self._begin(event, since)
        else:
            ended = None
        play = self.current
        assert play is not None
        play.reach(end, event.time)
        play.probabilities += event.playing.probability
        play.windows += 1
        return ended

    def _begin(self, event: Event, position: float) -> None:
        started = event.time - timedelta(seconds=event.result.end - position)
        self._count += 1
        self.current = _Play(
            number=self._count,
            label=event.playing.label,
            since=event.playing.since,
            begin=position,
            started=started,
            end=position,
            ended=started,
        )

    @staticmethod
    def _is_apart(play: _Play, event: Event, up: float) -> bool:
        """Whether there is a hole before an event; if its clock was set, the play is moved."""
        heard = event.result.end - play.end
        passed = (event.time - play.ended).total_seconds()
        # Audio alone would not do: it stops while the machine sleeps. Uptime alone would not do
        # either: audio from a pipe may come faster than life.
        if min(abs(passed - heard), abs(passed - up)) > _APART_SECONDS:
            play.move(timedelta(seconds=passed - heard))
            passed = heard
        lost = event.result.start - play.end if event.result.dropped_samples else 0.0
        return heard < 0 or max(passed - heard, lost) > _APART_SECONDS


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a history for reading, while `History` may be writing to it.

    Raises
    ------
    HistoryError
        There is none, or what is there is not one, or newer, damaged or locked.
    """
    with _naming(path, OSError, sqlite3.Error, HistoryError):
        connection = _open_to_read(path)
    with contextlib.closing(connection), _naming(path, sqlite3.Error):
        yield connection


def _open_to_read(path: Path) -> sqlite3.Connection:
    real = path.resolve(strict=True)
    if not real.is_file():
        raise HistoryError("is not a file")
    try:
        return _connected(f"{real.as_uri()}?mode=ro")
    except sqlite3.OperationalError as error:
        # Readers share memory through a file beside the history, which cannot be made in a folder
        # that is read-only or full. Where nobody has left a log, it can be done without.
        log = real.with_name(f"{real.name}-wal")
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise
        if log.exists() and log.stat().st_size:
            raise
        return _connected(f"{real.as_uri()}?mode=ro&immutable=1")


def _connected(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True)
    try:
        if _is_history(connection):
            return connection
        raise HistoryError("is empty, expected a history of `edge-genre listen --history`")
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def _naming(path: Path, *errors: type[Exception]) -> Iterator[None]:
    try:
        yield
    except errors as error:
        raise HistoryError(f"{path}: {reason(error)}") from None


def reason(error: Exception) -> str:
    """Why a history cannot be used, and what to do, as the end of a sentence about the file."""
    if isinstance(error, HistoryError):
        return str(error)
    if isinstance(error, OSError):
        return f"cannot be opened ({error.strerror})"
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    known = _REASONS.get(code) or _REASONS.get(code & 0xFF)
    return known or f"cannot be used ({error or type(error).__name__})"


_REASONS = {
    sqlite3.SQLITE_BUSY: "is locked by another process",
    sqlite3.SQLITE_READONLY: "is read-only, or its folder is",
    sqlite3.SQLITE_FULL: "cannot be written, the disk is full",
    sqlite3.SQLITE_IOERR_SHMSIZE: "cannot be written, the disk is full",
    sqlite3.SQLITE_IOERR: "cannot be read or written, the disk fails",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: its folder is missing or read-only",
    sqlite3.SQLITE_CORRUPT: "is damaged: move it away, and a new one is begun",
    sqlite3.SQLITE_NOTADB: "is not a history: name another file",
}


def _is_history(connection: sqlite3.Connection) -> bool:
    """Whether a database is a history of a known schema, or empty."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == 0 and version == 0 and not tables:
        return False
    if application != _APPLICATION:
        raise HistoryError("is another program's database, not a history: name another file")
    if version > SCHEMA:
        raise HistoryError(
            f"has schema {version}, and this edge-genre knows {SCHEMA}: update it, or name another "
            "file"
        )
    return True


def _make(connection: sqlite3.Connection) -> None:
    """Make the table; another process may be doing the same."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_TABLE)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
    connection.execute("COMMIT")


def stamp(time: datetime) -> str:
    """UTC as the history has it: ISO 8601 to the millisecond, in the order of time as text."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _text(name: str) -> str:
    """A name that SQLite takes; one that comes from a file name may hold bytes that are no text."""
    return name.encode(errors="backslashreplace").decode()


def _uptime() -> float:
    if hasattr(time, "CLOCK_BOOTTIME"):  # of Linux, where `monotonic` stops in sleep
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
