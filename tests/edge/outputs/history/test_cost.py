"""What a history costs while nothing is wrong."""

import array
import functools
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_genre.outputs.history import History
from tests.support.history import (
    GENRES,
    events,
    rows,
)
from tests.support.waiting import on_time, wait_for


@pytest.mark.slow
def test_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Callable[[str], None]
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
            wait_for(functools.partial(lambda done: len(stored) > done, len(stored)))
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
    on_time(times[len(times) // 2] < 1e-4, f"a write took {times[len(times) // 2]:.1e} s")
    assert memory[-1] - memory[0] < 2_048
    assert len(set(files)) == 1


def _resident_kilobytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _written_bytes() -> int:
    """By this process, to files."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])
