"""The charts of a benchmark's report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from edge_genre.benchmarks.accuracy.evaluation import wilson
from edge_genre.benchmarks.report.axis import Axis
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
from edge_genre.benchmarks.report.svg import Point, Row, percent, plane, rows

Run = dict[str, Any]

_BINS = 120  # of a histogram, across the chart
_BARS = 28  # height of a histogram, pixels
_OPERATORS = 8  # shown of a profile; the others are added up
_SHORTEST = 1e-3  # ms; a logarithmic axis has no 0
_MARKS = 6  # more batch sizes than that would not fit below a narrow chart
_ROOM = 1.4  # part of the batches' axis that is left for labels
_STAGES = {"front": "front end", "inference": "inference", "rest": "the rest"}
_PARTS = {"rest": "Python", "front": "engine and model", "working": "working"}


def names(runs: Sequence[Run]) -> list[str]:
    """Tell runs apart: by the file alone, or with as little more as that takes."""
    found = [str(run["file"]) for run in runs]
    for key in ("device", "engine", "threads", "weights"):
        for name in {name for name in found if found.count(name) > 1}:
            alike = [index for index, other in enumerate(found) if other == name]
            if len({runs[index][key] for index in alike}) > 1:
                for index in alike:
                    value = runs[index][key]
                    said = counted(value, "thread") if key == "threads" else value
                    found[index] = f"{name}, {said}"
    return [
        f"{name}, no. {found[: index + 1].count(name)}" if found.count(name) > 1 else name
        for index, name in enumerate(found)
    ]


def once(runs: Sequence[Run], *keys: str) -> list[Run]:
    """The first of the runs that are alike in some respects."""
    return list({tuple(run[key] for key in keys): run for run in reversed(runs)}.values())[::-1]


def latency(runs: Sequence[Run], names: Sequence[str]) -> Markup:
    """Histograms of the time of a window, with median, p90 and p99 below."""
    totals = [run["stages"]["total"] for run in runs]
    samples = [np.maximum(total["samples"], _SHORTEST) for total in totals]
    marked = [max(total[key], _SHORTEST) for total in totals for key in ("median", "p99")]
    axis = Axis.around([*np.concatenate(samples), *marked])
    content = []
    for name, total, times in zip(names, totals, samples, strict=True):
        median, p90, p99 = (total[key] for key in ("median", "p90", "p99"))
        description = f"{name}: median {number(median)} ms, p90 {number(p90)}, p99 {number(p99)}"
        marks = [*_histogram(times, axis), *_quantiles(median, p90, p99, axis)]
        details = f"p90 {number(p90)} · p99 {number(p99)}"
        content.append(Row(name, marks, f"{number(median)} ms", details, description))
    return rows(content, axis, "ms", height=_BARS + 22)


def _histogram(times: np.ndarray[Any, Any], axis: Axis) -> list[Markup]:
    counts, edges = np.histogram([axis.percent(t) for t in times], _BINS, (0, 100))
    # A single slow window is to be seen, too.
    heights = np.where(counts, np.maximum(1.5, _BARS * counts / counts.max()), 0).round(1)
    return [
        tag(
            "rect",
            x=percent(left),
            width=percent(100 / _BINS),
            y=round(4 + _BARS - height, 1),
            height=height,
            class_="samples",
        )
        for left, height in zip(edges, heights, strict=False)
        if height
    ]


def _quantiles(median: float, p90: float, p99: float, axis: Axis) -> list[Markup]:
    middle = _BARS + 13
    places = [percent(axis.percent(value)) for value in (median, p90, p99)]
    line = tag("line", class_="span", x1=places[0], x2=places[2], y1=middle, y2=middle)
    ends = [
        tag("line", class_="span", x1=at, x2=at, y1=middle - 4, y2=middle + 4) for at in places[1:]
    ]
    dot = tag("circle", class_="dot", cx=places[0], cy=middle, r=4.5)
    return [line, *ends, dot]


def stages(runs: Sequence[Run], names: Sequence[str]) -> Markup:
    """Mean time of a window by what it is spent on; means, since they add up."""
    split = []
    for run in runs:
        means = [run["stages"][key]["mean"] for key in ("front_end", "inference", "total")]
        split.append([means[0], means[1], max(0.0, means[2] - means[0] - means[1])])
    return _stacked(names, split, _STAGES, "ms")


def memory(runs: Sequence[Run], names: Sequence[str]) -> Markup:
    """Resident memory: the interpreter's, the loaded model's, what working adds; and the peak."""
    split, peaks = [], []
    for run in runs:
        levels = [run["memory_mb"][key] for key in ("python", "loaded", "resident")]
        # Memory that is handed back makes a level lower than the one before.
        tops = np.minimum.accumulate(levels[::-1])[::-1]
        split.append([float(part) for part in np.diff(tops, prepend=0)])
        peaks.append(run["memory_mb"]["peak"])
    return _stacked(names, split, _PARTS, "MB", peaks)


def _stacked(
    names: Sequence[str],
    split: Sequence[Sequence[float]],
    kinds: dict[str, str],
    unit: str,
    peaks: Sequence[float | None] = (),
) -> Markup:
    axis = Axis.from_zero([*map(sum, split), *(peak for peak in peaks if peak)])
    content = []
    for index, (name, parts) in enumerate(zip(names, split, strict=True)):
        edges = np.cumsum([0.0, *parts])
        whole = float(edges[-1])
        figures = [number(part, like=whole) for part in parts]
        said = [f"{kinds[kind]} {part} {unit}" for kind, part in zip(kinds, figures, strict=True)]
        marks = [
            tag(
                "rect",
                tag("title", text),
                x=percent(axis.percent(low)),
                width=percent(axis.percent(high) - axis.percent(low)),
                y=12,
                height=16,
                class_=f"part {kind}",
            )
            for kind, text, (low, high) in zip(kinds, said, pairwise(edges), strict=True)
        ]
        details = " + ".join(figures)
        peak = peaks[index] if peaks else None
        if peak is not None:
            at = percent(axis.percent(peak))
            title = tag("title", f"peak {number(peak)} {unit}")
            marks.append(tag("line", title, class_="peak", x1=at, x2=at, y1=8, y2=32))
            said.append(f"peak {number(peak)} {unit}")
            details = f"peak {number(peak)}"
        content.append(
            Row(name, marks, f"{number(whole)} {unit}", details, f"{name}: {', '.join(said)}")
        )
    keys = [joined([tag("i", class_=f"key {kind}"), kinds[kind], " "]) for kind in kinds]
    return joined([tag("p", *keys, class_="legend"), rows(content, axis, unit, height=40)])


def accuracy(runs: Sequence[Run]) -> Markup:
    """Size against tracks that are right, with 95 % intervals; each file once."""
    files = once(runs, "sha256")
    estimates = [wilson(r["accuracy"]["tracks_correct"], r["accuracy"]["tracks"]) for r in files]
    x = Axis.around([run["bytes"] / 1e3 for run in files], margin=1.3)
    low = 10 * np.floor(10 * min(estimate.low for estimate in estimates))
    high = 10 * np.ceil(10 * max(estimate.high for estimate in estimates))
    y = Axis(float(low), float(high))
    points, marks = [], []
    for run, name, estimate in zip(files, names(files), estimates, strict=True):
        said = f"{name}: {size(run['bytes'])}, {share(estimate.value)} of tracks right"
        points.append(Point(run["bytes"] / 1e3, 100 * estimate.value, name, said, ""))
        at = percent(x.percent(run["bytes"] / 1e3))
        ends = [percent(100 - y.percent(100 * end)) for end in (estimate.low, estimate.high)]
        marks.append(tag("line", class_="span", x1=at, x2=at, y1=ends[0], y2=ends[1]))
    return plane(points, marks, x, y, ("size of the file, kB", "tracks right, %"))


def batches(runs: Sequence[Run]) -> Markup:
    """Windows a second against windows at once: a plane a file, all alike, and a line a run."""
    found = [row for run in runs for row in run["batches"]]
    sizes = sorted({row["batch"] for row in found})
    end = sizes[-1] * (sizes[-1] / sizes[0]) ** (_ROOM - 1)
    marks = sizes if len(sizes) <= _MARKS else sizes[::-2][::-1]
    x = Axis(sizes[0] / 1.15, end * 1.15, log=True, marks=tuple(marks))
    y = Axis.around([row["windows_per_second"] for row in found], margin=1.3)
    files = once(runs, "sha256")
    planes = [
        tag("div", tag("h3", short(name)), _batches(alike, x, y))
        for file, name in zip(files, names(files), strict=True)
        if (alike := [run for run in runs if run["sha256"] == file["sha256"]])
    ]
    return tag("div", *planes, class_="pairs")


def _batches(runs: Sequence[Run], x: Axis, y: Axis) -> Markup:
    points, lines = [], []
    for index, (run, full) in enumerate(zip(runs, names(runs), strict=True)):
        name = full.removeprefix(f"{run['file']}, ") if len(runs) > 1 else str(run["device"])
        kind = f"line{index % 4}"
        rising = sorted(run["batches"], key=lambda row: row["batch"])
        for row in rising:
            rate, at_once = row["windows_per_second"], counted(row["batch"], "window")
            said = f"{name}: {at_once} in {number(row['ms'])} ms, {number(rate)} a second"
            label = name if row is rising[-1] else ""
            points.append(Point(row["batch"], rate, label, said, kind))
        ends = [
            (percent(x.percent(row["batch"])), percent(100 - y.percent(row["windows_per_second"])))
            for row in rising
        ]
        lines += [
            tag("line", class_=f"curve {kind}", x1=x1, y1=y1, x2=x2, y2=y2)
            for (x1, y1), (x2, y2) in pairwise(ends)
        ]
    return plane(points, lines, x, y, ("windows at once", "windows a second"))


def profile(run: Run) -> Markup:
    """Time by operator, longest first."""
    longest = sorted(run["profile"], key=lambda row: -row["ms"])
    shown = [(str(row["operator"]), row["ms"], row["share"]) for row in longest[:_OPERATORS]]
    others = longest[_OPERATORS:]
    if others:
        sums = [sum(row[key] for row in others) for key in ("ms", "share")]
        shown.append((counted(len(others), "other"), *sums))
    most = max(ms for _, ms, _ in shown)
    axis = Axis(0, most or 1)
    content = [
        Row(
            name,
            [tag("rect", width=percent(axis.percent(ms)), y=5, height=12, class_="inference")],
            f"{number(ms, like=most)} ms",
            share(part),
            f"{name}: {number(ms, like=most)} ms, {share(part)}",
        )
        for name, ms, part in shown
    ]
    return rows(content, height=22)
