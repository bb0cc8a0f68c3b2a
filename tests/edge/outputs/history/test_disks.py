"""The history on disks that are full, read-only, slow, or without power in mid-write."""

import functools
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_genre.outputs import history as module
from edge_genre.outputs.history import History
from tests.programs.listener import Listener
from tests.support.disks import FIFREEZE, FITHAW, Disk
from tests.support.history import (
    GENRES,
    PACE,
    count,
    events,
    feed,
    hear,
    listen,
    log,
    rows,
    run,
    runs,
)
from tests.support.requirements import require_mounts, require_system
from tests.support.waiting import on_time, wait_for


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries again soon."""
    monkeypatch.setattr(module, "_RETRY_SECONDS", PACE)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    """Four megabytes, of which the log may take one."""
    require_mounts()
    disk = Disk(tmp_path / "small", "-t", "tmpfs", "-o", "size=4m", "tmpfs")
    yield disk
    disk.unmount()


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Disk]:
    """What a Raspberry Pi has on its card: ext4, here on 16 MB."""
    require_mounts()
    require_system([] if shutil.which("mkfs.ext4") else ["e2fsprogs"])
    image = tmp_path / "card.img"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, timeout=300)
    disk = Disk(tmp_path / "card", "-o", "loop", str(image))
    yield disk
    disk.unmount()


@pytest.mark.slow
def test_killed(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    kept: list[Any] = []
    for round_ in range(1, 6):
        listener = Listener(path)
        wait_for(functools.partial(lambda before: count(path) > before + 8, len(kept)))
        seen = rows(path)
        listener.kill()
        found = rows(path)
        # A play is final when another one of the run has begun: nothing of that is lost.
        assert kept == found[: len(kept)]
        assert seen[:-1] == found[: len(seen) - 1]
        assert runs(found) == [list(range(1, n + 1)) for n in map(len, runs(found))]
        assert len(runs(found)) == round_
        kept = found
    assert len(run(path, "--csv").output.splitlines()) == len(kept) + 1


@pytest.mark.slow
def test_power_cuts(card: Disk, report: Callable[[str], None]) -> None:
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
        wait_for(functools.partial(lambda wanted: count(path) >= wanted, wanted))
        seen += count(path) - len(kept)
        card.cut_power()
        assert listener.said().startswith(f"{path}: cannot be")
        assert listener.running()
        assert not listener.kill()
        card.power_up()
        assert path.exists()
        found = rows(path)
        # Of what was not flushed the end may be missing, and nothing else.
        assert found[: len(kept)] == kept
        assert runs(found) == [list(range(1, n + 1)) for n in map(len, runs(found))]
        kept = found
    report(
        f"8 power cuts, a write every 2 ms: the file whole after each, {len(kept) - 30} of "
        f"{seen} plays that had not been closed are in it, and all that had"
    )
    assert len(rows(path)) == len(kept)


@pytest.mark.slow
def test_power_cut_at_the_first_start(card: Disk) -> None:
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
def test_disk_full(small_disk: Disk) -> None:
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
def test_disk_full_from_the_start_to_the_end(small_disk: Disk, begun: bool) -> None:
    path = small_disk.folder / "h.db"
    if begun:
        listen(path, events(["rock"] * 5))
    small_disk.fill()
    said: list[str] = []
    listen(path, events(["rock"] * 5 + ["jazz"] * 5), pace=PACE, say=said.append)
    assert said[-1] == (f"{path}: cannot be written, the disk is full; plays that are not in it: 2")
    if begun:
        assert len(run(path, "--csv").output.splitlines()) == 2
        small_disk.free()
        assert len(rows(path)) == 1


@pytest.mark.slow
def test_read_only(small_disk: Disk) -> None:
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


@pytest.mark.slow
def test_a_card_that_stalls(card: Disk, report: Callable[[str], None]) -> None:
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
    report(f"on a disk that stalls: write {max(took) * 1e3:.2f} ms at most, close {closing:.2f} s")
    on_time(max(took) < 0.25, f"write took {max(took):.2f} s")
    on_time(closing < 1.0, f"closed in {closing:.2f} s")
    assert said == [f"{path}: the disk does not answer; the end may be missing"]
    # It answers again before the process has gone, so that nothing is missing.
    wait_for(lambda: not log(path).exists())
    assert sum(windows for (windows,) in rows(path, "windows")) == 600
