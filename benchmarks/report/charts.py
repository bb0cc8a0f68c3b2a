"""The charts of a benchmark's report: what each shows of which figures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from edge_genre.benchmarks.latency.result import BatchTime, OperatorTime, TimedRun
from edge_genre.benchmarks.report.accuracy import Scored, words_of
from edge_genre.benchmarks.report.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    NARROW,
    ORANGE,
    PAGE,
    PALE,
    PINK,
    STYLE,
    Chart,
    Row,
    Scale,
    draw_rows,
    from_zero,
    new_axes,
    new_figure,
    plain,
    tick,
    write,
)
from edge_genre.benchmarks.report.names import once, run_names
from edge_genre.benchmarks.text import counted, number, share, short, size

STAGES = {"front end": BLUE, "inference": ORANGE, "the rest": GREY}
PARTS = {"Python": GREY, "engine and model": BLUE, "working": PALE}
_LINES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PINK, "D"))
_BINS = 120  # of a histogram, across the chart
_BARS = 28  # height of a histogram
_OPERATORS = 8  # shown of a profile; the others are added up
_SHORTEST = 1e-3  # ms; a logarithmic axis has no 0
_HALF = 440  # pixels wide: two charts side by side


def latency(runs: Sequence[TimedRun]) -> Chart:
    """Histograms of the time of a window, with median, p90 and p99 below."""
    totals = [run.stages.total for run in runs]
    samples = [np.maximum(total.samples, _SHORTEST) for total in totals]
    marked = [
        [max(value, _SHORTEST) for value in (total.median, total.p90, total.p99)]
        for total in totals
    ]
    every = np.concatenate([*samples, *marked])
    scale = Scale(float(every.min()) / 1.05, float(every.max()) * 1.05, "ms", log=True)
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
        Row(
            name,
            f"{number(total.median)} ms",
            f"p90 {number(total.p90)} · p99 {number(total.p99)}",
        )
        for name, total in zip(run_names(runs), totals, strict=True)
    ]
    return draw_rows(rows, draw, scale, height=_BARS + 24)


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
    scale = from_zero([*map(sum, split), *(peak for peak in peaks if peak)], unit)

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
        rows.append(Row(name, f"{number(whole)} {unit}", details))
    return draw_rows(rows, draw, scale, height=40)


def accuracy(scored: Sequence[Scored]) -> Chart:
    """Share of tracks that are right, or average precision, with its interval: a row a file."""
    estimates = [words_of(found).estimate(found) for _, found in scored]
    low = 10 * np.floor(10 * min(estimate.low for estimate in estimates))
    high = 10 * np.ceil(10 * max(estimate.high for estimate in estimates))
    scale = Scale(float(low), float(high), "%")

    def draw(axes: Axes, index: int, top: float) -> None:
        found = estimates[index]
        ends = [100 * found.low, 100 * found.high]
        axes.plot(ends, [top + 20, top + 20], color=BLUE, lw=1.5)
        for end in ends:
            axes.plot([end, end], [top + 16, top + 24], color=BLUE, lw=1.5)
        axes.plot(100 * found.value, top + 20, "o", color=BLUE, mec=PAGE, ms=9, mew=1.5)

    rows = [
        Row(
            name,
            share(found.value),
            f"{100 * found.low:.1f} to {share(found.high)} · {size(run.bytes)}",
        )
        for name, (run, _), found in zip(
            run_names([run for run, _ in scored]), scored, estimates, strict=True
        )
    ]
    return draw_rows(rows, draw, scale, height=40)


def profile(found: Sequence[OperatorTime]) -> Chart:
    """Time by operator, longest first."""
    longest = sorted(found, key=lambda row: -row.ms)
    shown, others = longest[:_OPERATORS], longest[_OPERATORS:]
    if others:
        ms, part = sum(row.ms for row in others), sum(row.share for row in others)
        shown.append(OperatorTime(counted(len(others), "other"), ms, part))
    most = max(row.ms for row in shown) or 1.0
    rows = [Row(row.operator, f"{number(row.ms, like=most)} ms", share(row.share)) for row in shown]
    return Chart(
        _profile(rows, [row.ms / most for row in shown], _HALF),
        _profile(rows, [row.ms / most for row in shown], NARROW),
        "; ".join(map(str, rows)),
    )


def _profile(rows: Sequence[Row], parts: Sequence[float], width: float) -> Figure:
    height, right = 24, width - 124
    with mpl.rc_context(STYLE):
        figure = new_figure(width, len(rows) * height)
        axes = new_axes(figure, (130, right), len(rows) * height, Scale(0.0, 1.0, ""), 2)
        axes.set_axis_off()
        for index, (row, part) in enumerate(zip(rows, parts, strict=True)):
            middle = (index + 0.5) * height
            axes.barh(middle, part, 12, color=ORANGE)
            write(figure, 0, middle, short(plain(row.name), 17))
            write(figure, right + 72, middle, row.figure, bold=True, right=True)
            write(figure, width, middle, row.details, right=True, soft=True)
    return figure


def batches(runs: Sequence[tuple[TimedRun, Sequence[BatchTime]]]) -> list[tuple[str, Chart]]:
    """Windows a second against windows at once: a chart a file, all alike, and a line a run."""
    if not runs:
        return []
    found = [row for _, rows in runs for row in rows]
    sizes = sorted({row.batch for row in found})
    rates = np.array([row.windows_per_second for row in found])
    x = Scale(sizes[0] / 1.15, sizes[-1] * 1.15, "", log=True)
    y = Scale(float(rates.min()) / 1.3, float(rates.max()) * 1.3, "", log=True)
    files = once([run for run, _ in runs], lambda run: run.sha256)
    charts = []
    for file, name in zip(files, run_names(files), strict=True):
        alike = [(run, rows) for run, rows in runs if run.sha256 == file.sha256]
        lines = []
        for (run, rows), full in zip(alike, run_names([run for run, _ in alike]), strict=True):
            label = full.removeprefix(f"{run.file}, ") if len(alike) > 1 else run.device
            lines.append((short(plain(label), 32), sorted(rows, key=lambda row: row.batch)))
        said = [
            f"{label}: {counted(row.batch, 'window')} in {number(row.ms)} ms, "
            f"{number(row.windows_per_second)} a second"
            for label, rows in lines
            for row in (rows[0], rows[-1])
        ]
        wide, narrow = (_batches(lines, sizes, x, y, width) for width in (_HALF, NARROW))
        charts.append((name, Chart(wide, narrow, "; ".join(said))))
    return charts


def _batches(
    lines: Sequence[tuple[str, Sequence[BatchTime]]],
    sizes: Sequence[int],
    x: Scale,
    y: Scale,
    width: float,
) -> Figure:
    columns = max(1, int(width // (50 + 8 * max(len(label) for label, _ in lines))))
    above = 32 + 21 * -(-len(lines) // columns)  # of the legend, and what the values up are
    with mpl.rc_context(STYLE):
        figure = new_figure(width, above + 244)
        whole = figure.bbox.height
        axes = figure.add_axes((60 / width, 48 / whole, 1 - 68 / width, 196 / whole))
        x.apply(axes, 7)
        ticks = [float(value) for value in (sizes if len(sizes) <= 6 else sizes[::-2][::-1])]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.set_xticklabels([tick(value) for value in ticks])
        axes.set_yscale("log")
        axes.set_ylim(y.low, y.high)
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(FixedLocator(y.ticks()))
        axes.set_yticklabels([tick(value) for value in y.ticks()])
        axes.tick_params(left=False, bottom=False, labelsize=12)
        axes.grid()
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("windows at once")
        write(figure, 0, above - 12, "windows a second", soft=True)
        for index, (label, rows) in enumerate(lines):
            colour, dot = _LINES[index % len(_LINES)]
            at_once, rates = zip(
                *((row.batch, row.windows_per_second) for row in rows), strict=True
            )
            axes.plot(at_once, rates, f"{dot}-", color=colour, label=label, ms=6, lw=2)
        figure.legend(loc="upper left", ncols=columns, frameon=False, bbox_to_anchor=(0, 1.02))
    return figure
