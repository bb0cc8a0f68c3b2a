"""A benchmark's result as one HTML page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from edge_genre.benchmarks.accuracy.evaluation import wilson
from edge_genre.benchmarks.report import plots
from edge_genre.benchmarks.report.markup import (
    Markup,
    counted,
    joined,
    number,
    share,
    short,
    size,
    tag,
)
from edge_genre.benchmarks.report.style import STYLE

Run = dict[str, Any]


def html_report(result: dict[str, Any]) -> str:
    """Show what a benchmark found: warnings first, charts, then all there is to repeat it.

    Parameters
    ----------
    result : what ``edge-genre benchmark --json`` prints

    Returns
    -------
    str
        HTML; nothing in it is loaded from elsewhere.
    """
    runs, machine = result["runs"], result["machine"]
    files = list(dict.fromkeys(str(run["file"]) for run in runs))
    what = short(files[0], 60) if len(files) == 1 else f"{len(files)} model files"
    title = f"{what} on {machine['board'] or machine['cpu']}"
    date = str(result["before"]["time"])[:10]
    body = [
        tag(
            "header",
            tag("p", "edge-genre benchmark", class_="brand"),
            tag("h1", title),
            tag("p", date, " · ", tag("code", str(result["command"]))),
        ),
        _warnings(result),
        *_timings([run for run in runs if run["stages"]]),
        *_accuracy([run for run in runs if run.get("accuracy")]),
        _answers(runs, result["input"]),
        _models(runs),
        _machine(result),
    ]
    head = joined(
        [
            Markup('<meta charset="utf-8">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            tag("title", title),
            tag("style", Markup(STYLE)),
        ]
    )
    page = tag("html", tag("head", head), tag("body", tag("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _warnings(result: Mapping[str, Any]) -> Markup:
    emulated, warnings = result["machine"]["emulated"], result["warnings"]
    said = []
    if emulated:
        heading = "No timings: the machine is emulated"
        said = [
            tag(
                "p",
                "Another processor plays this one, and times on it say nothing of the real one. "
                "What the models answer is real, and is all that this page shows.",
            )
        ]
    elif not result["trusted"]:
        heading = "Do not trust these timings"
    else:
        heading = counted(len(warnings), "warning")
    if warnings:
        said.append(tag("ul", *(tag("li", str(line)) for line in warnings)))
    elif result["trusted"]:
        return Markup()
    return tag("section", tag("h2", heading), *said, class_="warnings", role="alert")


def _timings(runs: Sequence[Run]) -> list[Markup]:
    """Everything that times or memory are in; nothing where nothing was timed."""
    if not runs:
        return []
    names = plots.names(runs)
    # Each model's is a whole number of its own frames.
    hops = sorted(run["hop"] for run in runs)
    hop = " to ".join(dict.fromkeys(f"{hop:.3g}" for hop in (hops[0], hops[-1])))
    known = [i for i, run in enumerate(runs) if None not in run["memory_mb"].values()]
    batched = [run for run in runs if run["batches"]]
    profiles = [
        tag("div", tag("h3", short(name)), plots.profile(run))
        for run, name in zip(runs, names, strict=True)
        if run["profile"]
    ]
    found = [
        _overview(runs, names),
        _section(
            "Time of a window",
            f"{hop} s of new audio in, a genre out. Bars: how many windows took so long. "
            "Dot: median; ticks: 90th and 99th percentile. The scale is logarithmic.",
            plots.latency(runs, names),
        ),
        _section(
            "Where the time goes", "Means: unlike medians, they add up.", plots.stages(runs, names)
        ),
    ]
    if known:
        note = "While windows come in. Mark: the peak since the start."
        chart = plots.memory([runs[i] for i in known], [names[i] for i in known])
        found.append(_section("Resident memory", note, chart))
    if batched:
        note = "Inference alone, the way to the device and back included. Both scales logarithmic."
        found.append(_section("Many windows at once", note, plots.batches(batched)))
    if profiles:
        note = "Inference of one window, as the engine's own profiler counts it."
        found.append(_section("Time by operator", note, tag("div", *profiles, class_="pairs")))
    found.append(_start(runs, names))
    return found


_OVERVIEW: dict[str, Callable[[Run], str]] = {
    "window, median": lambda run: _unit(run["stages"]["total"]["median"], "ms"),
    "window, p99": lambda run: _unit(run["stages"]["total"]["p99"], "ms"),
    "real-time factor": lambda run: number(run["real_time_factor"]),
    "share of a core": lambda run: f"{number(100 * run['core_share'], digits=2)} %",
    "start": lambda run: _unit(run["start_ms"], "ms"),
    "memory": lambda run: _unit(run["memory_mb"]["resident"], "MB"),
    "file": lambda run: size(run["bytes"]),
    "tracks right": lambda run: _right(run["accuracy"]) if run["accuracy"] else "",
}


def _overview(runs: Sequence[Run], names: Sequence[str]) -> Markup:
    """The main figures: large for one run, as a table for more."""
    if len(runs) > 1:
        return _section("Overview", "", _table(names, _OVERVIEW, runs))
    pairs = [
        tag("div", tag("dt", name), tag("dd", text))
        for name, figure in _OVERVIEW.items()
        if (text := figure(runs[0]))
    ]
    return tag("dl", *pairs, class_="tiles")


_START: dict[str, Callable[[Run], str]] = {
    "process to first genre": lambda run: _unit(run["start_ms"], "ms"),
    "model loaded": lambda run: _unit(run["load_ms"], "ms"),
    "self-test": lambda run: _unit(run["self_test_ms"], "ms"),
    "first window": lambda run: _unit(run["first_window_ms"], "ms"),
}


def _unit(value: float | None, unit: str) -> str:
    """A figure, or nothing where it is unknown."""
    return "" if value is None else f"{number(value)} {unit}"


def _start(runs: Sequence[Run], names: Sequence[str]) -> Markup:
    note = "The first window is computed whole; later ones reuse what they share with it."
    return _section("Start", note, _table(names, _START, runs))


def _accuracy(runs: Sequence[Run]) -> list[Markup]:
    """A section for each set of tracks: figures of different ones must not be compared."""

    def data(run: Run) -> str:
        return str(run["accuracy"]["data"])

    sections = []
    for name, group in groupby(sorted(runs, key=data), key=data):
        alike = plots.once(list(group), "sha256", "device")
        content = [_table(plots.names(alike), _ACCURACY, alike)]
        if len(plots.once(alike, "sha256")) > 1:
            content.insert(0, plots.accuracy(alike))
        sections.append(_section(f"Accuracy on {name}", _ACCURACY_NOTE, *content))
    return sections


def _right(accuracy: Mapping[str, Any], what: str = "tracks") -> str:
    return share(accuracy[f"{what}_correct"] / accuracy[what])


def _counts(run: Run, what: str) -> str:
    found = run["accuracy"]
    counts = f"{found[f'{what}_correct']:,} of {found[what]:,}"
    return f"{counts} ({_right(found, what)})"


def _interval(run: Run) -> str:
    estimate = wilson(run["accuracy"]["tracks_correct"], run["accuracy"]["tracks"])
    return f"{100 * estimate.low:.1f} to {share(estimate.high)}"


def _agreement(run: Run) -> str:
    found = run["accuracy"]["agreement"]
    return share(found["same"] / found["windows"]) if found else ""


_ACCURACY_NOTE = (
    "Intervals, of tracks, hold the true share in 95 of 100 cases. Same as in fp32: windows that "
    "the file of the same name with weights of 32 bits gives the same genre."
)
_ACCURACY: dict[str, Callable[[Run], str]] = {
    "size": lambda run: size(run["bytes"]),
    "tracks right": lambda run: _counts(run, "tracks"),
    "interval": _interval,
    "windows right": lambda run: _counts(run, "windows"),
    "same as in fp32": _agreement,
}


def _answers(runs: Sequence[Run], audio: Mapping[str, Any]) -> Markup:
    """What the models say, a table for each set of genres."""
    tables = []
    said = [run["result"]["probabilities"] or {} for run in runs]  # none for silence
    for genres in dict.fromkeys(map(tuple, said)):
        lines = [
            tag(
                "tr",
                tag("td", short(name), title=name),
                tag("td", str(run["result"]["label"])),
                *(tag("td", f"{p:.2f}", style=f"--p:{p:.2f}") for p in chances.values()),
            )
            for run, name, chances in zip(runs, plots.names(runs), said, strict=True)
            if tuple(chances) == genres
        ]
        head = tag("tr", *(tag("th", cell) for cell in ("", "answer", *map(str, genres))))
        table = tag("table", tag("thead", head), tag("tbody", *lines), class_="chances")
        tables.append(tag("div", table, class_="wide"))
    note = f"Probabilities of the genres for {audio['name']}."
    return _section("What the models say", note, *tables)


def _operators(counts: Mapping[str, int] | None) -> str:
    return ", ".join(f"{count}\xa0{name}" for name, count in (counts or {}).items())


def _listed(*facts: str) -> str:
    return ", ".join(fact for fact in facts if fact)


def _self_test(run: Run) -> str:
    deviation = run["self_test_deviation"]
    return "" if deviation is None else f"off by {deviation:.1g}"


_MODELS: dict[str, Callable[[Run], str]] = {
    "Model": lambda run: str(run["model"]),
    "Format": lambda run: _listed(run["format"], run["weights"], size(run["bytes"])),
    "Parameters": lambda run: "" if run["parameters"] is None else f"{run['parameters']:,}",
    "Operators": lambda run: _operators(run["operators"]),
    "Outside the delegate": lambda run: _operators(run["outside_delegate"]),
    "Self-test": _self_test,
    "SHA-256": lambda run: str(run["sha256"]),
}


def _models(runs: Sequence[Run]) -> Markup:
    files = plots.once(runs, "sha256")
    content = []
    for file, name in zip(files, plots.names(files), strict=True):
        facts = {key: fact(file) for key, fact in _MODELS.items()}
        ways = [_way(run) for run in runs if run["sha256"] == file["sha256"]]
        facts["Ran on"] = "; ".join(dict.fromkeys(ways))
        content.append(tag("div", tag("h3", name), _facts(facts)))
    return _section("Models", "", tag("div", *content, class_="pairs"))


def _way(run: Run) -> str:
    found = f"{run['engine']}, {run['device']}, {counted(run['threads'], 'thread')}"
    if not run["stages"]:
        return found
    rate = number(run["windows_per_second"])
    return f"{found} ({run['windows']:,} windows, {rate} a second)"


def _machine(result: Mapping[str, Any]) -> Markup:
    machine, audio = result["machine"], result["input"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    pace = "at the pace of a microphone" if audio["paced"] else "one after another"
    facts = {
        "Board": machine["board"],
        "Processor": _listed(machine["cpu"], "a virtual machine" if machine["virtual"] else ""),
        "Cores": str(machine["cores"]),
        "Memory": "" if machine["memory_mb"] is None else f"{machine['memory_mb']:,} MB",
        "Accelerator": machine["accelerator"],
        "System": machine["system"],
        "Software": f"edge-genre {result['edge_genre']}, Python {machine['python']}, {packages}",
        "Audio": f"{audio['name']}, a window every {audio['hop']:.3g} s, {pace}",
    }
    conditions = {
        "time": "time",
        "governor": "clock's governor",
        "celsius": "temperature",
        "throttled": "firmware reports",
        "slowed": "slowed for its heat",
        "load": "cores that others kept busy",
    }
    moments = result["before"], result["after"]
    lines = [
        tag("tr", tag("td", name), *(tag("td", _condition(key, moment[key])) for moment in moments))
        for key, name in conditions.items()
        if any(moment[key] is not None for moment in moments)
    ]
    head = tag("tr", *(tag("th", cell) for cell in ("", "before", "after")))
    condition = tag("table", tag("thead", head), tag("tbody", *lines), class_="words")
    return _section("Machine", "", _facts(facts), tag("h3", "Its condition"), condition)


def _condition(key: str, value: Any) -> str:
    if value is None:
        return "unknown"
    if key == "time":
        return str(value).replace("T", " ").replace("+00:00", " UTC")
    if key == "celsius":
        return f"{value:.0f} °C"
    if key == "throttled":
        return ", ".join(value) or "nothing"
    if key == "slowed":
        return counted(value, "time")
    return str(value)


def _section(heading: str, note: str, *content: Markup) -> Markup:
    about = [tag("p", note, class_="note")] if note else []
    return tag("section", tag("h2", heading), *about, *content)


def _table(
    names: Sequence[str],
    columns: Mapping[str, Callable[[Run], str]],
    runs: Sequence[Run],
) -> Markup:
    """A line a run; columns that hold nothing are left out."""
    shown = {name: cells for name, of in columns.items() if any(cells := [of(run) for run in runs])}
    head = tag("tr", *(tag("th", cell) for cell in ("", *shown)))
    lines = [
        tag("tr", tag("td", short(name), title=name), *(tag("td", cell) for cell in cells))
        for name, *cells in zip(names, *shown.values(), strict=True)
    ]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *lines)), class_="wide")


def _facts(facts: Mapping[str, str]) -> Markup:
    lines = [tag("tr", tag("td", key), tag("td", str(v))) for key, v in facts.items() if v]
    return tag("table", tag("tbody", *lines), class_="words")
