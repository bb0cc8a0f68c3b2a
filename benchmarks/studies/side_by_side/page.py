"""A comparison as Markdown: goals first, then all figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge_genre.benchmarks.markdown import table
from edge_genre.benchmarks.studies.side_by_side.findings import (
    FIVE_CHANNEL,
    SAME,
    SONGNET,
    TINY,
    YAMNET,
    Pipeline,
    Report,
    Streamed,
)
from edge_genre.model.bundled import DEFAULT

PART = "side by side"  # of the page
PLOTS = {
    "streaming.png": "CPU time of a window, streaming",
    "memory.png": "Resident memory while listening",
    "start.png": "Time from process start to first answer",
    "formats.png": "Size and time of songnet-gtzan in every format and engine",
}
_INSTALLATIONS = {
    "edge-genre": "edge-genre",
    "smallest": "edge-genre, smallest installation",
    FIVE_CHANNEL: "librosa and PyTorch",
    SONGNET: "librosa and TensorFlow",
}


@dataclass(frozen=True)
class Goal:
    """One of the project's goals, and what became of it.

    Parameters
    ----------
    what : is measured
    goal : in words
    found : what was measured, by contender of ours, and whether that is enough
    """

    what: str
    goal: str
    found: dict[str, tuple[str, bool]]


def goals(report: Report) -> list[Goal]:
    """Hold a report against the goals; see `comparison.compare`."""
    published, *ours = report.five_channel
    rows = {row.name: row for row in ours if row.name in (SAME, DEFAULT, TINY)}

    def of(figure: Callable[[Pipeline], float]) -> tuple[float, dict[str, float]]:
        return figure(published), {name: figure(row) for name, row in rows.items()}

    found = [
        _times("CPU time of a 3 s window, streaming", 20, "ms", of(lambda row: row.stream.cpu)),
        _times("CPU time of a 3 s window, whole WAV files", 8, "ms", of(lambda row: row.wav.cpu)),
        _times("process start to first answer", 20, "s", of(lambda row: row.start.wall), most=1),
        _memory(published, rows),
    ]
    if report.installed:
        theirs = report.installed[FIVE_CHANNEL].bytes
        sizes = {}
        for name in ("edge-genre", "smallest"):
            if name in report.installed:
                own = report.installed[name].bytes
                text = f"{theirs / own:.1f}x ({theirs / 1e6:.0f} / {own / 1e6:.0f} MB)"
                sizes[_INSTALLATIONS[name]] = text, theirs >= 15 * own
        found.append(Goal("installed size", "15x less", sizes))
    found += _against_yamnet(report.yamnet)
    values = {}
    for row in report.litert_benchmark:
        more = row.ratio - 1
        values[row.name] = f"{more:+.0%}", abs(more) <= 0.15
    found.append(Goal("inference, against `litert-benchmark`", "within 15 %", values))
    return found


def _times(
    what: str,
    goal: float,
    unit: str,
    figures: tuple[float, dict[str, float]],
    most: float | None = None,
) -> Goal:
    """A figure of the published pipeline, and of ours by name, which is to be so many times less.

    Parameters
    ----------
    most : that ours may be in any case
    """
    theirs, ours = figures
    values = {}
    for name, own in ours.items():
        enough = theirs >= goal * own and (most is None or own < most)
        values[name] = f"{theirs / own:.1f}x ({theirs:.3g} / {own:.3g} {unit})", enough
    below = "" if most is None else f", under {most:g} {unit}"
    return Goal(what, f"{goal:g}x less{below}", values)


def _memory(published: Pipeline, rows: Mapping[str, Pipeline]) -> Goal:
    theirs = published.resident
    values = {}
    for name, row in rows.items():
        own = row.resident
        text = f"{theirs / own:.1f}x ({theirs:.0f} / {own:.0f} MB)"
        values[name] = text, theirs >= 5 * own and own < 110
    return Goal("resident memory while listening", "5x less, under 110 MB", values)


def _against_yamnet(rows: Sequence[Streamed]) -> list[Goal]:
    yamnet = next(row for row in rows if row.name == YAMNET)
    own = next(row for row in rows if row.name.startswith(DEFAULT))
    cost, size = yamnet.cpu_per_second, yamnet.bytes / own.bytes
    return [
        Goal(
            f"CPU time per second of audio, windows every half second, against {YAMNET}",
            "less",
            {
                DEFAULT: (
                    f"{cost / own.cpu_per_second:.1f}x ({cost:.3g} / {own.cpu_per_second:.3g} ms)",
                    own.cpu_per_second < cost,
                )
            },
        ),
        Goal(f"size of the model file, against {YAMNET}", "10x less", {DEFAULT: _size(size)}),
    ]


def _size(ratio: float) -> tuple[str, bool]:
    return f"{ratio:.1f}x", ratio >= 10


def page(report: Report, plots: str | None) -> str:
    """Write a report.

    Parameters
    ----------
    report : see `edge_genre.benchmarks.studies.side_by_side.comparison.compare`
    plots : where its pictures are, as a link; None without them
    """
    images = []
    if plots is not None:
        images = [f"![{text}]({plots}/{name})" for name, text in PLOTS.items()]
    parts = [
        _machine(report),
        *(f"> **Not to be trusted:** {warning}." for warning in report.warnings),
        _goals(report),
        *images[:3],
        _pipelines(report, FIVE_CHANNEL),
        _agreement(report),
        _pipelines(report, SONGNET),
        _yamnet(report),
        _formats(report),
        *images[3:],
        _litert_benchmark(report),
        _installed(report),
    ]
    return "\n\n".join(part for part in parts if part)


def _machine(report: Report) -> str:
    machine, plan = report.machine, report.plan
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    name = machine.board or machine.cpu
    virtual = " (virtual)" if machine.virtual else ""
    return (
        f"{name}, {machine.cores} cores{virtual}, {machine.system}, "
        f"Python {machine.python}, {packages}; {machine.time[:10]}; one thread, medians of "
        f"{plan.rounds} rounds and {plan.starts} starts."
    )


def _goals(report: Report) -> str:
    rows = []
    for goal in goals(report):
        what, wanted = goal.what, goal.goal
        for name, (text, enough) in goal.found.items():
            rows.append([what, wanted, name, text, "yes" if enough else "**no**"])
            what = wanted = ""
    return table(["", "goal", "of", "found", "reached"], rows, left=5)


def _pipelines(report: Report, kind: str) -> str:
    suffix = report.music.songs[0].rpartition(".")[2]
    rows = []
    for row in report.pipelines[kind]:
        rows.append(
            [
                row.name,
                row.engine,
                f"{row.hop:.2f} s",
                *(f"{cost.cpu:.2f}" for cost in (row.stream, row.wav, row.song)),
                _start(row),
                f"{row.resident:.0f} MB",
                f"{row.bytes / 1000:.0f} kB",
            ]
        )
    seconds = report.pipelines[kind][0].window
    title = {FIVE_CHANNEL: "Five-channel CNN", SONGNET: "SongNet"}[kind]
    head = ["", "engine", "hop", "streaming, ms", "WAV, ms", f"{suffix}, ms", "start", "resident"]
    written = table([*head, "model"], rows, left=2)
    return f"### {title}: windows of {seconds:g} s\n{written}"


def _start(row: Pipeline) -> str:
    text = f"{row.start.wall:.2f} s"
    if row.start_api:
        text += f" (Python {row.start_api.wall:.2f} s)"
    return text


def _agreement(report: Report) -> str:
    found = report.agreement
    return (
        f"The published pipeline and its network converted give the same genre for "
        f"{found.same} of {found.windows} windows of {report.music.clips}."
    )


def _yamnet(report: Report) -> str:
    rows = [
        [
            row.name.partition(",")[0],
            f"{row.window:g} s",
            f"{row.hop:.3g} s",
            f"{row.stream.cpu:.2f}",
            f"{row.cpu_per_second:.2f}",
            f"{row.bytes / 1000:.0f} kB",
        ]
        for row in report.yamnet
    ]
    head = ["", "window", "hop", "a window, ms", "a second of audio, ms", "model"]
    return f"### {YAMNET}\n{table(head, rows, left=1)}"


def _formats(report: Report) -> str:
    rows = []
    for row in report.formats:
        parity = None if row.bundled else row.parity
        same = f"{parity['top1_agreement']:.1%}" if parity else ""
        beyond = ", beyond the gate" if parity and parity["gate"] != "passed" else ""
        rows.append(
            [
                f"{row.format}, as bundled" if row.bundled else row.format,
                row.weights,
                row.engine,
                f"{row.bytes / 1000:.0f} kB",
                f"{row.inference.cpu:.2f}",
                f"{row.inference.wall:.2f}",
                "" if row.memory.resident is None else f"{row.memory.resident:.0f} MB",
                same + beyond,
            ]
        )
    head = ["format", "weights", "engine", "size", "CPU, ms", "wall, ms", "resident"]
    written = table([*head, "same genre"], rows, left=3)
    return f"### One model, every format and engine\n{written}"


def _litert_benchmark(report: Report) -> str:
    rows = [
        [
            row.name,
            f"{row.ours:.2f}",
            f"{row.theirs:.2f}",
            f"{row.ratio:.2f}",
        ]
        for row in report.litert_benchmark
    ]
    head = ["", "ours, ms", "`litert-benchmark`, ms", "ratio"]
    return f"### LiteRT's own benchmark\n{table(head, rows, left=1)}"


def _installed(report: Report) -> str:
    if not report.installed:
        return ""
    rows = [
        [
            _INSTALLATIONS[key],
            f"{found.bytes / 1e6:.0f} MB",
            ", ".join(f"{name} {size / 1e6:.0f}" for name, size in found.largest.items()),
        ]
        for key, found in report.installed.items()
    ]
    torch = report.installed[FIVE_CHANNEL].versions["torch"]
    written = table(["", "installed", "largest packages, MB"], rows, left=1)
    return f"### Installed size\n{written}\n\nPyTorch is {torch}."
