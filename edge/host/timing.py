"""Timing that can be trusted on a noisy machine: everything in turn, in one run, by the median."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np

from edge_genre.host.process import ONE_THREAD


def one_thread(module: str) -> None:
    """Start a benchmark's module anew with BLAS in one thread, unless it runs so already.

    NumPy reads the number when it is imported, which it has been by now.
    """
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        command = [sys.executable, "-m", module, *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **ONE_THREAD})


def medians(
    tasks: Mapping[str, Callable[[], object]], *, rounds: int, burst: int = 1
) -> dict[str, float]:
    """Median seconds of each task; the tasks take turns, so that a slow moment hits all of them.

    Each turn is one call that is not timed, since the tasks push one another out of the caches, and
    a burst of calls that are.
    """
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            task()
            for _ in range(burst):
                begin = time.perf_counter()
                task()
                times[name].append(time.perf_counter() - begin)
    return {name: float(np.median(values)) for name, values in times.items()}
