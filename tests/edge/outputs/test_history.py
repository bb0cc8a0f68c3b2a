"""The history: real files, real processes, and what befalls them in weeks on a shelf.

What mounts disks and stops them needs root, and is slow, as is what takes seconds.

Run as a program with a path, this file is one that listens: for so many windows, or for ever.
"""

import array
import contextlib
import csv
import fcntl
import functools
import io
import json
import os
import random
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_genre.cli import main
from edge_genre.demo import clip
from edge_genre.listening.playing import NowPlaying, Playing
from edge_genre.outputs import Event
from edge_genre.outputs import history as module
from edge_genre.outputs.history import MAX_WAITING, SCHEMA, History, HistoryError
from edge_genre.outputs.history_reader import StoredPlays
from edge_genre.results import SILENCE, WindowResult

ROOT = Path(__file__).parents[3]
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW = 3.0
GENRES = ("blues", "jazz", "metal", "pop", "rock")
PACE = 0.02  # of tests that wait for the file

# Of Linux, <linux/fs.h>: stop a file system's writes as a card does that collects its garbage, let
# them go on, and end them at once as a power cut does, with nothing of what is not flushed.
FIFREEZE, FITHAW, SHUTDOWN = 0xC0045877, 0xC0045878, 0x8004587D
_NO_LOG_FLUSH = struct.pack("I", 2)


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
        label=label,
        probabilities=None,
        level_dbfs=-20.0,
        front_end_ms=1.0,
        inference_ms=1.0,
        dropped_samples=dropped,
    )
    after = end - WINDOW if passed is None else passed
    shown = 0.0 if label == SILENCE else probability
    playing = Playing(label=label, probability=shown, probabilities=None, since=since)
    return Event(START + timedelta(seconds=after), result, playing)


def events(labels: Iterable[str]) -> Iterator[Event]:
    """A window a second, one for each label."""
    before, since = "", 0.0
    for index, label in enumerate(labels):
        end = index + WINDOW
        if label != before:
            before, since = label, end
        yield event(label, end=end, since=since)


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

    wait_until(heard)


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


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for the history's thread or another process."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run(*arguments: object, code: int = 0) -> Result:
    """Run the command as the program does, errors included."""
    result = CliRunner().invoke(main, ["history", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


class Listener:
    """This file as a process that listens until it is killed."""

    def __init__(self, path: Path, windows: int = 0) -> None:
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(path), str(windows)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n", self.kill()

    def running(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """Let it come to its own end."""
        assert self._process.wait(timeout=300) == 0

    def said(self) -> str:
        """Return the next line of it, after waiting for that."""
        assert self._process.stderr is not None
        assert select.select([self._process.stderr], [], [], 60)[0]
        return self._process.stderr.readline()

    def kill(self) -> str:
        """Return what else it has said."""
        self._process.send_signal(signal.SIGKILL)
        return self._process.communicate(timeout=300)[1]


def listen_for_ever(path: str, windows: int) -> None:
    """What `Listener` runs: a change of label every ten windows, a write every few milliseconds."""
    history = History(path, model="m", pace=0.002)
    for index, one in enumerate(events(GENRES[n // 10 % 5] for n in range(10**9))):
        history.write(one)
        if index == 0:
            sys.stdout.write("listening\n")
            sys.stdout.flush()
        time.sleep(0.0005)
        if index + 1 == windows:
            break
    history.close()


# File systems that fail. They need root; where the tests must not be left out, that is an error.


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path, *mount: str) -> None:
        self.folder = folder
        self._mount = mount
        folder.mkdir()
        self.mount()

    def mount(self) -> None:
        subprocess.run(["mount", *self._mount, self.folder], check=True, timeout=300)

    def unmount(self) -> None:
        subprocess.run(["umount", self.folder], check=True, timeout=300)

    def fill(self) -> None:
        with (
            (self.folder / "filling").open("ab", buffering=0) as file,
            contextlib.suppress(OSError),
        ):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        (self.folder / "filling").unlink()

    def cut_power(self) -> None:
        """End all writing at once; the process that writes lives on, to be killed."""
        self.control(SHUTDOWN, _NO_LOG_FLUSH)

    def power_up(self) -> None:
        """Mount what has reached the card."""
        self.unmount()
        # A copy: the kernel may still know the image as the one that was shut down.
        options, image = self._mount[:-1], Path(self._mount[-1])
        copy = image.with_name(f"{image.stem}-again.img")
        shutil.copyfile(image, copy)
        image.unlink()
        self._mount = (*options, str(copy))
        self.mount()

    def control(self, request: int, argument: bytes = bytes(4)) -> None:
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, request, argument)
        finally:
            os.close(folder)


def _require_root() -> None:
    if os.geteuid() == 0:
        return
    reason = "not root: cannot mount the file systems that fail"
    if os.environ.get("EDGE_GENRE_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    """Four megabytes, of which the log may take one."""
    _require_root()
    disk = Disk(tmp_path / "small", "-t", "tmpfs", "-o", "size=4m", "tmpfs")
    yield disk
    disk.unmount()


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Disk]:
    """What a Raspberry Pi has on its card: ext4, here on 16 MB."""
    _require_root()
    image = tmp_path / "card.img"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, timeout=300)
    disk = Disk(tmp_path / "card", "-o", "loop", str(image))
    yield disk
    disk.unmount()


class TestPlays:
    """What a row is."""

    def test_a_row_is_a_stretch_of_one_label(self, tmp_path: Path) -> None:
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

    def test_probability_is_the_mean_over_the_windows(self, tmp_path: Path) -> None:
        path = tmp_path / "h.db"
        listen(path, [event("rock", end=3 + n, probability=p) for n, p in enumerate((0.5, 0.6, 1))])
        assert rows(path, "probability") == [(0.7,)]

    def test_plays_of_real_decisions_add_up_to_the_audio(self, tmp_path: Path) -> None:
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
            result = WindowResult(
                **{**vars(window.result), "probabilities": None if silent else share}
            )
            found.append(Event(window.time, result, now_playing.update(result)))
        listen(path, found)
        plays = rows(path)
        assert sum(play["seconds"] for play in plays) == pytest.approx(found[-1].result.end)
        assert sum(play["windows"] for play in plays) == 5_000
        changes = {(one.playing.label, one.playing.since) for one in found}
        assert len(plays) == len(changes) > 30
        assert all(a["ended"] == b["started"] for a, b in pairwise(plays))
        assert all(a["label"] != b["label"] for a, b in pairwise(plays))

    def test_a_new_run_joins_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "h.db"
        for _ in range(2):
            listen(path, events(["rock"] * 5))
        first, second = rows(path)
        assert (first["label"], first["seconds"]) == (second["label"], second["seconds"])
        assert first["run"] != second["run"]

    def test_two_that_listen_at_once_do_not_mix(self, tmp_path: Path) -> None:
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

    def test_what_plays_is_in_the_file_before_it_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "h.db"
        history = History(path, model="m", pace=PACE)
        feed(history, events(["rock"] * 20), seconds=0.2)
        wait_until(lambda: rows(path, "seconds, windows") == [(22.0, 20)])
        history.close()

    def test_the_file_is_written_at_its_pace(self, tmp_path: Path) -> None:
        """Labels that change with every window do not wear out a card."""
        path = tmp_path / "h.db"
        history = History(path, model="m", pace=3600.0)
        first, *others = events(GENRES[n % 5] for n in range(100))
        history.write(first)
        wait_until(lambda: _count(path) == 1)
        feed(history, others, seconds=0.3)
        assert rows(path, "windows") == [(1,)]
        history.close()
        assert rows(path, "windows") == [(1,)] * 100

    def test_a_closed_history_is_one_file(self, tmp_path: Path) -> None:
        threads = threading.active_count()
        listen(tmp_path / "h.db", events(["rock"] * 5))
        assert [found.name for found in tmp_path.iterdir()] == ["h.db"]
        assert threading.active_count() == threads

    def test_nothing_heard_makes_no_file(self, tmp_path: Path) -> None:
        listen(tmp_path / "h.db", [])
        assert not list(tmp_path.iterdir())

    def test_names_that_are_no_text(self, tmp_path: Path) -> None:
        """Of a model whose file name is of another time's encoding."""
        path = tmp_path / os.fsdecode(b"caf\xe9?#%41.db")
        history = History(path, model=os.fsdecode(b"caf\xe9"))
        feed(history, events(["rock"]))
        history.close()
        assert rows(path, "model") == [("caf\\udce9",)]
        assert json.loads(run(path, "--json").output)["model"] == "caf\\udce9"


class TestClocks:
    """Lengths are the audio's; the wall clock only says when."""

    @pytest.mark.parametrize("jump", [-90_000.0, 90_000.0])
    def test_the_clock_is_set(self, tmp_path: Path, jump: float) -> None:
        """As NTP does after boot: what is playing was there all the time."""
        path = tmp_path / "h.db"
        listen(
            path,
            [
                *(event("pop", end=3.0 + n) for n in range(20)),
                *(event("rock", end=23.0 + n, since=23.0) for n in range(60)),
                *(
                    event("rock", end=83.0 + n, since=23.0, passed=80.0 + n + jump)
                    for n in range(60)
                ),
                *(
                    event("jazz", end=143.0 + n, since=143.0, passed=140.0 + n + jump)
                    for n in range(3)
                ),
            ],
        )
        pop, rock, jazz = rows(path)
        assert [play["seconds"] for play in (pop, rock, jazz)] == [23.0, 120.0, 2.0]
        assert pop["ended"] == "2026-03-01T12:00:20.000Z"
        set_to = START + timedelta(seconds=20 + jump)
        assert rock["started"] == f"{set_to:%Y-%m-%dT%H:%M:%S}.000Z"
        assert rock["ended"] == jazz["started"]

    def test_the_clock_is_set_when_the_label_changes(self, tmp_path: Path) -> None:
        path = tmp_path / "h.db"
        found = [event("pop", end=3.0 + n) for n in range(20)]
        after = [event("rock", end=23.0 + n, since=23.0, passed=8_000.0 + n) for n in range(5)]
        listen(path, found + after)
        pop, rock = rows(path)
        assert (pop["seconds"], rock["seconds"]) == (23.0, 4.0)
        assert pop["ended"] == rock["started"] == "2026-03-01T14:13:20.000Z"

    def test_the_machine_slept(self, tmp_path: Path) -> None:
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

    def test_the_microphone_was_away(self, tmp_path: Path) -> None:
        """An hour that nobody heard is nobody's."""
        path = tmp_path / "h.db"
        found = [event("rock", end=3.0 + n) for n in range(10)]
        lost = event("rock", end=3_612.0, dropped=48_000 * 3_600)
        listen(path, [*found, lost, *(event("rock", end=3_613.0 + n) for n in range(5))])
        assert rows(path, "seconds, started") == [
            (12.0, "2026-03-01T11:59:57.000Z"),
            (8.0, "2026-03-01T13:00:06.000Z"),
        ]

    def test_a_short_loss_changes_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "h.db"
        found = [event("rock", end=3.0 + n) for n in range(10)]
        listen(path, [*found, event("rock", end=22.0, dropped=100_000)])
        assert rows(path, "seconds") == [(22.0,)]

    def test_windows_that_are_far_apart(self, tmp_path: Path) -> None:
        """A hop of ten minutes, as somebody chose it, is no hole."""
        path = tmp_path / "h.db"
        listen(path, [event("rock", end=3.0 + 600 * n) for n in range(10)])
        assert rows(path, "seconds") == [(5_403.0,)]

    def test_audio_that_comes_faster_than_life(self, tmp_path: Path) -> None:
        path = tmp_path / "h.db"
        listen(path, [event("rock", end=3.0 + 60 * n, passed=n * 0.01) for n in range(100)])
        assert rows(path, "seconds, ended") == [(5_943.0, "2026-03-01T12:00:00.990Z")]


class TestFaults:
    """The history fails, and listening goes on."""

    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_RETRY_SECONDS", PACE)

    @pytest.mark.slow
    def test_killed(self, tmp_path: Path) -> None:
        path = tmp_path / "h.db"
        kept: list[Any] = []
        for round_ in range(1, 6):
            listener = Listener(path)
            wait_until(functools.partial(lambda before: _count(path) > before + 8, len(kept)))
            seen = rows(path)
            listener.kill()
            found = rows(path)
            # A play is final when another one of the run has begun: nothing of that is lost.
            assert kept == found[: len(kept)]
            assert seen[:-1] == found[: len(seen) - 1]
            assert _runs(found) == [list(range(1, n + 1)) for n in map(len, _runs(found))]
            assert len(_runs(found)) == round_
            kept = found
        assert len(run(path, "--csv").output.splitlines()) == len(kept) + 1

    @pytest.mark.slow
    def test_power_cuts(self, card: Disk, report: Callable[[str], None]) -> None:
        """On ext4, which loses all that was not flushed; the process only sees the disk fail."""
        path = card.folder / "h.db"
        Listener(path, windows=300).end()
        closed = rows(path)
        assert len(closed) == 30
        kept = closed
        seen = 0
        for round_ in range(1, 9):
            listener = Listener(path)
            wanted = len(kept) + 12 * round_
            wait_until(functools.partial(lambda wanted: _count(path) >= wanted, wanted), 60.0)
            seen += _count(path) - len(kept)
            card.cut_power()
            assert listener.said().startswith(f"{path}: cannot be")
            assert listener.running()
            assert not listener.kill()
            card.power_up()
            assert path.exists()
            found = rows(path)
            # Of what was not flushed the end may be missing, and nothing else.
            assert found[: len(kept)] == kept
            assert _runs(found) == [list(range(1, n + 1)) for n in map(len, _runs(found))]
            kept = found
        report(
            f"8 power cuts, a write every 2 ms: the file whole after each, {len(kept) - 30} of "
            f"{seen} plays that had not been closed are in it, and all that had"
        )
        assert len(rows(path)) == len(kept)

    @pytest.mark.slow
    def test_power_cut_at_the_first_start(self, card: Disk) -> None:
        """Whatever there is of a new file afterwards, the next start makes a history of it."""
        for number in range(8):
            path = card.folder / f"{number}.db"
            listener = Listener(path)
            time.sleep(0.01 * number)
            card.cut_power()
            listener.kill()
            card.power_up()
            said: list[str] = []
            listen(path, events(["rock"]), say=said.append)
            assert rows(path, "label")[-1] == ("rock",)
            assert not said

    @pytest.mark.slow
    def test_disk_full(self, small_disk: Disk) -> None:
        path = small_disk.folder / "h.db"
        said: list[str] = []
        history = History(path, model="m", pace=PACE, say=said.append)
        found = list(events(GENRES[n // 10 % 5] for n in range(3_000)))
        feed(history, found[:500], seconds=0.5)
        before = rows(path)
        small_disk.fill()
        full = f"{path}: cannot be written, the disk is full; plays wait in memory"
        again = f"{path}: is written again"
        for begin in range(500, 2_500, 200):
            feed(history, found[begin : begin + 200], seconds=0.2)
            small_disk.fill()
        hear(history, said, full)
        # Where SQLite can empty its log, there is room once more, for a little.
        assert said == [full, again] * (len(said) // 2) + [full]
        kept = rows(path)
        assert kept[: len(before) - 1] == before[:-1]
        assert len(kept) < 240
        small_disk.free()
        feed(history, found[2_500:], seconds=0.5)
        history.close()
        assert said == [full, again] * (len(said) // 2)
        assert rows(path, "label, seconds")[1:-1] == [(GENRES[n % 5], 10.0) for n in range(1, 299)]

    @pytest.mark.slow
    @pytest.mark.parametrize("begun", [False, True])
    def test_disk_full_from_the_start_to_the_end(self, small_disk: Disk, begun: bool) -> None:
        path = small_disk.folder / "h.db"
        if begun:
            listen(path, events(["rock"] * 5))
        small_disk.fill()
        said: list[str] = []
        listen(path, events(["rock"] * 5 + ["jazz"] * 5), pace=PACE, say=said.append)
        assert said[-1] == (
            f"{path}: cannot be written, the disk is full; plays that are not in it: 2"
        )
        if begun:
            assert len(run(path, "--csv").output.splitlines()) == 2
            small_disk.free()
            assert len(rows(path)) == 1

    @pytest.mark.slow
    def test_read_only(self, small_disk: Disk) -> None:
        path = small_disk.folder / "h.db"
        listen(path, events(["rock"] * 5))
        subprocess.run(["mount", "-o", "remount,ro", small_disk.folder], check=True)
        said: list[str] = []
        history = History(path, model="m", pace=PACE, say=said.append)
        found = list(events(["jazz"] * 60))
        feed(history, found[:30], seconds=0.3)
        reason = "cannot be opened: its folder is missing or read-only"
        hear(history, said, f"{path}: {reason}; plays wait in memory")
        assert len(said) == 1
        assert len(run(path, "--csv").output.splitlines()) == 2  # nothing is needed but to read
        subprocess.run(["mount", "-o", "remount,rw", small_disk.folder], check=True)
        feed(history, found[30:], seconds=0.3)
        history.close()
        assert said[1:] == [f"{path}: is written again"]
        assert rows(path, "label, windows") == [("rock", 5), ("jazz", 60)]

    def test_folder_that_comes_later(self, tmp_path: Path) -> None:
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

    def test_locked(self, tmp_path: Path, report: Callable[[str], None]) -> None:
        path = tmp_path / "h.db"
        listen(path, events(["rock"] * 5))
        said: list[str] = []
        history = History(path, model="m", pace=PACE, say=said.append)
        found = list(events(["jazz"] * 300))
        with _locked(path):
            took = feed(history, found[:200], seconds=2.0)
            hear(history, said, f"{path}: is locked by another process; plays wait in memory")
        feed(history, found[200:], seconds=1.0)
        history.close()
        assert said[1:] == [f"{path}: is written again"]
        assert rows(path, "label, windows") == [("rock", 5), ("jazz", 300)]
        report(f"while another process locks the file: write {max(took) * 1e3:.2f} ms at most")
        assert max(took) < 0.25

    @pytest.mark.slow
    def test_locked_at_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "h.db"
        listen(path, events(["rock"] * 5))
        said: list[str] = []
        history = History(path, model="m", say=said.append)
        with _locked(path):
            feed(history, events(["jazz"] * 5))
            begin = time.perf_counter()
            history.close()
            assert time.perf_counter() - begin < 1.0
        assert said[-1] == f"{path}: is locked by another process; plays that are not in it: 1"

    @pytest.mark.slow
    def test_a_card_that_stalls(self, card: Disk, report: Callable[[str], None]) -> None:
        """Nothing that is written comes back for seconds, as while a card collects its garbage."""
        path = card.folder / "h.db"
        said: list[str] = []
        history = History(path, model="m", pace=PACE, say=said.append)
        found = list(events(GENRES[n // 20 % 5] for n in range(600)))
        feed(history, found[:100], seconds=0.2)
        card.control(FIFREEZE)
        try:
            took = feed(history, found[100:], seconds=2.0)
            begin = time.perf_counter()
            history.close()
            closing = time.perf_counter() - begin
        finally:
            card.control(FITHAW)
        report(
            f"on a disk that stalls: write {max(took) * 1e3:.2f} ms at most, close {closing:.2f} s"
        )
        assert max(took) < 0.25
        assert closing < 1.0
        assert said == [f"{path}: the disk does not answer; the end may be missing"]
        # It answers again before the process has gone, so that nothing is missing.
        wait_until(lambda: not _log(path).exists())
        assert sum(windows for (windows,) in rows(path, "windows")) == 600

    @pytest.mark.parametrize(
        "content", [b"ID3\x04" * 5_000, b"SQLite format 3\0" + b"\xff" * 9_000]
    )
    def test_not_a_history(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "song.mp3"
        path.write_bytes(content)
        said: list[str] = []
        listen(path, events(["jazz"] * 5), say=said.append)
        assert path.read_bytes() == content
        assert [found.name for found in tmp_path.iterdir()] == ["song.mp3"]
        reason = "is not a history: name another file"
        assert said[-1] == f"{path}: {reason}; plays that are not in it: 1"
        assert run(path, code=1).output == f"edge-genre: {path}: {reason}\n"

    def test_database_of_another_program(self, tmp_path: Path) -> None:
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

    def test_newer_schema(self, tmp_path: Path) -> None:
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

    def test_damaged_then_moved_away(self, tmp_path: Path) -> None:
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

    def test_moved_away_while_it_is_written(self, tmp_path: Path) -> None:
        """The old file is whole without its log, and a new one is begun."""
        path, old = tmp_path / "h.db", tmp_path / "old" / "h.db"
        said: list[str] = []
        history = History(path, model="m", pace=PACE, say=said.append)
        found = list(events(GENRES[n // 10] for n in range(50)))
        feed(history, found[:25], seconds=0.3)
        wait_until(lambda: sum(windows for (windows,) in rows(path, "windows")) == 25)
        old.parent.mkdir()
        path.rename(old)
        feed(history, found[25:], seconds=0.3)
        history.close()
        assert rows(old, "label, windows") == [("blues", 10), ("jazz", 10), ("metal", 5)]
        # What was playing is in both.
        assert rows(path, "label, windows") == [("metal", 10), ("pop", 10), ("rock", 10)]
        assert not said

    def test_deleted_while_it_is_written(self, tmp_path: Path) -> None:
        path = tmp_path / "h.db"
        history = History(path, model="m", pace=PACE)
        found = list(events(["rock"] * 40))
        feed(history, found[:20], seconds=0.2)
        for one in tmp_path.iterdir():
            one.unlink()
        feed(history, found[20:], seconds=0.2)
        history.close()
        assert rows(path, "windows") == [(40,)]

    def test_plays_that_wait_are_bounded(self, tmp_path: Path) -> None:
        path = tmp_path / "stick" / "h.db"
        said: list[str] = []
        history = History(path, model="m", pace=PACE, say=said.append)
        found = list(events(GENRES[n % 5] for n in range(MAX_WAITING + 101)))
        feed(history, found[:-1])
        assert len(history._waiting) <= MAX_WAITING
        path.parent.mkdir()
        wait_until(path.exists)
        wait_until(lambda: _count(path) > 0)
        history.write(found[-1])
        history.close()
        assert said[-1] == (
            f"{path}: is written again; plays that are not in it: 99, too many to wait"
        )
        assert [number for (number,) in rows(path, "number")] == list(range(100, MAX_WAITING + 102))


class TestCost:
    """What a history costs while nothing is wrong."""

    @pytest.mark.slow
    def test_a_day(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Callable[[str], None]
    ) -> None:
        """24 hours of windows at full speed, with a write a minute and a change in three."""
        path = tmp_path / "h.db"
        numbers = random.Random(0)
        label, labels = GENRES[0], []
        for _ in range(86_400):
            label = numbers.choice(GENRES) if numbers.random() < 1 / 150 else label
            labels.append(label)
        stored: list[int] = []
        store = History._store

        def counting(history: History, found: list[Any]) -> None:
            store(history, found)
            stored.append(1)

        monkeypatch.setattr(History, "_store", counting)
        history = History(path, model="songnet-gtzan", pace=0.001)
        memory, files, written = [], [], []
        took = array.array("d", [0.0]) * 86_400  # as long as it gets, so that it does not grow
        for index, one in enumerate(events(labels)):
            begin = time.perf_counter()
            history.write(one)
            took[index] = time.perf_counter() - begin
            if index % 60 == 59:  # a minute of audio: a write, as in life
                wait_until(functools.partial(lambda done: len(stored) > done, len(stored)))
            if index % 3_600 == 600:
                memory.append(_resident_kilobytes())
                files.append(len(list(Path("/proc/self/fd").iterdir())))
                written.append(_written_bytes())
        history.close()
        plays = rows(path)
        assert len(stored) >= 1_440
        times = sorted(took)
        size = path.stat().st_size
        a_write = (written[-1] - written[0]) / len(stored) * 24 / 23
        report(
            f"a day, {len(plays)} plays: {size >> 10} KiB, {a_write / 1024:.1f} KiB a write to the "
            f"file; write() {times[len(times) // 2] * 1e6:.1f} us in the median, "
            f"{times[-87] * 1e3:.2f} ms in 99.9 %, {times[-1] * 1e3:.1f} ms at most; resident "
            f"memory grew by {memory[-1] - memory[0]} KiB in 23 hours"
        )
        assert sum(play["seconds"] for play in plays) == 86_402.0
        assert size < 200 * len(plays) + 16_384
        assert times[len(times) // 2] < 1e-4
        assert memory[-1] - memory[0] < 2_048
        assert len(set(files)) == 1


class TestCommand:
    """``edge-genre history``."""

    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
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

    def test_lists_plays_as_they_were_heard(self, path: Path) -> None:
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

    def test_table(self, path: Path) -> None:
        lines = run(path).output.splitlines()
        assert [line.split("│")[1:5] for line in lines if "jazz" in line] == [
            [" 2026-03-01 19:00:00 ", " 4:00:00 ", " jazz    ", "         50% "]
        ]

    def test_limit(self, path: Path) -> None:
        lines = run(path, "--json", "--limit", "2").output.splitlines()
        assert [json.loads(line)["label"] for line in lines] == ["jazz", "rock"]
        assert "the latest 2 of 4 plays; see --limit" in run(path, "--limit", "2").output

    @pytest.mark.slow
    def test_a_table_is_short_unless_asked(self, tmp_path: Path) -> None:
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
    def test_times(self, path: Path, options: list[str], labels: list[str]) -> None:
        result = run(path, "--csv", *options)
        found = list(csv.DictReader(io.StringIO(result.stdout)))
        assert [row["label"] for row in found] == labels
        assert ("there are no plays in this time" in result.output) == (not labels)

    def test_today(self, path: Path) -> None:
        now = datetime.now(UTC)
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                "UPDATE plays SET started = ?, ended = ? WHERE id = 4",
                [module.stamp(now - timedelta(seconds=1)), module.stamp(now)],
            )
        assert len(run(path, "--json", "--since", "today").output.splitlines()) == 1
        assert len(run(path, "--json", "--since", "yesterday", "--until", "today").output) > 0

    def test_totals(self, path: Path) -> None:
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

    def test_totals_of_a_time(self, path: Path) -> None:
        """Of a play that is partly in it, the part counts."""
        options = ["--since", "2026-03-01T13:30", "--until", "2026-03-01T14:30"]
        found = {row["label"]: row["seconds"] for row in _totals(path, "genre", *options)}
        assert found == {"rock": 1_800.0, SILENCE: 1_800.0}

    def test_a_day_of_23_hours(self, path: Path) -> None:
        """Silence for a week, in which summer time begins."""
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM plays WHERE id > 1")
            connection.execute(
                "UPDATE plays SET started = '2026-03-27T23:00:00.000Z', "
                "ended = '2026-03-30T22:00:00.000Z', seconds = 71 * 3600"
            )
        found = {row["day"]: row["seconds"] / 3600 for row in _totals(path, "day")}
        assert found == {"2026-03-28": 24.0, "2026-03-29": 23.0, "2026-03-30": 24.0}

    def test_lengths_are_the_audio_s(self, path: Path) -> None:
        """Faster than life, from a pipe: ten hours in no time."""
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE plays SET ended = started, seconds = 36000 WHERE id = 3")
        found = {row["label"]: row["seconds"] for row in _totals(path, "genre")}
        assert found["jazz"] == 36_000.0

    def test_reads_while_another_process_writes(self, tmp_path: Path) -> None:
        path = tmp_path / "h.db"
        listener = Listener(path)
        wait_until(lambda: _count(path) > 3)
        counts = [len(run(path, "--json").output.splitlines()) for _ in range(20)]
        assert listener.running()
        said = listener.kill()
        assert not said
        assert counts == sorted(counts)
        assert counts[-1] > counts[0]

    @pytest.mark.slow
    def test_listen_ends_with_its_history_written(self, tmp_path: Path) -> None:
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
        assert not _log(path).exists()

    @pytest.mark.slow
    @pytest.mark.parametrize("state", ["closed", "killed"])
    def test_reads_in_a_folder_that_is_somebody_else_s(self, tmp_path: Path, state: str) -> None:
        """As a person does whose system has the service write it."""
        _require_root()
        path = tmp_path / "h.db"
        if state == "closed":
            Listener(path, windows=50).end()
        else:
            listener = Listener(path)
            wait_until(lambda: _count(path) > 3)
            listener.kill()
            assert _log(path).exists()
        _let_in(tmp_path)
        program = (
            "import os, sys, pathlib; import edge_genre.outputs.history as h; os.setuid(65534)\n"
            "with h.reading(pathlib.Path(sys.argv[1])) as c:\n"
            "    print(c.execute('SELECT count(*) FROM plays').fetchone()[0])"
        )
        found = subprocess.run(
            [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
        )
        assert int(found.stdout) == len(rows(path)) > 3

    @pytest.mark.slow
    def test_slow_readers_do_not_keep_the_log_from_being_emptied(self, tmp_path: Path) -> None:
        """Somebody pages through the list: no transaction stays open between two pages of it."""
        path = tmp_path / "h.db"
        for _ in range(3):
            listen(path, events(GENRES[n % 5] for n in range(900)))
        with module.reading(path) as connection:
            plays = StoredPlays(connection, None, None).rows()
            assert next(plays).label == "blues"
            with contextlib.closing(sqlite3.connect(path, timeout=0)) as other:
                other.execute("UPDATE plays SET model = 'n'")
                other.commit()
                busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert not busy
            assert len(list(plays)) == 2_699

    def test_empty(self, path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM plays")
        for options in ([], ["--json"], ["--by", "day"], ["--by", "genre", "--json"]):
            assert run(path, *options).output == f"{path}: there are no plays in it yet\n"
        assert run(path, "--csv", "--by", "day").stdout == "day,seconds,silence_seconds,plays\n"

    def test_missing(self, tmp_path: Path) -> None:
        path = tmp_path / "none.db"
        found = run(path, code=1).output
        assert found == f"edge-genre: {path}: cannot be opened (No such file or directory)\n"
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("content", [b"", None])
    def test_nothing_in_it(self, tmp_path: Path, content: bytes | None) -> None:
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

    def test_a_folder(self, tmp_path: Path) -> None:
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
    def test_wrong_usage(self, path: Path, options: Sequence[str]) -> None:
        assert "Error: " in run(path, *options, code=2).output

    def test_light(self) -> None:
        """Neither SQLite nor Rich are loaded to list the commands."""
        check = (
            "import sys, edge_genre.cli.history as h; assert h.command.name == 'history'; "
            "print([n for n in ('sqlite3', 'rich', 'numpy.fft') if n in sys.modules])"
        )
        found = subprocess.run(
            [sys.executable, "-c", check], capture_output=True, text=True, check=True
        )
        assert found.stdout == "[]\n"


def test_default_is_the_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listen(tmp_path / "none" / "h.db", events(["rock"]))
    assert "h.db: cannot be opened" in capsys.readouterr().err


def _count(path: Path) -> int:
    """Plays so far; 0 while there is no table."""
    with contextlib.suppress(HistoryError), module.reading(path) as connection:
        return int(connection.execute("SELECT count(*) FROM plays").fetchone()[0])
    return 0


def _runs(found: list[Any]) -> list[list[int]]:
    """Numbers of the plays of each run."""
    runs: dict[int, list[int]] = {}
    for play in found:
        runs.setdefault(play["run"], []).append(play["number"])
    return list(runs.values())


def _totals(path: Path, by: str, *options: str) -> list[dict[str, Any]]:
    result = run(path, "--by", by, "--json", *options)
    return [json.loads(line) for line in result.output.splitlines()]


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
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


def _let_in(folder: Path) -> None:
    """Let other users read a folder of pytest's."""
    for one in (folder, *folder.parents):
        if one.stat().st_uid == os.geteuid() and one != Path("/"):
            one.chmod(one.stat().st_mode | 0o055)
        if one.name == "tmp":
            return


def _resident_kilobytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _written_bytes() -> int:
    """By this process, to files."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


if __name__ == "__main__":
    listen_for_ever(sys.argv[1], int(sys.argv[2]))
