"""A benchmark's figures on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge_genre.cli.view import facts

_DASH = "-"


def print_result(result: dict[str, Any], output: Console) -> None:
    """Print what was measured, what on, and why to doubt it.

    Parameters
    ----------
    result : as `edge_genre.benchmarks.latency.benchmark.benchmark` gives it
    """
    runs = result["runs"]
    for line in result["warnings"]:
        output.print(Text(f"WARNING: {line}", "bold red"))
    output.print(facts(_machine(result)))
    if runs[0]["stages"] is None:
        output.print(_answers(runs))
        return
    output.print(_cost(runs))
    output.print(_latency(runs))
    if runs[0]["accuracy"]:
        output.print(_accuracy(runs))
    for run in runs:
        if run["batches"]:
            output.print(_batches(run))
        if run["profile"]:
            output.print(_profile(run))


def _machine(result: dict[str, Any]) -> dict[str, str]:
    machine, before, after = (result[name] for name in ("machine", "before", "after"))
    memory = machine["memory_mb"]
    parts = [machine["board"], machine["cpu"], f"{machine['cores']} cores"]
    parts += ["a virtual machine"] if machine["virtual"] else []
    parts += [f"{memory / 1000:.1f} GB"] if memory else []
    clock = [before["governor"] or "governor unknown"]
    if before["celsius"] is not None and after["celsius"] is not None:
        clock.append(f"{before['celsius']:.0f} to {after['celsius']:.0f} °C")
    if before["load"] is not None:
        clock.append(f"{before['load']:.1f} cores busy with other work")
    given = result["input"]
    pace = "in real time" if given["paced"] else "at full speed"
    return {
        "machine": ", ".join(part for part in dict.fromkeys(parts) if part),
        "gpu": machine["accelerator"] or _DASH,
        "condition": ", ".join(clock),
        "system": f"{machine['system']}, Python {machine['python']}",
        "music": f"{given['name']}, a window every {given['hop']:.3g} s, {pace}",
    }


def _cost(runs: list[dict[str, Any]]) -> Table:
    table = _table("size", "weights", "start", "load", "first window", "memory", "at most")
    for run in runs:
        memory = run["memory_mb"]
        table.add_row(
            *_names(run),
            f"{run['bytes'] / 1000:.0f} kB",
            run["weights"] or _DASH,
            f"{run['start_ms']:.0f} ms",
            f"{run['load_ms']:.0f} ms",
            f"{run['first_window_ms']:.1f} ms",
            _megabytes(memory["resident"]),
            _megabytes(memory["peak"]),
        )
    return table


def _latency(runs: list[dict[str, Any]]) -> Table:
    table = _table("front end", "inference", "total", "p90", "p99", "CPU", "of a core")
    for run in runs:
        steps = run["stages"]
        total = steps["total"]
        table.add_row(
            *_names(run),
            *(f"{steps[name]['median']:.2f} ms" for name in ("front_end", "inference", "total")),
            f"{total['p90']:.2f} ms",
            f"{total['p99']:.2f} ms",
            f"{run['cpu_ms']:.2f} ms",
            f"{run['core_share']:.2%}",
        )
    table.caption = "of a window, medians; CPU: of all threads, mean"
    return table


def _accuracy(runs: list[dict[str, Any]]) -> Table:
    table = _table("tracks right", "windows right", "as the fp32 file")
    for run in runs:
        found = run["accuracy"]
        agreement = found["agreement"]
        table.add_row(
            *_names(run),
            _part(found["tracks_correct"], found["tracks"]),
            _part(found["windows_correct"], found["windows"]),
            _part(agreement["same"], agreement["windows"]) if agreement else _DASH,
        )
    table.caption = f"on {runs[0]['accuracy']['data']}"
    return table


def _answers(runs: list[dict[str, Any]]) -> Table:
    table = _table("genre", "probability", "self-test off by")
    for run in runs:
        found, deviation = run["result"], run["self_test_deviation"]
        probability = (found["probabilities"] or {}).get(found["label"])
        table.add_row(
            *_names(run),
            found["label"],
            _DASH if probability is None else f"{probability:.3f}",
            _DASH if deviation is None else f"{deviation:.1g}",
        )
    return table


def _batches(run: dict[str, Any]) -> Table:
    table = Table(title=f"{run['file']} on {run['device']}", title_justify="left")
    for name in ("windows at once", "all", "each", "a second"):
        table.add_column(name, justify="right")
    for row in run["batches"]:
        table.add_row(
            str(row["batch"]),
            f"{row['ms']:.2f} ms",
            f"{row['ms'] / row['batch']:.3f} ms",
            f"{row['windows_per_second']:,.0f}",
        )
    return table


def _profile(run: dict[str, Any]) -> Table:
    table = Table(title=f"{run['file']} on {run['device']}", title_justify="left")
    table.add_column("operator")
    for name in ("time", "share"):
        table.add_column(name, justify="right")
    for row in run["profile"]:
        table.add_row(row["operator"], f"{row['ms']:.3f} ms", f"{row['share']:.0%}")
    return table


def _table(*columns: str) -> Table:
    table = Table(caption_justify="left")
    table.add_column("model", overflow="fold", min_width=12)
    table.add_column("on", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _names(run: dict[str, Any]) -> tuple[Text, str]:
    engine = run["engine"].split()[0]
    device = "" if run["device"] == "cpu" else f" {run['device']}"
    threads = "" if run["threads"] == 1 else f" x{run['threads']}"
    return Text(run["file"]), f"{engine}{device}{threads}"


def _part(some: int, whole: int) -> str:
    return f"{some} of {whole} ({some / whole:.1%})"


def _megabytes(number: float | None) -> str:
    return _DASH if number is None else f"{number:.0f} MB"
