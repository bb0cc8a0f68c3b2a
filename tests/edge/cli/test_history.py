"""``edge-genre history``: what is listed, summed up and refused."""

import contextlib
import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_genre.demo import clip
from edge_genre.outputs.history_file import reading, stamp
from edge_genre.outputs.history_reader import StoredPlays
from edge_genre.results import SILENCE
from tests.programs.listener import Listener
from tests.support.history import GENRES, WINDOW, count, event, events, listen, log, rows, run
from tests.support.requirements import require_root
from tests.support.waiting import wait_for


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """From 12:00 UTC, 13:00 in Berlin, to 2:00 of the next day; there the summer time begins
    on 29 March."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    path = tmp_path / "h.db"
    minutes = [("rock", 60), (SILENCE, 300), ("jazz", 240), ("rock", 240)]
    found, end = [event("rock", end=WINDOW)], WINDOW
    for label, length in minutes:
        since = end
        for _ in range(length):
            found.append(event(label, end=end, since=since if end > WINDOW else WINDOW))
            end += 60
    listen(path, found[1:])
    yield path
    monkeypatch.undo()
    time.tzset()


def test_lists_plays_as_they_were_heard(path: Path) -> None:
    lines = [json.loads(line) for line in run(path, "--json").output.splitlines()]
    assert [line["label"] for line in lines] == ["rock", SILENCE, "jazz", "rock"]
    assert lines[1] == {
        "started": "2026-03-01T14:00:00.000+01:00",
        "ended": "2026-03-01T19:00:00.000+01:00",
        "seconds": 18_000.0,
        "label": SILENCE,
        "probability": 0.0,
        "windows": 300,
        "model": "m",
    }
    found = list(csv.DictReader(io.StringIO(run(path, "--csv").output)))
    assert [{k: str(v) for k, v in line.items()} for line in lines] == found


def test_table(path: Path) -> None:
    lines = run(path).output.splitlines()
    assert [line.split("│")[1:5] for line in lines if "jazz" in line] == [
        [" 2026-03-01 19:00:00 ", " 4:00:00 ", " jazz    ", "         50% "]
    ]


def test_limit(path: Path) -> None:
    lines = run(path, "--json", "--limit", "2").output.splitlines()
    assert [json.loads(line)["label"] for line in lines] == ["jazz", "rock"]
    assert "the latest 2 of 4 plays; see --limit" in run(path, "--limit", "2").output


@pytest.mark.slow
def test_a_table_is_short_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "long.db"
    for _ in range(3):
        listen(path, events(GENRES[n % 5] for n in range(900)))
    assert run(path).output.count("│ m ") == 50
    assert run(path, "--limit", "1100").output.count("│ m ") == 1_100
    assert len(run(path, "--json").output.splitlines()) == 2_700


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        (["--since", "2026-03-01T19:30"], ["jazz", "rock"]),
        (["--since", "2026-03-01T18:30Z"], ["jazz", "rock"]),
        (["--until", "2026-03-01 13:30"], ["rock"]),
        (["--until", "2026-03-01"], ["rock", SILENCE, "jazz", "rock"]),
        (["--since", "2026-03-02"], ["rock"]),
        (["--since", "2026-03-01T14:30", "--until", "2026-03-01T15:00"], [SILENCE]),
        (["--since", "yesterday"], []),
    ],
)
def test_times(path: Path, options: list[str], labels: list[str]) -> None:
    result = run(path, "--csv", *options)
    found = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["label"] for row in found] == labels
    assert ("there are no plays in this time" in result.output) == (not labels)


def test_today(path: Path) -> None:
    now = datetime.now(UTC)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE plays SET started = ?, ended = ? WHERE id = 4",
            [stamp(now - timedelta(seconds=1)), stamp(now)],
        )
    assert len(run(path, "--json", "--since", "today").output.splitlines()) == 1
    assert len(run(path, "--json", "--since", "yesterday", "--until", "today").output) > 0


def test_totals(path: Path) -> None:
    """Local days: the last play began at 23:00 and went on for three hours."""
    assert _totals(path, "day,genre") == [
        {"day": "2026-03-01", "label": SILENCE, "seconds": 18_000.0, "plays": 1}
        | {"probability": 0.0},
        {"day": "2026-03-01", "label": "jazz", "seconds": 14_400.0, "plays": 1}
        | {"probability": 0.5},
        {"day": "2026-03-01", "label": "rock", "seconds": 3_603.0 + 3_600.0, "plays": 2}
        | {"probability": 0.5},
        {"day": "2026-03-02", "label": "rock", "seconds": 3 * 3_600.0 - 60.0, "plays": 1}
        | {"probability": 0.5},
    ]
    assert _totals(path, "day") == [
        {"day": "2026-03-01", "seconds": 39_603.0, "silence_seconds": 18_000.0, "plays": 3},
        {"day": "2026-03-02", "seconds": 10_740.0, "silence_seconds": 0.0, "plays": 1},
    ]
    genres = [tuple(row.values())[:3] for row in _totals(path, "genre")]
    assert genres == [(SILENCE, 18_000.0, 1), ("rock", 17_943.0, 2), ("jazz", 14_400.0, 1)]
    assert "of it silence" in run(path, "--by", "day").output


def test_totals_of_a_time(path: Path) -> None:
    """Of a play that is partly in it, the part counts."""
    options = ["--since", "2026-03-01T13:30", "--until", "2026-03-01T14:30"]
    found = {row["label"]: row["seconds"] for row in _totals(path, "genre", *options)}
    assert found == {"rock": 1_800.0, SILENCE: 1_800.0}


def test_a_day_of_23_hours(path: Path) -> None:
    """Silence for a week, in which summer time begins."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM plays WHERE id > 1")
        connection.execute(
            "UPDATE plays SET started = '2026-03-27T23:00:00.000Z', "
            "ended = '2026-03-30T22:00:00.000Z', seconds = 71 * 3600"
        )
    found = {row["day"]: row["seconds"] / 3600 for row in _totals(path, "day")}
    assert found == {"2026-03-28": 24.0, "2026-03-29": 23.0, "2026-03-30": 24.0}


def test_lengths_are_the_audio_s(path: Path) -> None:
    """Faster than life, from a pipe: ten hours in no time."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE plays SET ended = started, seconds = 36000 WHERE id = 3")
    found = {row["label"]: row["seconds"] for row in _totals(path, "genre")}
    assert found["jazz"] == 36_000.0


def test_reads_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    listener = Listener(path)
    wait_for(lambda: count(path) > 3)
    counts = [len(run(path, "--json").output.splitlines()) for _ in range(20)]
    assert listener.running()
    said = listener.kill()
    assert not said
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


@pytest.mark.slow
def test_listen_ends_with_its_history_written(tmp_path: Path) -> None:
    """SIGTERM, as systemd sends it, a few windows into a song: all of them are in the file."""
    path = tmp_path / "h.db"
    program = [sys.executable, "-c", "from edge_genre.cli import main; main()"]
    with subprocess.Popen(
        [*program, "listen", "--input", clip(), "--json", "--history", path],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline() for _ in range(3)]
        process.terminate()
        printed += process.stdout.readlines()
    (play,) = rows(path)
    assert len(printed) - play["windows"] in (0, 1)  # it may end between two outputs
    last = json.loads(printed[play["windows"] - 1])
    assert play["label"] == last["playing"]["label"]
    assert play["seconds"] == pytest.approx(last["end"], abs=2e-3)
    assert not log(path).exists()


@pytest.mark.slow
@pytest.mark.parametrize("state", ["closed", "killed"])
def test_reads_in_a_folder_that_is_somebody_else_s(tmp_path: Path, state: str) -> None:
    """As a person does whose system has the service write it."""
    require_root("cannot become another user")
    path = tmp_path / "h.db"
    if state == "closed":
        Listener(path, windows=50).end()
    else:
        listener = Listener(path)
        wait_for(lambda: count(path) > 3)
        listener.kill()
        assert log(path).exists()
    _let_in(tmp_path)
    program = (
        "import os, sys, pathlib; import edge_genre.outputs.history_file as h; os.setuid(65534)\n"
        "with h.reading(pathlib.Path(sys.argv[1])) as c:\n"
        "    print(c.execute('SELECT count(*) FROM plays').fetchone()[0])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert int(found.stdout) == len(rows(path)) > 3


@pytest.mark.slow
def test_slow_readers_do_not_keep_the_log_from_being_emptied(tmp_path: Path) -> None:
    """Somebody pages through the list: no transaction stays open between two pages of it."""
    path = tmp_path / "h.db"
    for _ in range(3):
        listen(path, events(GENRES[n % 5] for n in range(900)))
    with reading(path) as connection:
        plays = StoredPlays(connection, None, None).rows()
        assert next(plays).label == "blues"
        with contextlib.closing(sqlite3.connect(path, timeout=0)) as other:
            other.execute("UPDATE plays SET model = 'n'")
            other.commit()
            busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not busy
        assert len(list(plays)) == 2_699


def test_empty(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM plays")
    for options in ([], ["--json"], ["--by", "day"], ["--by", "genre", "--json"]):
        assert run(path, *options).output == f"{path}: there are no plays in it yet\n"
    assert run(path, "--csv", "--by", "day").stdout == "day,seconds,silence_seconds,plays\n"


def test_missing(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    found = run(path, code=1).output
    assert found == f"edge-genre: {path}: cannot be opened (No such file or directory)\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", None])
def test_nothing_in_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "h.db"
    if content is None:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    else:
        path.write_bytes(content)
    found = run(path, code=1).output
    assert found == (
        f"edge-genre: {path}: is empty, expected a history of `edge-genre listen --history`\n"
    )
    # What listens makes one of it: a power cut may have left it like that.
    listen(path, events(["rock"]))
    assert rows(path, "label") == [("rock",)]


def test_a_folder(tmp_path: Path) -> None:
    assert run(tmp_path, code=1).output == f"edge-genre: {tmp_path}: is not a file\n"


@pytest.mark.parametrize(
    "options",
    [
        ["--json", "--csv"],
        ["--by", "day", "--limit", "3"],
        ["--by", "hour"],
        ["--since", "soon"],
        ["--since", "2026-02-30"],
        ["--until", "9999-12-31"],
        ["--limit", "0"],
    ],
)
def test_wrong_usage(path: Path, options: Sequence[str]) -> None:
    assert "Error: " in run(path, *options, code=2).output


def test_light() -> None:
    """Neither SQLite nor Rich are loaded to list the commands."""
    check = (
        "import sys, edge_genre.cli.history as h; assert h.command.name == 'history'; "
        "print([n for n in ('sqlite3', 'rich', 'numpy.fft') if n in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


def _totals(path: Path, by: str, *options: str) -> list[dict[str, Any]]:
    result = run(path, "--by", by, "--json", *options)
    return [json.loads(line) for line in result.output.splitlines()]


def _let_in(folder: Path) -> None:
    """Let other users read a folder of pytest's."""
    for one in (folder, *folder.parents):
        if one.stat().st_uid == os.geteuid() and one != Path("/"):
            one.chmod(one.stat().st_mode | 0o055)
        if one.name == "tmp":
            return
