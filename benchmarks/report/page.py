"""A benchmark's result as one HTML page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from edge_genre.benchmarks.latency.result import Result, Run, TimedRun
from edge_genre.benchmarks.report import charts, drawing
from edge_genre.benchmarks.report.accuracy import PRECISION, RIGHT, Scored, figure_of, words_of
from edge_genre.benchmarks.report.names import noun_of, once, run_names
from edge_genre.benchmarks.text import counted, number, printable, short, size, some
from edge_genre.task import plural

_MOST_LABELS = 12  # columns of probabilities

_Row = TypeVar("_Row")


@dataclass(frozen=True)
class Table:
    """Cells below the names of their columns, and beside the names of their rows.

    Parameters
    ----------
    caption : what is in it
    head : names of the columns, that of the names of rows first
    rows : a name each, and its cells
    shades : of each row's cells but the first, from 0 to 1; empty for none
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]
    shades: Sequence[Sequence[float]] = ()


@dataclass(frozen=True)
class Recognised:
    """How much of one set of labelled music is recognised.

    Parameters
    ----------
    data : its name
    chart : None for one file alone
    table : counts
    """

    data: str
    chart: drawing.Chart | None
    table: Table


@dataclass(frozen=True)
class Timings:
    """Everything that times or memory are in."""

    overview: Table
    hop: str
    latency: drawing.Chart
    stages: drawing.Chart
    memory: drawing.Chart | None
    batches: Sequence[tuple[str, drawing.Chart]]
    profiles: Sequence[tuple[str, drawing.Chart]]
    start: Table
    accuracy: Sequence[Recognised] = field(default_factory=tuple)


def html_report(result: Result) -> str:
    """Show what a benchmark found: warnings first, charts, then all there is to repeat it.

    Returns
    -------
    str
        HTML; nothing in it is loaded from elsewhere, and no text of the result is markup.
    """
    files = list(dict.fromkeys(run.file for run in result.runs))
    what = short(files[0], 60) if len(files) == 1 else f"{len(files)} model files"
    template = _environment().get_template("page.html.jinja")
    timed = result.timed
    return template.render(
        noun=noun_of(result.runs),
        nouns=plural(noun_of(result.runs)),
        title=f"{what} on {result.machine.board or result.machine.cpu}",
        result=result,
        date=result.before.time[:10],
        warned=_warned(result),
        timings=_timings(timed) if timed else None,
        legends={"stages": charts.STAGES, "memory": charts.PARTS},
        answers=_answers(result.runs),
        models=_models(result.runs),
        machine=_machine(result),
        condition=_condition(result),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("edge_genre.benchmarks.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize,
    )
    environment.filters |= {"short": short, "colour": drawing.variable}
    environment.filters["svg"] = lambda chart, narrow: Markup(chart.svg(narrow=narrow))
    return environment


def _finalize(value: Any) -> Any:
    """What is written has no characters that cannot be shown."""
    return value if isinstance(value, Markup) else printable(str(value))


def _warned(result: Result) -> str:
    """The heading of what is to be said first; empty where nothing is."""
    if result.machine.emulated:
        return "No timings: the machine is emulated"
    if not result.trusted:
        return "Do not trust these timings"
    return counted(len(result.warnings), "warning") if result.warnings else ""


def _timings(runs: Sequence[TimedRun]) -> Timings:
    names = run_names(runs)
    # Each model's is a whole number of its own frames.
    hops = sorted(run.hop for run in runs)
    return Timings(
        overview=_table("The main figures", names, _OVERVIEW, runs),
        hop=" to ".join(dict.fromkeys(f"{hop:.3g}" for hop in (hops[0], hops[-1]))),
        latency=charts.latency(runs),
        stages=charts.stages(runs),
        memory=charts.memory(runs),
        batches=charts.batches([(run, run.batches) for run in runs if run.batches]),
        profiles=[
            (name, charts.profile(run.profile))
            for run, name in zip(runs, names, strict=True)
            if run.profile
        ],
        start=_table("Times of the start", names, _start(noun_of(runs)), runs),
        accuracy=_accuracy([(run, run.accuracy) for run in runs if run.accuracy]),
    )


_OVERVIEW: dict[str, Callable[[TimedRun], str]] = {
    "window, median": lambda run: f"{number(run.stages.total.median)} ms",
    "window, p99": lambda run: f"{number(run.stages.total.p99)} ms",
    "real-time factor": lambda run: number(run.real_time_factor),
    "share of a core": lambda run: f"{number(100 * run.core_share, digits=2)} %",
    "start": lambda run: f"{number(run.start_ms)} ms",
    "memory": lambda run: _megabytes(run.memory_mb.resident),
    "file": lambda run: size(run.bytes),
    RIGHT: lambda run: figure_of(run.accuracy, RIGHT),
    PRECISION: lambda run: figure_of(run.accuracy, PRECISION),
}


def _start(noun: str) -> dict[str, Callable[[TimedRun], str]]:
    return {
        f"process to first {noun}": lambda run: f"{number(run.start_ms)} ms",
        "model loaded": lambda run: f"{number(run.load_ms)} ms",
        "self-test": lambda run: f"{number(run.self_test_ms)} ms",
        "first window": lambda run: f"{number(run.first_window_ms)} ms",
    }


def _megabytes(value: float | None) -> str:
    return "" if value is None else f"{number(value)} MB"


def _accuracy(scored: Sequence[Scored]) -> list[Recognised]:
    """A part for each set of tracks and kind of figure: different ones must not be compared."""

    def data(each: Scored) -> tuple[str, str]:
        return each[1].data, words_of(each[1]).figure

    found = []
    for (name, _), group in groupby(sorted(scored, key=data), key=data):
        rows = once(list(group), lambda each: (each[0].sha256, each[0].device))
        files = once(rows, lambda each: each[0].sha256)
        chart = charts.accuracy(files) if len(files) > 1 else None
        names = run_names([run for run, _ in rows])
        table = _table(f"Accuracy on {name}", names, words_of(rows[0][1]).columns, rows)
        found.append(Recognised(name, chart, table))
    return found


def _answers(runs: Sequence[Run]) -> list[Table]:
    """What the models say, a table for each set of labels."""
    sets: dict[tuple[str, ...], list[tuple[str, Run]]] = {}
    for name, run in zip(run_names(runs), runs, strict=True):
        labels = tuple(run.result.probabilities or {})  # none for silence
        sets.setdefault(labels, []).append((name, run))
    return [_answered(labels, alike) for labels, alike in sets.items()]


def _answered(labels: Sequence[str], runs: Sequence[tuple[str, Run]]) -> Table:
    """What models of the same labels say: of very many the most probable ones."""
    caption = f"The {noun_of([run for _, run in runs])}, and the probability of each"
    said = [run.result.probabilities or {} for _, run in runs]
    if len(labels) > _MOST_LABELS:
        caption += f" of the {_MOST_LABELS} most probable"
        most = {label: max(chances[label] for chances in said) for label in labels}
        labels = sorted(labels, key=lambda label: -most[label])[:_MOST_LABELS]
    rows, shades = [], []
    for (name, run), probabilities in zip(runs, said, strict=True):
        chances = [probabilities[label] for label in labels]
        answer = some(run.result.labels or (run.result.label,), 3)
        rows.append((name, [answer, *(f"{p:.2f}" for p in chances)]))
        shades.append([min(1.0, max(0.0, p)) for p in chances])
    return Table(caption, ["model", "answer", *labels], rows, shades)


def _operators(counts: Mapping[str, int] | None) -> str:
    return ", ".join(f"{count}\xa0{name}" for name, count in (counts or {}).items())


def _listed(*facts: str) -> str:
    return ", ".join(fact for fact in facts if fact)


def _self_test(run: Run) -> str:
    deviation = run.self_test_deviation
    return "" if deviation is None else f"passed, difference {deviation:.1g}"


_FILE: dict[str, Callable[[Run], str]] = {
    "Model": lambda run: run.model,
    "Format": lambda run: _listed(run.format, run.weights, size(run.bytes)),
    "Parameters": lambda run: "" if run.parameters is None else f"{run.parameters:,}",
    "Operators": lambda run: _operators(run.operators),
    "Slower fallback operators": lambda run: _operators(run.outside_delegate),
    "Self-test": _self_test,
    "SHA-256": lambda run: run.sha256,
}


def _models(runs: Sequence[Run]) -> list[tuple[str, dict[str, str]]]:
    """Name and facts of each file."""
    files = once(runs, lambda run: run.sha256)
    found = []
    for file, name in zip(files, run_names(files), strict=True):
        facts = {key: fact(file) for key, fact in _FILE.items()}
        ways = [_way(run) for run in runs if run.sha256 == file.sha256]
        facts["Ran on"] = "; ".join(dict.fromkeys(ways))
        found.append((name, {key: fact for key, fact in facts.items() if fact}))
    return found


def _way(run: Run) -> str:
    found = f"{run.engine}, {run.device}, {counted(run.threads, 'thread')}"
    if not isinstance(run, TimedRun):
        return found
    return f"{found} ({run.windows:,} windows, {number(run.windows_per_second)} a second)"


def _machine(result: Result) -> dict[str, str]:
    machine, audio = result.machine, result.input
    packages = [f"{name} {version}" for name, version in machine.packages.items()]
    software = [f"edge-genre {result.edge_genre}", f"Python {machine.python}", *packages]
    pace = "at the pace of a microphone" if audio.paced else "one after another"
    facts = {
        "Board": machine.board,
        "Processor": _listed(machine.cpu, "a virtual machine" if machine.virtual else ""),
        "Cores": str(machine.cores),
        "Memory": "" if machine.memory_mb is None else f"{machine.memory_mb:,} MB",
        "Accelerator": machine.accelerator,
        "System": machine.system,
        "Software": ", ".join(software),
        "Audio": f"{audio.name}, a window every {audio.hop:.3g} s, {pace}",
    }
    return {key: fact for key, fact in facts.items() if fact}


def _condition(result: Result) -> Table:
    moments = (result.before, result.after)
    rows: dict[str, list[str | None]] = {
        "time": [now.time.replace("T", " ").replace("+00:00", " UTC") for now in moments],
        "clock's governor": [now.governor for now in moments],
        "temperature": [_known(now.celsius, "{:.0f} °C") for now in moments],
        "firmware reports": [", ".join(now.throttled) or "nothing" for now in moments],
        "slowed for its heat": [_known(now.slowed, "{} times") for now in moments],
        "cores that others kept busy": [_known(now.load, "{}") for now in moments],
    }
    return Table(
        "Condition of the machine",
        ["", "before", "after"],
        [
            (name, [cell or "unknown" for cell in cells])
            for name, cells in rows.items()
            if any(cells)
        ],
    )


def _known(value: float | None, text: str) -> str | None:
    return None if value is None else text.format(value)


def _table(
    caption: str,
    names: Sequence[str],
    columns: Mapping[str, Callable[[_Row], str]],
    rows: Sequence[_Row],
) -> Table:
    """A line a run; columns that hold nothing are left out."""
    shown = {name: cells for name, of in columns.items() if any(cells := [of(row) for row in rows])}
    lines = [(name, cells) for name, *cells in zip(names, *shown.values(), strict=True)]
    return Table(caption, ["model", *shown], lines)
