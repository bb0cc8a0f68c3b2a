"""How the charts of a report are drawn: colours, axes and rows, as SVG for a page of HTML.

Each chart is drawn twice, for wide and for narrow screens, in pixels: letters are as large as the
page's on both. Text stays text, in the page's font, and colours become variables of the page's
style, which has them for light and dark.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from edge_genre.benchmarks.text import printable, short

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
STYLE: Any = {  # releases type the names in different ways
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
WIDE, NARROW = 900, 340  # pixels
_SCALE = 30  # height of what is below an axis

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
        salt = f"{narrow} {plain(self.description)}"
        with mpl.rc_context(STYLE | {"svg.hashsalt": salt}), warnings.catch_warnings():
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
class Row:
    """One of the things that a chart compares: its name, and what is written beside its marks."""

    name: str
    figure: str
    details: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(part for part in (self.figure, self.details) if part)}"


@dataclass(frozen=True)
class Scale:
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
        labels = [tick(value) for value in ticks]
        axes.set_xticklabels([*labels[:-1], f"{labels[-1]} {self.unit}".rstrip()])


def from_zero(values: Sequence[float], unit: str) -> Scale:
    """A linear scale from 0 to a round value above all."""
    highest = max(values) or 1.0
    return Scale(0.0, float(MaxNLocator(nbins=5).tick_values(0, highest)[-1]), unit)


def tick(value: float) -> str:
    return f"{value:,.10g}"  # hides that 3 * 0.1 is not 0.3


def draw_rows(rows: Sequence[Row], draw: Drawing, scale: Scale, *, height: float) -> Chart:
    """Draw things below one another: name, marks along one scale, figures.

    Parameters
    ----------
    draw : draws a row's marks, from its top on, in pixels down and values across
    height : of the marks of a row
    """
    description = "; ".join(map(str, rows))
    with mpl.rc_context(STYLE):
        wide = new_figure(WIDE, len(rows) * height + _SCALE)
        axes = new_axes(wide, (245, 705), len(rows) * height, scale, 7)
        for index, row in enumerate(rows):
            draw(axes, index, index * height)
            middle = (index + 0.5) * height
            write(wide, 0, middle, *_lines(row.name, 30))
            write(wide, 730, middle, row.figure, row.details, bold=True)
        above = 42  # where there is no room beside the marks
        narrow = new_figure(NARROW, len(rows) * (height + above) + _SCALE)
        axes = new_axes(narrow, (6, NARROW - 30), len(rows) * (height + above), scale, 5)
        for index, row in enumerate(rows):
            top = index * (height + above)
            draw(axes, index, top + above)
            write(narrow, 0, top + 16, short(plain(row.name), 44), covers=True)
            write(narrow, 0, top + 34, row.figure, bold=True, covers=True)
            write(narrow, NARROW, top + 34, row.details, right=True, soft=True, covers=True)
    return Chart(wide, narrow, description)


def new_figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width / 72, height / 72), dpi=72)


def new_axes(
    figure: Figure, between: tuple[float, float], height: float, scale: Scale, ticks: int
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


def write(
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


def plain(text: str) -> str:
    return " ".join(printable(text).split())


def _lines(name: str, length: int) -> list[str]:
    """A name in one line, or in two where it is long: the file, and what tells it apart."""
    name = plain(name)
    if len(name) <= length:
        return [name]
    file, comma, others = name.partition(", ")
    return [short(file + comma.strip(), length), *([short(others, length)] if others else [])]
