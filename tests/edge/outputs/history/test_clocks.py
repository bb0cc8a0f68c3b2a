"""Lengths are the audio's; the wall clock only says when."""

from datetime import timedelta
from pathlib import Path

import pytest

from edge_genre.outputs.history import History
from tests.support.history import START, event, feed, listen, rows


@pytest.mark.parametrize("jump", [-90_000.0, 90_000.0])
def test_the_clock_is_set(tmp_path: Path, jump: float) -> None:
    """As NTP does after boot: what is playing was there all the time."""
    path = tmp_path / "h.db"
    listen(
        path,
        [
            *(event("pop", end=3.0 + n) for n in range(20)),
            *(event("rock", end=23.0 + n, since=23.0) for n in range(60)),
            *(event("rock", end=83.0 + n, since=23.0, passed=80.0 + n + jump) for n in range(60)),
            *(event("jazz", end=143.0 + n, since=143.0, passed=140.0 + n + jump) for n in range(3)),
        ],
    )
    pop, rock, jazz = rows(path)
    assert [play["seconds"] for play in (pop, rock, jazz)] == [23.0, 120.0, 2.0]
    assert pop["ended"] == "2026-03-01T12:00:20.000Z"
    set_to = START + timedelta(seconds=20 + jump)
    assert rock["started"] == f"{set_to:%Y-%m-%dT%H:%M:%S}.000Z"
    assert rock["ended"] == jazz["started"]


def test_the_clock_is_set_when_the_label_changes(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    found = [event("pop", end=3.0 + n) for n in range(20)]
    after = [event("rock", end=23.0 + n, since=23.0, passed=8_000.0 + n) for n in range(5)]
    listen(path, found + after)
    pop, rock = rows(path)
    assert (pop["seconds"], rock["seconds"]) == (23.0, 4.0)
    assert pop["ended"] == rock["started"] == "2026-03-01T14:13:20.000Z"


def test_the_machine_slept(tmp_path: Path) -> None:
    """The clock was right all along: nothing is known of the hours between."""
    path = tmp_path / "h.db"
    up = iter([*range(10), *range(30_000, 30_010)])
    history = History(path, model="m", uptime=lambda: float(next(up)))
    feed(history, [event("rock", end=3.0 + n) for n in range(10)])
    feed(history, [event("rock", end=13.0 + n, passed=30_000.0 + n) for n in range(10)])
    history.close()
    assert rows(path, "seconds, started, ended") == [
        (12.0, "2026-03-01T11:59:57.000Z", "2026-03-01T12:00:09.000Z"),
        (12.0, "2026-03-01T20:19:57.000Z", "2026-03-01T20:20:09.000Z"),
    ]


def test_the_microphone_was_away(tmp_path: Path) -> None:
    """An hour that nobody heard is nobody's."""
    path = tmp_path / "h.db"
    found = [event("rock", end=3.0 + n) for n in range(10)]
    lost = event("rock", end=3_612.0, dropped=48_000 * 3_600)
    listen(path, [*found, lost, *(event("rock", end=3_613.0 + n) for n in range(5))])
    assert rows(path, "seconds, started") == [
        (12.0, "2026-03-01T11:59:57.000Z"),
        (8.0, "2026-03-01T13:00:06.000Z"),
    ]


def test_a_short_loss_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    found = [event("rock", end=3.0 + n) for n in range(10)]
    listen(path, [*found, event("rock", end=22.0, dropped=100_000)])
    assert rows(path, "seconds") == [(22.0,)]


def test_windows_that_are_far_apart(tmp_path: Path) -> None:
    """A hop of ten minutes, as somebody chose it, is no hole."""
    path = tmp_path / "h.db"
    listen(path, [event("rock", end=3.0 + 600 * n) for n in range(10)])
    assert rows(path, "seconds") == [(5_403.0,)]


def test_audio_that_comes_faster_than_life(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    listen(path, [event("rock", end=3.0 + 60 * n, passed=n * 0.01) for n in range(100)])
    assert rows(path, "seconds, ended") == [(5_943.0, "2026-03-01T12:00:00.990Z")]
