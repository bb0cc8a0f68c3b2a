"""Labels that hold together: plays of their own, and how long all of them lasted."""

import contextlib
import json
import sqlite3
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edge_genre.outputs.history import History
from edge_genre.results import NOTHING, SILENCE
from edge_genre.task import Task
from tests.programs.listener import Listener
from tests.support.history import (
    GENRES,
    PACE,
    TAGS,
    count,
    events,
    feed,
    in_turns,
    listen,
    rows,
    run,
    tagged,
)
from tests.support.waiting import wait_for


def span(plays: list[dict[str, Any]]) -> float:
    """Seconds from the first begin of plays to the last end, by the clock."""
    begin = min(datetime.fromisoformat(play["started"]) for play in plays)
    return (max(datetime.fromisoformat(play["ended"]) for play in plays) - begin).total_seconds()


def sums(path: Path, by: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(path, "--by", by, "--json").output.splitlines()]


def test_each_label_has_plays_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    heard = [("a",)] * 10 + [("a", "b")] * 5 + [("b",)] * 5 + [()] * 4 + [(SILENCE,)] * 3
    listen(path, tagged([*heard, ("a", "b")]), task=TAGS)
    # The first window is 3 s long. Of b, what a has as well was heard once.
    assert rows(path, "label, seconds, windows, heard, probability") == [
        ("a", 18.0, 15, 18.0, 0.5),
        ("b", 10.0, 10, 5.0, 0.5),
        (NOTHING, 4.0, 4, 4.0, 0.0),
        (SILENCE, 3.0, 3, 3.0, 0.0),
        ("a", 0.0, 1, 0.0, 0.5),
        ("b", 0.0, 1, 0.0, 0.5),
    ]
    assert rows(path, "DISTINCT noun") == [("tag",)]
    assert [number for (number,) in rows(path, "number")] == list(range(1, 7))
    assert rows(path, "started, ended")[:3] == [
        ("2026-03-01T11:59:57.000Z", "2026-03-01T12:00:15.000Z"),
        ("2026-03-01T12:00:10.000Z", "2026-03-01T12:00:20.000Z"),
        ("2026-03-01T12:00:20.000Z", "2026-03-01T12:00:24.000Z"),
    ]


def test_plays_add_up_to_what_was_heard(tmp_path: Path) -> None:
    """Against an account second by second."""
    path = tmp_path / "h.db"
    labels = in_turns(5_000)
    listen(path, tagged(labels), task=TAGS)
    plays = rows(path)
    assert sum(play["heard"] for play in plays) == pytest.approx(4_999 + 3)
    expected = Counter(name for names in labels for name in (names or [NOTHING]))
    found: Counter[str] = Counter()
    for play in plays:
        found[play["label"]] += play["windows"]
    assert found == expected
    for label in ("drum", "guitar", "voice"):
        own = [play for play in plays if play["label"] == label]
        assert len(own) > 50
        assert all(a["ended"] < b["started"] for a, b in pairwise(own))


@pytest.mark.parametrize("options", [(), ("--by", "label"), ("--by", "genre"), ("--by", "day")])
def test_what_history_shows(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = tmp_path / "h.db"
    listen(path, tagged([("a", "b")] * 58 + [()] * 60), task=TAGS)
    result = run(path, *options)
    by_day = options == ("--by", "day")
    lengths = ["0:02:00", "0:00:00"] if by_day else ["0:01:01", "0:01:01", "0:00:59"]
    for length in set(lengths):
        assert result.stdout.count(length) == lengths.count(length)
    assert ("tag" in result.stdout) != by_day
    assert "genre" not in result.stdout
    overlap = "labels overlap: their lengths add up to more than was heard, 0:02:00\n"
    assert result.stderr == (overlap if options and not by_day else "")


def test_a_day_has_what_was_heard_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels that hold together past midnight, in a zone in which that is at noon UTC."""
    monkeypatch.setenv("TZ", "XXX-12")
    time.tzset()
    path = tmp_path / "h.db"
    an_hour = 3600
    labels = [("a",)] * an_hour + [("a", "b")] * an_hour + [("b",)] * (2 * an_hour)
    before = timedelta(minutes=90)
    listen(path, (replace(one, time=one.time - before) for one in tagged(labels)), task=TAGS)
    assert [row["seconds"] for row in sums(path, "day")] == [5_403.0, 8_999.0]
    assert [(row["label"], row["seconds"]) for row in sums(path, "day,label")] == [
        ("a", 5_403.0),
        ("b", 1_800.0),
        ("b", 8_999.0),
        ("a", 1_800.0),
    ]
    monkeypatch.undo()
    time.tzset()


def test_a_hole_ends_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    found = list(tagged([("a", "b")] * 20))
    after = [replace(one, time=one.time + timedelta(hours=1)) for one in found[10:]]
    up = iter([*range(10), *range(3_610, 3_620)])
    listen(path, [*found[:10], *after], task=TAGS, uptime=lambda: float(next(up)))
    assert rows(path, "label, seconds, heard") == [
        *[("a", 12.0, 12.0), ("b", 12.0, 0.0)],
        *[("a", 12.0, 12.0), ("b", 12.0, 0.0)],
    ]


def test_all_that_plays_is_in_the_file_before_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = History(path, model="m", task=TAGS, pace=PACE)
    feed(history, tagged([("a", "b")] * 20), seconds=0.2)
    wait_for(lambda: rows(path, "label, windows") == [("a", 20), ("b", 20)])
    history.close()


def test_killed(tmp_path: Path) -> None:
    """What is in the file fits together whenever it ends."""
    path = tmp_path / "h.db"
    kept: list[Any] = []
    for number in range(1, 4):
        before = len(kept)
        listener = Listener(path, many=True)
        wait_for(lambda before=before: count(path) > before + 12)  # type: ignore[misc]
        listener.kill()
        found = rows(path)
        assert found[:before] == kept
        runs = {play["run"] for play in found}
        assert len(runs) == number
        for one in runs:
            plays = [play for play in found if play["run"] == one]
            assert sum(play["heard"] for play in plays) == pytest.approx(span(plays))
        kept = found


def test_an_old_history_is_continued(tmp_path: Path) -> None:
    """It says that it is newer only then, and what was in it stays."""
    path = tmp_path / "h.db"
    listen(path, events(["rock"] * 10))
    old = rows(path)
    assert _version(path) == 1
    assert "noun" not in old[0]
    listen(path, tagged([("a", "b")] * 10), task=TAGS)
    assert _version(path) == 2
    new = rows(path)
    assert [play["label"] for play in new] == ["rock", "a", "b"]
    assert new[0] == old[0] | {"noun": "genre", "heard": None}
    # Older programs' rows, and those of models of one genre, go on as they were.
    listen(path, events(["jazz"] * 10))
    assert _version(path) == 2
    assert rows(path, "label, noun, heard")[-1] == ("jazz", "genre", None)
    (day,) = sums(path, "day")
    assert day["seconds"] == 36.0
    assert " label " in run(path).output  # of several nouns


def test_one_label_with_another_noun(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    listen(path, events(GENRES[n // 10] for n in range(50)), task=Task(noun="mood"))
    assert " mood " in run(path, "--by", "label").output
    assert all(seconds == heard for seconds, heard in rows(path, "seconds, heard"))


def _version(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
