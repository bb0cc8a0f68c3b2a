"""Several models measured in turn, and all that is known of the machine beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edge_genre.benchmarks.latency.subject import Job, Subject
from edge_genre.benchmarks.latency.worker import Worker
from edge_genre.errors import ModelError
from edge_genre.host.machine import condition, doubts, this_machine
from edge_genre.model.bundled import find_model
from edge_genre.model.file import read

SCHEMA = 1
_TURN = 0.25  # seconds of windows until the next model has its turn
_UNTIMED = 3  # windows at the beginning of a turn: others have used the caches
_SAMPLES = 500
_SUFFIXES = (".tflite", ".onnx")
_STEPS = ("front_end", "inference", "total")
# What a run has None for where another processor plays this one.
_TIMED = ("stages", "memory_mb", "accuracy", "profile", "batches")


@dataclass(frozen=True)
class Plan:
    """What to do with all models.

    Parameters
    ----------
    seconds : of measuring for each, not counting what else is asked for
    corpus : labelled music to measure accuracy with, if any
    profile : ask the engine for the time of each kind of operator
    batches : measure several windows at once
    """

    seconds: float = 5.0
    corpus: str | None = None
    profile: bool = False
    batches: bool = False


def benchmark(
    jobs: Sequence[Job], plan: Plan, *, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure models, each in a process of its own, one turn after the other.

    Parameters
    ----------
    jobs : at least one, with the same audio, hop and pace
    plan : how long, and what else
    progress : is told what is being done

    Returns
    -------
    The figures, ready for JSON: see benchmarks/README.md. Where another processor plays this one,
    there are results only, and no times.

    Raises
    ------
    EdgeGenreError
        A model, the audio or the labelled music cannot be used.
    """
    machine = this_machine()
    before = condition()
    runs = _results(jobs) if machine.emulated else _measured(jobs, plan, progress)
    after = before if machine.emulated else condition()
    found = doubts(machine, before, after)
    first = jobs[0]
    return {
        "schema": SCHEMA,
        "edge_genre": version("edge-genre"),
        "machine": machine.to_dict(),
        "before": before.to_dict(),
        "after": after.to_dict(),
        "trusted": not found,
        "warnings": found,
        "input": {
            "name": Path(first.audio).name,
            "hop": runs[0]["hop"],  # in whole frames of the first model
            "paced": first.paced,
        },
        "seconds": plan.seconds,
        "runs": runs,
    }


def _results(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Without processes of their own, which need not work where this one does."""
    runs = []
    for job in jobs:
        subject = Subject(job)
        proven = {name: subject.loading[name] for name in ("hop", "self_test_deviation")}
        values = {**subject.identity(), **subject.graph(), **proven}
        runs.append(values | dict.fromkeys(_TIMED) | {"result": subject.result()})
    return runs


def _measured(
    jobs: Sequence[Job], plan: Plan, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    with ExitStack() as stack:
        workers = []
        for job in jobs:
            progress(f"loading {Path(job.model).name}")
            workers.append(stack.enter_context(Worker(job)))
        runs = [_loading(worker) for worker in workers]
        progress("measuring")
        for run, steps in zip(runs, _in_turn(workers, jobs[0], plan.seconds), strict=True):
            run |= _figures(steps, run["hop"])
        for run, worker in zip(runs, workers, strict=True):
            run["memory_mb"] = worker.ask("memory")
        # What follows loads more than a model needs.
        for run, worker in zip(runs, workers, strict=True):
            name = run["file"]
            run |= {"result": worker.ask("result"), **worker.ask("graph")}
            progress(f"profile of {name}")
            run["profile"] = worker.ask("profile") if plan.profile else None
            progress(f"batches of {name}")
            run["batches"] = worker.ask("batches") if plan.batches else None
        if plan.corpus:
            _add_accuracy(runs, jobs, workers, plan.corpus, progress)
        else:
            for run in runs:
                run["accuracy"] = None
    return runs


def _loading(worker: Worker) -> dict[str, Any]:
    loading = dict(worker.loading)
    del loading["python_mb"]  # is among the memory figures
    return worker.ask("identity") | loading


def _in_turn(workers: Sequence[Worker], job: Job, seconds: float) -> list[dict[str, Any]]:
    """Steps of all workers' windows."""
    found: list[dict[str, Any]] = [
        {"front_end": [], "inference": [], "total": [], "cpu": 0.0} for _ in workers
    ]
    if job.paced:  # a pause between two turns would have to be caught up with
        for worker, steps in zip(workers, found, strict=True):
            _add(steps, worker.ask("measure", max(2, round(seconds / job.hop))))
        return found
    counts = [1] * len(workers)
    spent = [0.0] * len(workers)
    while min(spent) < seconds:
        for index, worker in enumerate(workers):
            worker.ask("measure", _UNTIMED)
            turn = worker.ask("measure", counts[index])
            passed = sum(turn["total"]) / 1e3
            _add(found[index], turn)
            spent[index] += passed
            counts[index] = max(1, round(counts[index] * _TURN / max(passed, 1e-6)))
    return found


def _add(steps: dict[str, Any], turn: dict[str, Any]) -> None:
    for name, values in turn.items():
        steps[name] += values


def _figures(steps: dict[str, Any], hop: float) -> dict[str, Any]:
    windows = len(steps["total"])
    mean, cpu = float(np.mean(steps["total"])), steps["cpu"] / windows
    return {
        "windows": windows,
        "stages": {name: _distribution(steps[name]) for name in _STEPS},
        "cpu_ms": cpu,
        "real_time_factor": mean / 1e3 / hop,
        "core_share": cpu / 1e3 / hop,
        "windows_per_second": 1e3 / mean,
    }


def _distribution(milliseconds: list[float]) -> dict[str, Any]:
    values = np.sort(milliseconds)
    points = np.percentile(values, [25, 50, 75, 90, 95, 99])
    quarter, median, three_quarters, p90, p95, p99 = points.tolist()
    kept = np.linspace(0, len(values) - 1, min(_SAMPLES, len(values)))
    return {
        "mean": float(values.mean()),
        "median": median,
        "p90": p90,
        "p95": p95,
        "p99": p99,
        "min": float(values[0]),
        "max": float(values[-1]),
        "iqr": three_quarters - quarter,
        "samples": np.round(values[np.rint(kept).astype(int)], 4).tolist(),
    }


def _add_accuracy(
    runs: Sequence[dict[str, Any]],
    jobs: Sequence[Job],
    workers: Sequence[Worker],
    corpus: str,
    progress: Callable[[str], None],
) -> None:
    """Accuracy, and in how many windows a model agrees with the fp32 file of its name."""
    with ExitStack() as stack:
        answers: dict[str, list[int]] = {}
        for run, job, worker in zip(runs, jobs, workers, strict=True):
            progress(f"accuracy of {run['file']}")
            found = worker.ask("accuracy", corpus)
            answers[job.model] = found.pop("answers")
            run["accuracy"] = {"data": Path(corpus).name, **found}
        for run, job in zip(runs, jobs, strict=True):
            reference = _reference(job.model)
            if reference is None:
                run["accuracy"]["agreement"] = None
                continue
            if reference not in answers:
                progress(f"accuracy of {Path(reference).name}")
                other = stack.enter_context(Worker(replace(job, model=reference, engine=None)))
                answers[reference] = other.ask("accuracy", corpus)["answers"]
            same = np.equal(answers[job.model], answers[reference])
            run["accuracy"]["agreement"] = {
                "with": Path(reference).name,
                "windows": len(same),
                "same": int(same.sum()),
            }


def _reference(model: str) -> str | None:
    """The fp32 file beside a file: of the same name, in either format."""
    path = Path(model)
    for other in sorted(path.parent.glob(f"{path.stem}.*")):
        if other != path and other.suffix in _SUFFIXES:
            info = read(other).info
            if info is not None and info.quantization == "fp32":
                return str(other)
    return None


def models_of(names: Sequence[str]) -> list[str]:
    """Paths of model files, of bundled names, and of all that folders hold, each once.

    Raises
    ------
    ModelError
        There is no such model.
    """
    found: dict[str, None] = {}
    for name in names:
        folder = Path(name)
        if folder.is_dir():
            inside = [path for path in sorted(folder.iterdir()) if path.suffix in _SUFFIXES]
            if not inside:
                raise ModelError(f"{name}: holds no TFLite or ONNX file")
            found |= dict.fromkeys(map(str, inside))
        else:
            found[str(find_model(name))] = None
    return list(found)
