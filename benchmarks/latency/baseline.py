"""Figures against those of an earlier run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_genre.benchmarks.latency.result import SCHEMA, Result, Run, TimedRun
from edge_genre.errors import DataError
from edge_genre.host.files import reading

# What must not grow: its name, where it stands in a run, its unit.
_FIGURES: dict[str, tuple[Callable[[TimedRun], float | None], str]] = {
    "total": (lambda run: run.stages.total.median, "ms"),
    "front end": (lambda run: run.stages.front_end.median, "ms"),
    "inference": (lambda run: run.stages.inference.median, "ms"),
    "CPU time": (lambda run: run.cpu_ms, "ms"),
    "resident memory": (lambda run: run.memory_mb.resident, "MB"),
    "file": (lambda run: run.bytes / 1e3, "kB"),
}


def read_json(path: Path) -> Any:
    """Read a file of JSON.

    Raises
    ------
    DataError
        It cannot be read, or is none.
    """
    try:
        with reading(path):
            return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error})") from None


def read_result(path: Path) -> Result:
    """Read what ``edge-genre benchmark --json`` printed.

    Raises
    ------
    DataError
        It cannot be read, or is something else.
    """
    values = read_json(path)
    try:
        return Result.from_dict(values)
    except ValueError as error:
        expected = f"edge-genre benchmark --json of schema {SCHEMA}"
        raise DataError(f"{path}: is no result of {expected} ({error})") from None


def regressions(result: Result, baseline: Result, tolerance: float) -> list[str]:
    """What has grown by more than the tolerance, a line each.

    Parameters
    ----------
    result, baseline : as `edge_genre.benchmarks.latency.benchmark.benchmark` gives them
    tolerance : 0.3 for 30 %

    Raises
    ------
    DataError
        A run has no counterpart in the baseline, or one of them was emulated.
    """
    known = {_key(run): run for run in baseline.runs}
    found = []
    for run in result.runs:
        before = known.get(_key(run))
        if before is None:
            have = "; ".join(" ".join(map(str, key)) for key in known)
            raise DataError(f"the baseline has no {' '.join(map(str, _key(run)))} (it has {have})")
        if not isinstance(run, TimedRun) or not isinstance(before, TimedRun):
            raise DataError(f"{run.file}: emulated runs have no times to compare")
        for name, (figure, unit) in _FIGURES.items():
            old, new = figure(before), figure(run)
            if old and new and new > old * (1 + tolerance):
                found.append(
                    f"{run.file}: {name} {new:.4g} {unit}, {new / old - 1:.0%} more than the "
                    f"baseline's {old:.4g} {unit}"
                )
    return found


def _key(run: Run) -> tuple[Any, ...]:
    """What makes two runs comparable: versions of an engine are, engines are not."""
    engine = run.engine.partition(" ")[0]
    return run.file, "on", engine, run.device, "threads", run.threads
