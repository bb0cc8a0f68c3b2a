"""Waiting for what happens elsewhere, on machines that may have better things to do."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# Seconds after which something has hung: far longer than it takes on the busiest machine.
PATIENCE = 300.0

_begin = (0.0, 0.0)


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def begin() -> None:
    """From now on `on_time` looks at what the processors do."""
    global _begin
    _begin = _processor_times()


def on_time(holds: bool, what: str) -> None:
    """Assert what needs a processor at the right moment.

    Where it does not hold and the processors were in use for more than half of the time since the
    test began, nobody can tell whose fault that is, and the test skips.
    """
    if holds:
        return
    idle, total = (after - before for after, before in zip(_processor_times(), _begin, strict=True))
    if idle < total / 2:
        pytest.skip(f"this machine is too busy to tell ({idle / total:.0%} idle): {what}")
    pytest.fail(what)


def _processor_times() -> tuple[float, float]:
    """Idle and all time of the processors that this process may use, in the kernel's units."""
    statistics = Path("/proc/stat")
    if not statistics.exists():  # not of Linux
        return 0.0, 0.0
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    lines = (line.split() for line in statistics.read_text().splitlines())
    rows = [[float(value) for value in values] for name, *values in lines if name in mine]
    # The fourth is idle time, the fifth the same while a disk works; two of guests count twice.
    return sum(sum(row[3:5]) for row in rows), sum(sum(row[:8]) for row in rows)
