"""A benchmark's figures on a terminal; one of 80 columns shows all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge_genre.benchmarks.latency.result import Accuracy, LabelAccuracy
from edge_genre.benchmarks.report.names import noun_of
from edge_genre.benchmarks.text import some
from edge_genre.cli.view import facts

if TYPE_CHECKING:
    from edge_genre.benchmarks.latency.result import Result, Run, TimedRun

_DASH = "-"
_Columns = dict[str, Callable[[Any], str]]


def print_result(result: Result, output: Console) -> None:
    """Print what was measured, what on, and why to doubt it."""
    for line in result.warnings:
        output.print(Text(f"WARNING: {line}", "bold red"))
    output.print(facts(_machine(result)))
    runs = result.timed
    if not runs:
        output.print(_answers(result.runs))
        return
    output.print(_cost(runs))
    output.print(_latency(runs))
    for kind, columns in _ACCURACIES.items():
        scored = [(run, run.accuracy) for run in runs if isinstance(run.accuracy, kind)]
        if scored:
            output.print(_accuracy(scored, columns))
    for run in runs:
        if run.batches:
            output.print(_batches(run))
        if run.profile:
            output.print(_profile(run))


def _machine(result: Result) -> dict[str, str]:
    machine, before, after = result.machine, result.before, result.after
    parts = [machine.board, machine.cpu, f"{machine.cores} cores"]
    parts += ["a virtual machine"] if machine.virtual else []
    parts += [f"{machine.memory_mb / 1000:.1f} GB"] if machine.memory_mb else []
    clock = [before.governor or "governor unknown"]
    if before.celsius is not None and after.celsius is not None:
        clock.append(f"{before.celsius:.0f} to {after.celsius:.0f} °C")
    if before.load is not None:
        clock.append(f"{before.load:.1f} cores busy with other work")
    pace = "in real time" if result.input.paced else "at full speed"
    return {
        "machine": ", ".join(part for part in dict.fromkeys(parts) if part),
        "gpu": machine.accelerator or _DASH,
        "condition": ", ".join(clock),
        "system": f"{machine.system}, Python {machine.python}",
        "music": f"{result.input.name}, a window every {result.input.hop:.3g} s, {pace}",
    }


def _cost(runs: Sequence[TimedRun]) -> Table:
    table = _table(
        *("size\nkB", "weights", "start\nms", "load\nms", "first window\nms"),
        *("memory\nMB", "peak\nMB"),
    )
    for run in runs:
        table.add_row(
            _name(run),
            f"{run.bytes / 1000:.0f}",
            run.weights or _DASH,
            f"{run.start_ms:.0f}",
            f"{run.load_ms:.0f}",
            f"{run.first_window_ms:.1f}",
            _rounded(run.memory_mb.resident),
            _rounded(run.memory_mb.peak),
        )
    table.caption = f"start: from the start of the process to the first {noun_of(runs)}"
    return table


def _latency(runs: Sequence[TimedRun]) -> Table:
    table = _table("front\nend", "inference", "total", "p90", "p99", "CPU", "of a\ncore")
    for run in runs:
        stages = run.stages
        table.add_row(
            _name(run),
            *(f"{step.median:.2f}" for step in (stages.front_end, stages.inference, stages.total)),
            f"{stages.total.p90:.2f}",
            f"{stages.total.p99:.2f}",
            f"{run.cpu_ms:.2f}",
            f"{run.core_share:.2%}",
        )
    table.caption = "milliseconds of a window: medians, percentiles of the total, mean CPU time"
    return table


def _accuracy(scored: Sequence[tuple[TimedRun, Any]], columns: _Columns) -> Table:
    table = _table(*columns, "same as the fp32 file")
    for run, found in scored:
        agreement = found.agreement
        table.add_row(
            _name(run),
            *(cell(found) for cell in columns.values()),
            _part(agreement.same, agreement.windows) if agreement else _DASH,
        )
    table.caption = f"on {scored[0][1].data}"
    return table


def _answers(runs: Sequence[Run]) -> Table:
    table = _table(noun_of(runs), "probability", "self-test")
    for run in runs:
        answer, deviation = run.result, run.self_test_deviation
        probability = (answer.probabilities or {}).get(answer.label)
        table.add_row(
            _name(run),
            some(answer.labels or (answer.label,), 3),
            _DASH if probability is None else f"{probability:.3f}",
            _DASH if deviation is None else f"passed, difference {deviation:.1g}",
        )
    return table


def _batches(run: TimedRun) -> Table:
    table = Table(title=f"{run.file} on {run.device}", title_justify="left")
    for name in ("windows at once", "all", "each", "windows a second"):
        table.add_column(name, justify="right")
    for row in run.batches or ():
        table.add_row(
            str(row.batch),
            f"{row.ms:.2f} ms",
            f"{row.ms / row.batch:.3f} ms",
            f"{row.windows_per_second:,.0f}",
        )
    return table


def _profile(run: TimedRun) -> Table:
    table = Table(title=f"{run.file} on {run.device}", title_justify="left")
    table.add_column("operator", overflow="fold")
    for name in ("time", "share"):
        table.add_column(name, justify="right")
    for row in run.profile or ():
        table.add_row(row.operator, f"{row.ms:.3f} ms", f"{row.share:.0%}")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE, collapse_padding=True, caption_justify="left")
    table.add_column("model", overflow="fold", min_width=12)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _name(run: Run) -> Text:
    """The file, and below it what ran it."""
    engine = run.engine.partition(" ")[0]
    device = "" if run.device == "cpu" else f" {run.device}"
    threads = "" if run.threads == 1 else f" x{run.threads}"
    return Text.assemble(run.file, (f"\n{engine}{device}{threads}", "dim"))


def _part(some: int, whole: int) -> str:
    return f"{some} of {whole}\n{some / whole:.1%}"


# Columns of each kind of accuracy.
_ACCURACIES: dict[type, _Columns] = {
    Accuracy: {
        "tracks right": lambda found: _part(found.tracks_correct, found.tracks),
        "windows right": lambda found: _part(found.windows_correct, found.windows),
    },
    LabelAccuracy: {
        "average precision": lambda found: (
            f"{found.average_precision:.3f}\n{found.low:.3f} to {found.high:.3f}"
        ),
        "tracks": lambda found: str(found.tracks),
        "labels": lambda found: str(found.labels),
    },
}


def _rounded(number: float | None) -> str:
    return _DASH if number is None else f"{number:.0f}"
