"""The file of a history: an SQLite database, what is in it, and what can be wrong with it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from edge_genre.errors import EdgeGenreError
from edge_genre.host import files

SCHEMA = 2  # the newest; 1 is written wherever it suffices
_APPLICATION = 0x45644765  # "EdGe": what SQLite and file(1) know a format by

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
# What schema 2 adds, for labels that are no genres or hold together: what a label is, and of a
# play's seconds those at its end that no earlier play of its run has, which add up to what was
# heard (all of them where it is NULL).
_ADDED = {"noun": "TEXT NOT NULL DEFAULT 'genre'", "heard": "REAL"}
COLUMNS_OF_SCHEMA_2 = tuple(_ADDED)


class HistoryError(EdgeGenreError):
    """A history cannot be used: missing, damaged, locked, newer, or no history at all."""


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
        if schema_of(connection):
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
        raise HistoryError(f"{path}: {why_unusable(error)}") from None


def why_unusable(error: Exception) -> str:
    """Why a history cannot be used, and what to do, as the end of a sentence about the file."""
    if isinstance(error, HistoryError):
        return str(error)
    if isinstance(error, OSError):
        return f"cannot be opened ({files.reason(error)})"
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


def schema_of(connection: sqlite3.Connection) -> int:
    """The schema of a database that is a history; 0 if it is empty.

    Raises
    ------
    HistoryError
        It is another program's, or newer.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == 0 and version == 0 and not tables:
        return 0
    if application != _APPLICATION:
        raise HistoryError("is another program's database, not a history: name another file")
    if version > SCHEMA:
        raise HistoryError(
            f"has schema {version}, and this edge-genre knows {SCHEMA}: update it, or name another "
            "file"
        )
    return int(version)


def make_table(connection: sqlite3.Connection, schema: int) -> None:
    """Make the table, or add to it what a later schema has; another process may do the same."""
    connection.execute("BEGIN IMMEDIATE")
    found = schema_of(connection)
    if found == 0:
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    if found < 2 <= schema:
        for name, kind in _ADDED.items():
            connection.execute(f"ALTER TABLE plays ADD COLUMN {name} {kind}")
    connection.execute(f"PRAGMA user_version = {max(found, schema)}")
    connection.execute("COMMIT")


def stamp(time: datetime) -> str:
    """A time as the history stores it: UTC in ISO 8601 to the millisecond, which sorts as text."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def valid_text(name: str) -> str:
    """A name that SQLite takes: one from a file name may hold bytes that are no text."""
    return name.encode(errors="backslashreplace").decode()
