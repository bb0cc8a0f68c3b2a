"""Charts as SVG in HTML, written by hand: a report needs nothing but the runtime.

Places in a chart are percentages of its box, while letters and lines are measured in pixels: a
chart fits any screen, with letters as large as the page's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_genre.benchmarks.report.axis import Axis, tick
from edge_genre.benchmarks.report.markup import Markup, short, tag

HEIGHT = 260  # of a plane, pixels
_NARROW = 270  # its width on a phone, where its labels have to find room
_LETTER, _LINE = 6.6, 15  # mean width of a label's letters and distance of its lines
_DOT = 5  # radius of a point with its rim
_END = 94  # percent; a label in the middle below a place to the right of it would reach out


def percent(value: float) -> str:
    """Write a place in a box."""
    return f"{value:.2f}%"


@dataclass(frozen=True)
class Row:
    """One of the things that a chart compares.

    Parameters
    ----------
    name : what it is
    marks : what is drawn of it, placed in percent across and in pixels down
    figure, details : what is written beside it
    description : of the drawing, for those who cannot see it
    """

    name: str
    marks: Sequence[Markup]
    figure: str
    details: str
    description: str


def rows(
    content: Sequence[Row], axis: Axis | None = None, unit: str = "", *, height: int
) -> Markup:
    """Draw things below one another, along one axis.

    Parameters
    ----------
    content : one or more
    axis : across; none where the figures beside the marks say it all
    unit : of the axis
    height : of a row, pixels
    """
    grid = _upright(axis) if axis else []
    lines = [
        tag(
            "div",
            tag("div", short(row.name), class_="name", title=row.name),
            tag("svg", *grid, *row.marks, height=height, role="img", aria_label=row.description),
            tag("div", tag("b", row.figure), tag("small", row.details), class_="figures"),
            class_="row",
        )
        for row in content
    ]
    if axis:
        lines.append(tag("div", _scale(axis, unit), class_="row"))
    return tag("div", *lines, class_="rows")


@dataclass(frozen=True)
class Point:
    """A place in a plane of two axes.

    Parameters
    ----------
    x, y : values on the axes
    label : written beside it; empty for none
    description : shown when it is pointed at
    kind : class of the dot, for its colour
    """

    x: float
    y: float
    label: str
    description: str
    kind: str


def plane(
    points: Sequence[Point], marks: Sequence[Markup], x: Axis, y: Axis, titles: tuple[str, str]
) -> Markup:
    """Draw points in a plane, with their labels.

    Parameters
    ----------
    points : to draw as dots
    marks : to draw below the dots, placed in percent
    x, y : axes
    titles : of what is across and of what is up, with units
    """
    up = [(percent(100 - y.percent(value)), value) for value in y.ticks()]
    grid = _upright(x) + [tag("line", class_="grid", y1=at, y2=at, x1=0, x2="100%") for at, _ in up]
    dots = [
        tag(
            "svg",  # a box of its own around the point, so that pixels can be counted from there
            *label,
            tag("circle", tag("title", point.description), r=_DOT - 1, class_=f"dot {point.kind}"),
            x=percent(x.percent(point.x)),
            y=percent(100 - y.percent(point.y)),
        )
        for point, label in zip(points, _labels(points, x, y), strict=True)
    ]
    left = [tag("text", tick(value), x="100%", y=at, dy="0.35em") for at, value in up]
    return tag(
        "div",
        tag("div", titles[1], class_="up"),
        tag("svg", *left, class_="left", height=HEIGHT, aria_hidden="true"),
        tag(
            "svg",
            *grid,
            *marks,
            *dots,
            class_="box",
            height=HEIGHT,
            role="group",
            aria_label=f"{titles[1]}, by {titles[0]}",
        ),
        _scale(x),
        tag("div", titles[0], class_="across"),
        class_="plane",
    )


def _upright(axis: Axis) -> list[Markup]:
    places = [percent(axis.percent(value)) for value in axis.ticks()]
    return [tag("line", class_="grid", x1=at, x2=at, y1=0, y2="100%") for at in places]


def _scale(axis: Axis, unit: str = "") -> Markup:
    """Values below a chart, the last with its unit; it does not reach out on the right."""
    labels = []
    *others, last = axis.ticks()
    for value, text in [*((v, tick(v)) for v in others), (last, f"{tick(last)} {unit}".strip())]:
        at = axis.percent(value)
        anchor = "end" if at > _END else "middle"
        labels.append(tag("text", text, x=percent(at), y=15, text_anchor=anchor))
    return tag("svg", *labels, class_="scale", height=20, aria_hidden="true")


def _labels(points: Sequence[Point], x: Axis, y: Axis) -> list[list[Markup]]:
    """A label beside its point or, where others are, above or below, with a line to it.

    What does not overlap on a narrow screen does not on a wide one, where points are farther apart.
    """
    places = [
        (x.percent(point.x) / 100 * _NARROW, (1 - y.percent(point.y) / 100) * HEIGHT)
        for point in points
    ]
    dots = [(across - _DOT, across + _DOT, down) for across, down in places]
    others: list[tuple[float, float, float]] = []
    found: list[list[Markup]] = []
    for point, (across, down) in zip(points, places, strict=True):
        if not point.label:
            found.append([])
            continue
        text = short(point.label, 24)
        length = _LETTER * len(text)
        side = 1 if across + _DOT + 3 + length <= _NARROW else -1
        start, end = sorted(across + side * (_DOT + 3 + more) for more in (0, length))
        # Where there is no room beside dots, a label may lie on one, but not on another label.
        free = (_free(down, start, end, taken) for taken in (dots + others, others))
        there = next((height for height in free if height is not None), down)
        others.append((start, end, there))
        shift, anchor = round(there - down, 1), "start" if side > 0 else "end"
        label = [tag("text", text, x=side * (_DOT + 3), y=shift, dy="0.35em", text_anchor=anchor)]
        if shift:
            label.append(tag("line", x2=side * (_DOT + 1), y2=shift, class_="lead"))
        found.append(label)
    return found


def _free(
    down: float, start: float, end: float, taken: Sequence[tuple[float, float, float]]
) -> float | None:
    """The nearest height at which nothing is between two places across."""
    near = [height for left, right, height in taken if left <= end and start <= right]
    heights = [down, *(height + line for height in near for line in (-_LINE, _LINE))]
    for there in sorted(heights, key=lambda height: abs(height - down)):
        if 0 <= there <= HEIGHT and all(abs(there - height) >= _LINE - 1e-6 for height in near):
            return there
    return None
