"""Figures against those of an earlier run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_genre.benchmarks.latency.benchmark import SCHEMA
from edge_genre.errors import DataError

# What must not grow: its name, where it stands in a run, its unit.
_FIGURES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "total": (lambda run: run["stages"]["total"]["median"], "ms"),
    "front end": (lambda run: run["stages"]["front_end"]["median"], "ms"),
    "inference": (lambda run: run["stages"]["inference"]["median"], "ms"),
    "CPU time": (lambda run: run["cpu_ms"], "ms"),
    "resident memory": (lambda run: run["memory_mb"]["resident"], "MB"),
    "file": (lambda run: run["bytes"] / 1e3, "kB"),
}


def read_json(path: Path) -> Any:
    """Read a file of JSON.

    Raises
    ------
    DataError
        It cannot be read, or is none.
    """
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error})") from None


def read_result(path: Path) -> dict[str, Any]:
    """Read what ``edge-genre benchmark --json`` printed.

    Raises
    ------
    DataError
        It cannot be read, or is something else.
    """
    result = read_json(path)
    if not isinstance(result, dict) or result.get("schema") != SCHEMA or not result.get("runs"):
        raise DataError(f"{path}: is no result of edge-genre benchmark --json of schema {SCHEMA}")
    return result


def regressions(result: dict[str, Any], baseline: dict[str, Any], tolerance: float) -> list[str]:
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
    known = {_key(run): run for run in baseline["runs"]}
    found = []
    for run in result["runs"]:
        before = known.get(_key(run))
        if before is None:
            have = "; ".join(" ".join(map(str, key)) for key in known)
            raise DataError(f"the baseline has no {' '.join(map(str, _key(run)))} (it has {have})")
        if run["stages"] is None or before["stages"] is None:
            raise DataError(f"{run['file']}: emulated runs have no times to compare")
        for name, (figure, unit) in _FIGURES.items():
            old, new = figure(before), figure(run)
            if old and new and new > old * (1 + tolerance):
                found.append(
                    f"{run['file']}: {name} {new:.4g} {unit}, {new / old - 1:.0%} more than the "
                    f"baseline's {old:.4g} {unit}"
                )
    return found


def _key(run: dict[str, Any]) -> tuple[Any, ...]:
    """What makes two runs comparable: versions of an engine are, engines are not."""
    engine = run["engine"].split()[0]
    return run["file"], "on", engine, run["device"], "threads", run["threads"]
