"""The charts of a benchmark's report, drawn by matplotlib as SVG for a page of HTML.

Each is drawn twice, for wide and for narrow screens, in pixels: letters are as large as the page's
on both. Text stays text, in the page's font, and colours become variables of the page's style,
which has them for light and dark.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from edge_genre.benchmarks.accuracy.evaluation import wilson
from edge_genre.benchmarks.latency.result import Accuracy, BatchTime, OperatorTime, TimedRun
from edge_genre.benchmarks.report.names import once, run_names
from edge_genre.benchmarks.text import counted, number, printable, share, short, size

# Of the page's style, by what they are there; blue, orange, green and pink are told apart by
# everybody, and lines also by their dots.
INK, SOFT, LINE, PAGE = "#1d1d1b", "#62615c", "#e4e3df", "#fcfcfb"
BLUE, ORANGE, GREY, PALE = "#2a74c8", "#c8591a", "#a3a19a", "#9cc2ee"
GREEN, PINK = "#2b8057", "#b2478f"
_VARIABLES = {
    INK: "ink",
    SOFT: "soft",
    LINE: "line",
    PAGE: "page",
    BLUE: "blue",
    ORANGE: "orange",
    GREY: "grey",
    PALE: "pale",
    GREEN: "green",
    PINK: "pink",
}
STAGES = {"front end": BLUE, "inference": ORANGE, "the rest": GREY}
PARTS = {"Python": GREY, "engine and model": BLUE, "working": PALE}
_LINES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PINK, "D"))
_STYLE: Any = {  # releases type the names in different ways
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 13,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.labelcolor": SOFT,
    "grid.color": LINE,
    "grid.linewidth": 1,
    "axes.axisbelow": True,
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_WIDE, _NARROW, _HALF = 900, 340, 440  # pixels
_SCALE = 30  # height of what is below an axis
_BINS = 120  # of a histogram, across the chart
_BARS = 28  # height of a histogram
_OPERATORS = 8  # shown of a profile; the others are added up
_SHORTEST = 1e-3  # ms; a logarithmic axis has no 0

Drawing = Callable[[Axes, int, float], None]  # of a row, by its number and its top


def variable(colour: str) -> str:
    """What the page's style calls a colour, such as ``--blue``."""
    return f"--{_VARIABLES[colour]}"


@dataclass(frozen=True)
class Chart:
    """A chart for two widths of screen, and for those who cannot see it.

    Parameters
    ----------
    wide, narrow : figures
    description : what it shows, in words
    """

    wide: Figure
    narrow: Figure
    description: str

    def svg(self, *, narrow: bool = False) -> str:
        """The markup of a figure: the same for the same figure, safe to stand inside HTML."""
        figure = self.narrow if narrow else self.wide
        file = io.StringIO()
        # Identifiers that clip paths and dots are found by, of this figure alone.
        salt = f"{narrow} {_plain(self.description)}"
        with mpl.rc_context(_STYLE | {"svg.hashsalt": salt}), warnings.catch_warnings():
            # The page's font has more letters than the one that widths are estimated with.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.savefig(file, format="svg", transparent=True, metadata=_NO_METADATA)
        return _for_html(file.getvalue())


def _for_html(svg: str) -> str:
    """An SVG file as an element of HTML: as large as its place, without what only files need."""
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.S)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))

    def tag(found: re.Match[str]) -> str:
        text = found[0].replace("xlink:href=", "href=")
        text = re.sub(r' id="([^"]*)"', lambda name: name[0] if name[1] in used else "", text)
        if text.startswith("<svg"):
            text = re.sub(r'\s+(xmlns|xmlns:xlink|width|height)="[^"]*"', "", text)
        for colour, name in _VARIABLES.items():
            text = text.replace(colour, f"var(--{name})")
        return text

    # Of tags alone: whatever a text has between them, ``<`` and ``>`` of it are escaped.
    return re.sub(r"\n\s*", "\n", re.sub("<[^>]*>", tag, svg)).strip()


@dataclass(frozen=True)
class _Row:
    """One of the things that a chart compares: its name, and what is written beside its marks."""

    name: str
    figure: str
    details: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(part for part in (self.figure, self.details) if part)}"


@dataclass(frozen=True)
class _Scale:
    """What is across a chart; positive values where it is logarithmic."""

    low: float
    high: float
    unit: str
    log: bool = False

    def ticks(self, most: int = 7) -> list[float]:
        """Round values, three or more where there are such."""
        if self.log:
            powers = 10.0 ** np.arange(np.floor(np.log10(self.low)), np.ceil(np.log10(self.high)))
            for factors in ((1, 1.5, 2, 3, 4, 6, 8), (1, 2, 5), (1, 3), (1,)):
                found = np.outer(powers, factors).ravel()
                found = found[(found >= self.low) & (found <= self.high)]
                if len(found) >= 3 and (len(found) <= most or factors == (1,)):
                    return [float(value) for value in found[:: -(-len(found) // most)]]
        round_values = MaxNLocator(nbins=most - 1, steps=[1, 2, 5, 10])
        slack = 1e-9 * (self.high - self.low)
        return [
            float(value)
            for value in round_values.tick_values(self.low, self.high)
            if self.low - slack <= value <= self.high + slack
        ]

    def apply(self, axes: Axes, most: int) -> None:
        axes.set_xscale("log" if self.log else "linear")
        axes.set_xlim(self.low, self.high)
        ticks = self.ticks(most)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        labels = [_tick(value) for value in ticks]
        axes.set_xticklabels([*labels[:-1], f"{labels[-1]} {self.unit}".rstrip()])


def _from_zero(values: Sequence[float], unit: str) -> _Scale:
    """A linear scale from 0 to a round value above all."""
    highest = max(values) or 1.0
    return _Scale(0.0, float(MaxNLocator(nbins=5).tick_values(0, highest)[-1]), unit)


def _tick(value: float) -> str:
    return f"{value:,.10g}"  # hides that 3 * 0.1 is not 0.3


def _rows(rows: Sequence[_Row], draw: Drawing, scale: _Scale, *, height: float) -> Chart:
    """Draw things below one another: name, marks along one scale, figures.

    Parameters
    ----------
    draw : draws a row's marks, from its top on, in pixels down and values across
    height : of the marks of a row
    """
    description = "; ".join(map(str, rows))
    with mpl.rc_context(_STYLE):
        wide = _figure(_WIDE, len(rows) * height + _SCALE)
        axes = _axes(wide, (245, 705), len(rows) * height, scale, 7)
        for index, row in enumerate(rows):
            draw(axes, index, index * height)
            middle = (index + 0.5) * height
            _text(wide, 0, middle, *_lines(row.name, 30))
            _text(wide, 730, middle, row.figure, row.details, bold=True)
        above = 42  # where there is no room beside the marks
        narrow = _figure(_NARROW, len(rows) * (height + above) + _SCALE)
        axes = _axes(narrow, (6, _NARROW - 30), len(rows) * (height + above), scale, 5)
        for index, row in enumerate(rows):
            top = index * (height + above)
            draw(axes, index, top + above)
            _text(narrow, 0, top + 16, short(_plain(row.name), 44), covers=True)
            _text(narrow, 0, top + 34, row.figure, bold=True, covers=True)
            _text(narrow, _NARROW, top + 34, row.details, right=True, soft=True, covers=True)
    return Chart(wide, narrow, description)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width / 72, height / 72), dpi=72)


def _axes(
    figure: Figure, between: tuple[float, float], height: float, scale: _Scale, ticks: int
) -> Axes:
    """Axes of a height at the top of a figure, whose values down are pixels."""
    width, whole = figure.bbox.width, figure.bbox.height
    left, right = between
    axes = figure.add_axes(
        (left / width, 1 - height / whole, (right - left) / width, height / whole)
    )
    axes.set_ylim(height, 0)
    scale.apply(axes, ticks)
    axes.yaxis.set_major_locator(NullLocator())
    axes.tick_params(axis="x", bottom=False, labelsize=12)
    axes.grid(axis="x")
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _text(
    figure: Figure,
    x: float,
    middle: float,
    *lines: str,
    bold: bool = False,
    right: bool = False,
    soft: bool = False,
    covers: bool = False,
) -> None:
    """Write lines around a height, all in pixels; the first may be bold, the others are soft.

    What covers hides the lines of a grid behind it.
    """
    lines = tuple(line for line in lines if line)
    for index, line in enumerate(lines):
        down = middle + 18 * (index - (len(lines) - 1) / 2) + 4.5
        figure.text(
            x / figure.bbox.width,
            1 - down / figure.bbox.height,
            line,
            ha="right" if right else "left",
            va="baseline",
            weight="bold" if bold and not index else "normal",
            color=SOFT if soft or (bold and index) else INK,
            bbox={"facecolor": PAGE, "edgecolor": "none", "pad": 1} if covers else None,
        )


def _plain(text: str) -> str:
    return " ".join(printable(text).split())


def _lines(name: str, length: int) -> list[str]:
    """A name in one line, or in two where it is long: the file, and what tells it apart."""
    name = _plain(name)
    if len(name) <= length:
        return [name]
    file, comma, others = name.partition(", ")
    return [short(file + comma.strip(), length), *([short(others, length)] if others else [])]


def latency(runs: Sequence[TimedRun]) -> Chart:
    """Histograms of the time of a window, with median, p90 and p99 below."""
    totals = [run.stages.total for run in runs]
    samples = [np.maximum(total.samples, _SHORTEST) for total in totals]
    marked = [
        [max(value, _SHORTEST) for value in (total.median, total.p90, total.p99)]
        for total in totals
    ]
    every = np.concatenate([*samples, *marked])
    scale = _Scale(float(every.min()) / 1.05, float(every.max()) * 1.05, "ms", log=True)
    edges = np.geomspace(scale.low, scale.high, _BINS + 1)

    def draw(axes: Axes, index: int, top: float) -> None:
        median, p90, p99 = marked[index]
        base, middle = top + 4 + _BARS, top + _BARS + 13
        counts, _ = np.histogram(samples[index], edges)
        # A single slow window is to be seen, too.
        heights = np.where(counts, np.maximum(1.5, _BARS * counts / max(1, counts.max())), 0)
        axes.stairs(base - heights, edges, baseline=base, fill=True, color=BLUE, alpha=0.5, lw=0)
        axes.plot([median, p99], [middle, middle], color=BLUE, lw=1.5)
        for value in (p90, p99):
            axes.plot([value, value], [middle - 4, middle + 4], color=BLUE, lw=1.5)
        axes.plot(median, middle, "o", color=BLUE, mec=PAGE, ms=9, mew=1.5, clip_on=False)

    rows = [
        _Row(
            name,
            f"{number(total.median)} ms",
            f"p90 {number(total.p90)} · p99 {number(total.p99)}",
        )
        for name, total in zip(run_names(runs), totals, strict=True)
    ]
    return _rows(rows, draw, scale, height=_BARS + 24)


def stages(runs: Sequence[TimedRun]) -> Chart:
    """Mean time of a window by what it is spent on; means, since they add up."""
    split = []
    for run in runs:
        front_end, inference = run.stages.front_end.mean, run.stages.inference.mean
        rest = max(0.0, run.stages.total.mean - front_end - inference)
        split.append([front_end, inference, rest])
    return _stacked(run_names(runs), split, STAGES, "ms")


def memory(runs: Sequence[TimedRun]) -> Chart | None:
    """Resident memory: the interpreter's, the loaded model's, what working adds; and the peak.

    None where the system said nothing of it.
    """
    known, split, peaks = [], [], []
    for run, name in zip(runs, run_names(runs), strict=True):
        found = run.memory_mb
        if found.python is None or found.loaded is None or found.resident is None:
            continue
        # Memory that is handed back makes a level lower than the one before.
        tops = np.minimum.accumulate([found.resident, found.loaded, found.python])[::-1]
        split.append([float(part) for part in np.diff(tops, prepend=0)])
        peaks.append(found.peak)
        known.append(name)
    return _stacked(known, split, PARTS, "MB", peaks) if known else None


def _stacked(
    names: Sequence[str],
    split: Sequence[Sequence[float]],
    colours: dict[str, str],
    unit: str,
    peaks: Sequence[float | None] = (),
) -> Chart:
    scale = _from_zero([*map(sum, split), *(peak for peak in peaks if peak)], unit)

    def draw(axes: Axes, index: int, top: float) -> None:
        edges = np.cumsum([0.0, *split[index]])
        for (low, high), colour in zip(pairwise(edges), colours.values(), strict=True):
            axes.barh(top + 20, high - low, 16, low, color=colour, edgecolor=PAGE, lw=1)
        if peaks and (peak := peaks[index]) is not None:
            axes.plot([peak, peak], [top + 8, top + 32], color=INK, lw=1.5)

    rows = []
    for index, (name, parts) in enumerate(zip(names, split, strict=True)):
        whole = sum(parts)
        figures = [number(part, like=whole) for part in parts]
        details = " + ".join(figures)
        if peaks and (peak := peaks[index]) is not None:
            details = f"peak {number(peak)}"
        rows.append(_Row(name, f"{number(whole)} {unit}", details))
    return _rows(rows, draw, scale, height=40)


def accuracy(scored: Sequence[tuple[TimedRun, Accuracy]]) -> Chart:
    """Share of tracks that are right, with its interval: a row a file."""
    estimates = [wilson(found.tracks_correct, found.tracks) for _, found in scored]
    low = 10 * np.floor(10 * min(estimate.low for estimate in estimates))
    high = 10 * np.ceil(10 * max(estimate.high for estimate in estimates))
    scale = _Scale(float(low), float(high), "%")

    def draw(axes: Axes, index: int, top: float) -> None:
        found = estimates[index]
        ends = [100 * found.low, 100 * found.high]
        axes.plot(ends, [top + 20, top + 20], color=BLUE, lw=1.5)
        for end in ends:
            axes.plot([end, end], [top + 16, top + 24], color=BLUE, lw=1.5)
        axes.plot(100 * found.value, top + 20, "o", color=BLUE, mec=PAGE, ms=9, mew=1.5)

    rows = [
        _Row(
            name,
            share(found.value),
            f"{100 * found.low:.1f} to {share(found.high)} · {size(run.bytes)}",
        )
        for name, (run, _), found in zip(
            run_names([run for run, _ in scored]), scored, estimates, strict=True
        )
    ]
    return _rows(rows, draw, scale, height=40)


def profile(found: Sequence[OperatorTime]) -> Chart:
    """Time by operator, longest first."""
    longest = sorted(found, key=lambda row: -row.ms)
    shown, others = longest[:_OPERATORS], longest[_OPERATORS:]
    if others:
        ms, part = sum(row.ms for row in others), sum(row.share for row in others)
        shown.append(OperatorTime(counted(len(others), "other"), ms, part))
    most = max(row.ms for row in shown) or 1.0
    rows = [
        _Row(row.operator, f"{number(row.ms, like=most)} ms", share(row.share)) for row in shown
    ]
    return Chart(
        _profile(rows, [row.ms / most for row in shown], _HALF),
        _profile(rows, [row.ms / most for row in shown], _NARROW),
        "; ".join(map(str, rows)),
    )


def _profile(rows: Sequence[_Row], parts: Sequence[float], width: float) -> Figure:
    height, right = 24, width - 124
    with mpl.rc_context(_STYLE):
        figure = _figure(width, len(rows) * height)
        axes = _axes(figure, (130, right), len(rows) * height, _Scale(0.0, 1.0, ""), 2)
        axes.set_axis_off()
        for index, (row, part) in enumerate(zip(rows, parts, strict=True)):
            middle = (index + 0.5) * height
            axes.barh(middle, part, 12, color=ORANGE)
            _text(figure, 0, middle, short(_plain(row.name), 17))
            _text(figure, right + 72, middle, row.figure, bold=True, right=True)
            _text(figure, width, middle, row.details, right=True, soft=True)
    return figure


def batches(runs: Sequence[tuple[TimedRun, Sequence[BatchTime]]]) -> list[tuple[str, Chart]]:
    """Windows a second against windows at once: a chart a file, all alike, and a line a run."""
    if not runs:
        return []
    found = [row for _, rows in runs for row in rows]
    sizes = sorted({row.batch for row in found})
    rates = np.array([row.windows_per_second for row in found])
    x = _Scale(sizes[0] / 1.15, sizes[-1] * 1.15, "", log=True)
    y = _Scale(float(rates.min()) / 1.3, float(rates.max()) * 1.3, "", log=True)
    files = once([run for run, _ in runs], lambda run: run.sha256)
    charts = []
    for file, name in zip(files, run_names(files), strict=True):
        alike = [(run, rows) for run, rows in runs if run.sha256 == file.sha256]
        lines = []
        for (run, rows), full in zip(alike, run_names([run for run, _ in alike]), strict=True):
            label = full.removeprefix(f"{run.file}, ") if len(alike) > 1 else run.device
            lines.append((short(_plain(label), 32), sorted(rows, key=lambda row: row.batch)))
        said = [
            f"{label}: {counted(row.batch, 'window')} in {number(row.ms)} ms, "
            f"{number(row.windows_per_second)} a second"
            for label, rows in lines
            for row in (rows[0], rows[-1])
        ]
        wide, narrow = (_batches(lines, sizes, x, y, width) for width in (_HALF, _NARROW))
        charts.append((name, Chart(wide, narrow, "; ".join(said))))
    return charts


def _batches(
    lines: Sequence[tuple[str, Sequence[BatchTime]]],
    sizes: Sequence[int],
    x: _Scale,
    y: _Scale,
    width: float,
) -> Figure:
    columns = max(1, int(width // (50 + 8 * max(len(label) for label, _ in lines))))
    above = 32 + 21 * -(-len(lines) // columns)  # of the legend, and what the values up are
    with mpl.rc_context(_STYLE):
        figure = _figure(width, above + 244)
        whole = figure.bbox.height
        axes = figure.add_axes((60 / width, 48 / whole, 1 - 68 / width, 196 / whole))
        x.apply(axes, 7)
        ticks = [float(value) for value in (sizes if len(sizes) <= 6 else sizes[::-2][::-1])]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.set_xticklabels([_tick(value) for value in ticks])
        axes.set_yscale("log")
        axes.set_ylim(y.low, y.high)
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(FixedLocator(y.ticks()))
        axes.set_yticklabels([_tick(value) for value in y.ticks()])
        axes.tick_params(left=False, bottom=False, labelsize=12)
        axes.grid()
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("windows at once")
        _text(figure, 0, above - 12, "windows a second", soft=True)
        for index, (label, rows) in enumerate(lines):
            colour, dot = _LINES[index % len(_LINES)]
            at_once, rates = zip(
                *((row.batch, row.windows_per_second) for row in rows), strict=True
            )
            axes.plot(at_once, rates, f"{dot}-", color=colour, label=label, ms=6, lw=2)
        figure.legend(loc="upper left", ncols=columns, frameon=False, bbox_to_anchor=(0, 1.02))
    return figure
