"""The history fails, and listening goes on."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_genre.outputs import history as module
from edge_genre.outputs.history import MAX_WAITING, History
from edge_genre.outputs.history_file import SCHEMA
from tests.support.history import GENRES, PACE, count, events, feed, hear, listen, locked, rows, run
from tests.support.waiting import on_time, wait_for


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries again soon."""
    monkeypatch.setattr(module, "_RETRY_SECONDS", PACE)


def test_folder_that_comes_later(tmp_path: Path) -> None:
    """Such as a stick that is not mounted yet: its folder is not made."""
    path = tmp_path / "stick" / "h.db"
    said: list[str] = []
    history = History(path, model="m", pace=PACE, say=said.append)
    found = list(events(["jazz"] * 60))
    feed(history, found[:30], seconds=0.3)
    reason = "cannot be opened: its folder is missing or read-only"
    hear(history, said, f"{path}: {reason}; plays wait in memory")
    assert not path.parent.exists()
    path.parent.mkdir()
    feed(history, found[30:], seconds=0.3)
    history.close()
    assert rows(path, "windows") == [(60,)]


def test_locked(tmp_path: Path, report: Callable[[str], None]) -> None:
    path = tmp_path / "h.db"
    listen(path, events(["rock"] * 5))
    said: list[str] = []
    history = History(path, model="m", pace=PACE, say=said.append)
    found = list(events(["jazz"] * 300))
    with locked(path):
        took = feed(history, found[:200], seconds=2.0)
        hear(history, said, f"{path}: is locked by another process; plays wait in memory")
    feed(history, found[200:], seconds=1.0)
    history.close()
    assert said[1:] == [f"{path}: is written again"]
    assert rows(path, "label, windows") == [("rock", 5), ("jazz", 300)]
    report(f"while another process locks the file: write {max(took) * 1e3:.2f} ms at most")
    on_time(max(took) < 0.25, f"write took {max(took):.2f} s")


@pytest.mark.slow
def test_locked_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    listen(path, events(["rock"] * 5))
    said: list[str] = []
    history = History(path, model="m", say=said.append)
    with locked(path):
        feed(history, events(["jazz"] * 5))
        begin = time.perf_counter()
        history.close()
        took = time.perf_counter() - begin
    on_time(took < 1.0, f"closed in {took:.2f} s")
    assert said[-1] == f"{path}: is locked by another process; plays that are not in it: 1"


@pytest.mark.parametrize("content", [b"ID3\x04" * 5_000, b"SQLite format 3\0" + b"\xff" * 9_000])
def test_not_a_history(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    said: list[str] = []
    listen(path, events(["jazz"] * 5), say=said.append)
    assert path.read_bytes() == content
    assert [found.name for found in tmp_path.iterdir()] == ["song.mp3"]
    reason = "is not a history: name another file"
    assert said[-1] == f"{path}: {reason}; plays that are not in it: 1"
    assert run(path, code=1).output == f"edge-genre: {path}: {reason}\n"


def test_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE plays (id INTEGER PRIMARY KEY)")
    content = path.read_bytes()
    said: list[str] = []
    listen(path, events(["jazz"] * 5), say=said.append)
    assert path.read_bytes() == content
    reason = "is another program's database, not a history: name another file"
    assert said[-1] == f"{path}: {reason}; plays that are not in it: 1"
    assert run(path, code=1).output == f"edge-genre: {path}: {reason}\n"


def test_newer_schema(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    listen(path, events(["rock"] * 5))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    said: list[str] = []
    listen(path, events(["jazz"] * 5), say=said.append)
    reason = f"has schema {SCHEMA + 1}, and this edge-genre knows {SCHEMA}"
    assert f"{path}: {reason}: update it, or name another file" in said[-1]
    assert run(path, code=1).output.startswith(f"edge-genre: {path}: {reason}")
    assert rows(path, "label") == [("rock",)]


def test_damaged_then_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    listen(path, events(GENRES[n % 5] for n in range(900)))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    content = path.read_bytes()
    said: list[str] = []
    history = History(path, model="m", pace=PACE, say=said.append)
    found = list(events(["jazz"] * 60))
    feed(history, found[:30], seconds=0.3)
    reason = "is damaged: move it away, and a new one is begun"
    hear(history, said, f"{path}: {reason}; plays wait in memory")
    assert run(path, code=1).output == f"edge-genre: {path}: {reason}\n"
    assert path.read_bytes() == content
    path.rename(tmp_path / "old.db")
    feed(history, found[30:], seconds=0.3)
    history.close()
    assert said[1:] == [f"{path}: is written again"]
    assert rows(path, "label, windows") == [("jazz", 60)]


def test_moved_away_while_it_is_written(tmp_path: Path) -> None:
    """The old file is whole without its log, and a new one is begun."""
    path, old = tmp_path / "h.db", tmp_path / "old" / "h.db"
    said: list[str] = []
    history = History(path, model="m", pace=PACE, say=said.append)
    found = list(events(GENRES[n // 10] for n in range(50)))
    feed(history, found[:25], seconds=0.3)
    wait_for(lambda: sum(windows for (windows,) in rows(path, "windows")) == 25)
    old.parent.mkdir()
    path.rename(old)
    feed(history, found[25:], seconds=0.3)
    history.close()
    assert rows(old, "label, windows") == [("blues", 10), ("jazz", 10), ("metal", 5)]
    # What was playing is in both.
    assert rows(path, "label, windows") == [("metal", 10), ("pop", 10), ("rock", 10)]
    assert not said


def test_deleted_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = History(path, model="m", pace=PACE)
    found = list(events(["rock"] * 40))
    feed(history, found[:20], seconds=0.2)
    for one in tmp_path.iterdir():
        one.unlink()
    feed(history, found[20:], seconds=0.2)
    history.close()
    assert rows(path, "windows") == [(40,)]


def test_plays_that_wait_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "stick" / "h.db"
    said: list[str] = []
    history = History(path, model="m", pace=PACE, say=said.append)
    found = list(events(GENRES[n % 5] for n in range(MAX_WAITING + 101)))
    feed(history, found[:-1])
    assert len(history._waiting) <= MAX_WAITING
    path.parent.mkdir()
    wait_for(path.exists)
    wait_for(lambda: count(path) > 0)
    history.write(found[-1])
    history.close()
    assert said[-1] == (f"{path}: is written again; plays that are not in it: 99, too many to wait")
    assert [number for (number,) in rows(path, "number")] == list(range(100, MAX_WAITING + 102))
