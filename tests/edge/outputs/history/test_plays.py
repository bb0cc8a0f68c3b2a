"""What a row of the history is: a stretch of one label, by the clock of the audio."""

import json
import os
import random
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from edge_genre.listening.playing import NowPlaying
from edge_genre.outputs import Event
from edge_genre.outputs.history import History
from edge_genre.results import SILENCE, WindowResult
from tests.support.history import (
    GENRES,
    PACE,
    WINDOW,
    count,
    event,
    events,
    feed,
    listen,
    rows,
    run,
)
from tests.support.waiting import wait_for


def test_a_row_is_a_stretch_of_one_label(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    listen(path, events(["rock"] * 10 + [SILENCE] * 5 + ["jazz"] * 20))
    # The first window is 3 s long, and each of the 34 others brings a second.
    assert rows(path, "started, ended, seconds, label, probability, windows, model") == [
        (
            *("2026-03-01T11:59:57.000Z", "2026-03-01T12:00:10.000Z"),
            *(13.0, "rock", 0.5, 10, "m"),
        ),
        (
            *("2026-03-01T12:00:10.000Z", "2026-03-01T12:00:15.000Z"),
            *(5.0, SILENCE, 0.0, 5, "m"),
        ),
        (
            *("2026-03-01T12:00:15.000Z", "2026-03-01T12:00:34.000Z"),
            *(19.0, "jazz", 0.5, 20, "m"),
        ),
    ]


def test_probability_is_the_mean_over_the_windows(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    listen(path, [event("rock", end=3 + n, probability=p) for n, p in enumerate((0.5, 0.6, 1))])
    assert rows(path, "probability") == [(0.7,)]


def test_plays_of_real_decisions_add_up_to_the_audio(tmp_path: Path) -> None:
    """With `NowPlaying`, which says since when a label holds."""
    path = tmp_path / "h.db"
    numbers = random.Random(1)
    now_playing = NowPlaying()
    found = []
    for index in range(5_000):
        ahead = GENRES[(index // 150 + numbers.randrange(2)) % 5]
        share = {genre: 0.8 if genre == ahead else 0.05 for genre in GENRES}
        silent = index // 40 % 20 == 7
        window = event(SILENCE if silent else ahead, end=index * 0.7 + WINDOW)
        result = WindowResult(**{**vars(window.result), "probabilities": None if silent else share})
        found.append(Event(window.time, result, now_playing.update(result)))
    listen(path, found)
    plays = rows(path)
    assert sum(play["seconds"] for play in plays) == pytest.approx(found[-1].result.end)
    assert sum(play["windows"] for play in plays) == 5_000
    changes = {(one.playing.label, one.playing.since) for one in found}
    assert len(plays) == len(changes) > 30
    assert all(a["ended"] == b["started"] for a, b in pairwise(plays))
    assert all(a["label"] != b["label"] for a, b in pairwise(plays))


def test_a_new_run_joins_nothing(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    for _ in range(2):
        listen(path, events(["rock"] * 5))
    first, second = rows(path)
    assert (first["label"], first["seconds"]) == (second["label"], second["seconds"])
    assert first["run"] != second["run"]


def test_two_that_listen_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    both = [History(path, model=name, pace=PACE) for name in "ab"]
    for one in events(GENRES[n // 10] for n in range(50)):
        for history in both:
            history.write(one)
        time.sleep(0.005)
    for history in both:
        history.close()
    for name in "ab":
        found = [play for play in rows(path) if play["model"] == name]
        assert [play["label"] for play in found] == list(GENRES)
        assert len({play["run"] for play in found}) == 1


def test_what_plays_is_in_the_file_before_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = History(path, model="m", pace=PACE)
    feed(history, events(["rock"] * 20), seconds=0.2)
    wait_for(lambda: rows(path, "seconds, windows") == [(22.0, 20)])
    history.close()


def test_the_file_is_written_at_its_pace(tmp_path: Path) -> None:
    """Labels that change with every window do not wear out a card."""
    path = tmp_path / "h.db"
    history = History(path, model="m", pace=3600.0)
    first, *others = events(GENRES[n % 5] for n in range(100))
    history.write(first)
    wait_for(lambda: count(path) == 1)
    feed(history, others, seconds=0.3)
    assert rows(path, "windows") == [(1,)]
    history.close()
    assert rows(path, "windows") == [(1,)] * 100


def test_a_closed_history_is_one_file(tmp_path: Path) -> None:
    threads = threading.active_count()
    listen(tmp_path / "h.db", events(["rock"] * 5))
    assert [found.name for found in tmp_path.iterdir()] == ["h.db"]
    assert threading.active_count() == threads


def test_nothing_heard_makes_no_file(tmp_path: Path) -> None:
    listen(tmp_path / "h.db", [])
    assert not list(tmp_path.iterdir())


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Of a model whose file name is of another time's encoding."""
    path = tmp_path / os.fsdecode(b"caf\xe9?#%41.db")
    history = History(path, model=os.fsdecode(b"caf\xe9"))
    feed(history, events(["rock"]))
    history.close()
    assert rows(path, "model") == [("caf\\udce9",)]
    assert json.loads(run(path, "--json").output)["model"] == "caf\\udce9"


def test_default_is_the_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listen(tmp_path / "none" / "h.db", events(["rock"]))
    assert "h.db: cannot be opened" in capsys.readouterr().err
