"""Several models measured in turn, and all that is known of the machine beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_genre import __version__
from edge_genre.benchmarks.latency.result import (
    SCHEMA,
    Agreement,
    AnyAccuracy,
    Distribution,
    Input,
    Memory,
    Result,
    Run,
    Stages,
    TimedRun,
)
from edge_genre.benchmarks.latency.streaming import Steps
from edge_genre.benchmarks.latency.subject import Job, Scored, Subject
from edge_genre.benchmarks.latency.worker import Worker
from edge_genre.errors import ModelError
from edge_genre.host.machine import condition, doubts, this_machine
from edge_genre.model.bundled import find_model
from edge_genre.model.file import read

_TURN = 0.25  # seconds of windows until the next model has its turn
_UNTIMED = 3  # windows at the beginning of a turn: others have used the caches
_SAMPLES = 500
_SUFFIXES = (".tflite", ".onnx")

Answers = tuple[tuple[int, ...], ...]  # numbers of the labels of each window


@dataclass(frozen=True)
class Plan:
    """What to do with all models.

    Parameters
    ----------
    seconds : of measuring for each, not counting what else is asked for
    corpus : labelled music to measure accuracy with, if any
    labels : CSV file with the labels of a folder of it
    profile : ask the engine for the time of each kind of operator
    batches : measure several windows at once
    """

    seconds: float = 5.0
    corpus: str | None = None
    labels: str | None = None
    profile: bool = False
    batches: bool = False


def benchmark(
    jobs: Sequence[Job],
    plan: Plan,
    *,
    command: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Measure models, each in a process of its own, one turn after the other.

    Where another processor plays this one, there are results only, and no times.

    Parameters
    ----------
    jobs : at least one, with the same audio, hop and pace
    plan : how long, and what else
    command : that asked for it, to be kept beside the figures
    progress : is told what is being done

    Raises
    ------
    EdgeGenreError
        A model, the audio or the labelled music cannot be used.
    """
    machine = this_machine()
    before = condition()
    runs: Sequence[Run] = _answered(jobs) if machine.emulated else _measured(jobs, plan, progress)
    after = before if machine.emulated else condition()
    found = doubts(machine, before, after)
    first = jobs[0]
    return Result(
        command=command,
        schema=SCHEMA,
        edge_genre=__version__,
        machine=machine,
        before=before,
        after=after,
        trusted=not found,
        warnings=tuple(found),
        # In whole frames of the first model.
        input=Input(name=Path(first.audio).name, hop=runs[0].hop, paced=first.paced),
        seconds=plan.seconds,
        runs=tuple(runs),
    )


def _answered(jobs: Sequence[Job]) -> list[Run]:
    """Without processes of their own, which need not work where this one does."""
    runs = []
    for job in jobs:
        subject = Subject(job)
        runs.append(
            Run(
                **vars(subject.identity()),
                **vars(subject.graph()),
                hop=subject.loading.hop,
                self_test_deviation=subject.loading.self_test_deviation,
                result=subject.result(),
            )
        )
    return runs


def _measured(jobs: Sequence[Job], plan: Plan, progress: Callable[[str], None]) -> list[TimedRun]:
    with ExitStack() as stack:
        workers = []
        for job in jobs:
            progress(f"loading {Path(job.model).name}")
            workers.append(stack.enter_context(Worker(job)))
        progress("measuring")
        steps = _in_turn(workers, jobs[0], plan.seconds)
        memory = [worker.memory() for worker in workers]
        # What follows loads more than a model needs.
        runs = [_run(*each, plan, progress) for each in zip(workers, steps, memory, strict=True)]
        if plan.corpus:
            data = plan.corpus, plan.labels
            found = _accuracy(jobs, workers, data, progress)
            runs = [replace(run, accuracy=each) for run, each in zip(runs, found, strict=True)]
    return runs


def _in_turn(workers: Sequence[Worker], job: Job, seconds: float) -> list[Steps]:
    """Steps of all workers' windows."""
    if job.paced:  # a pause between two turns would have to be caught up with
        return [worker.measure(max(2, round(seconds / job.hop))) for worker in workers]
    found = [Steps((), (), (), 0.0) for _ in workers]
    counts = [1] * len(workers)
    spent = [0.0] * len(workers)
    while min(spent) < seconds:
        for index, worker in enumerate(workers):
            worker.measure(_UNTIMED)
            turn = worker.measure(counts[index])
            passed = sum(turn.total) / 1e3
            found[index] += turn
            spent[index] += passed
            counts[index] = max(1, round(counts[index] * _TURN / max(passed, 1e-6)))
    return found


def _run(
    worker: Worker, steps: Steps, memory: Memory, plan: Plan, progress: Callable[[str], None]
) -> TimedRun:
    """Everything about a model but its accuracy."""
    identity, loading = worker.identity(), worker.loading
    progress(f"profile of {identity.file}")
    profile = worker.profile() if plan.profile else None
    progress(f"batches of {identity.file}")
    batches = worker.batches() if plan.batches else None
    windows = len(steps.total)
    mean, cpu = float(np.mean(steps.total)), steps.cpu / windows
    return TimedRun(
        **vars(identity),
        **vars(worker.graph()),
        hop=loading.hop,
        load_ms=loading.load_ms,
        self_test_ms=loading.self_test_ms,
        self_test_deviation=loading.self_test_deviation,
        first_window_ms=loading.first_window_ms,
        start_ms=worker.start_ms,
        windows=windows,
        stages=Stages(*map(_distribution, (steps.front_end, steps.inference, steps.total))),
        cpu_ms=cpu,
        real_time_factor=mean / 1e3 / loading.hop,
        core_share=cpu / 1e3 / loading.hop,
        windows_per_second=1e3 / mean,
        memory_mb=memory,
        result=worker.result(),
        profile=profile,
        batches=batches,
        accuracy=None,
    )


def _distribution(milliseconds: Sequence[float]) -> Distribution:
    values = np.sort(milliseconds)
    points = np.percentile(values, [25, 50, 75, 90, 95, 99])
    quarter, median, three_quarters, p90, p95, p99 = points.tolist()
    kept = np.linspace(0, len(values) - 1, min(_SAMPLES, len(values)))
    return Distribution(
        mean=float(values.mean()),
        median=median,
        p90=p90,
        p95=p95,
        p99=p99,
        min=float(values[0]),
        max=float(values[-1]),
        iqr=three_quarters - quarter,
        samples=tuple(np.round(values[np.rint(kept).astype(int)], 4).tolist()),
    )


def _accuracy(
    jobs: Sequence[Job],
    workers: Sequence[Worker],
    data: tuple[str, str | None],
    progress: Callable[[str], None],
) -> list[AnyAccuracy]:
    """Accuracy, and in how many windows a model agrees with the fp32 file of its name."""
    scores: list[Scored] = []
    answers: dict[str, Answers] = {}
    for job, worker in zip(jobs, workers, strict=True):
        progress(f"accuracy of {Path(job.model).name}")
        scores.append(worker.accuracy(*data))
        answers[job.model] = scores[-1].answers
    found: list[AnyAccuracy] = []
    for job, scored in zip(jobs, scores, strict=True):
        reference = _reference(job.model)
        if reference is not None and reference not in answers:
            progress(f"accuracy of {Path(reference).name}")
            with Worker(replace(job, model=reference, engine=None)) as other:
                answers[reference] = other.accuracy(*data).answers
        agreement = None
        if reference is not None:
            agreement = _agreement(reference, scored.answers, answers[reference])
        found.append(replace(scored.accuracy, agreement=agreement))
    return found


def _agreement(reference: str, ours: Answers, theirs: Answers) -> Agreement:
    same = sum(one == other for one, other in zip(ours, theirs, strict=True))
    return Agreement(Path(reference).name, windows=len(ours), same=same)


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
