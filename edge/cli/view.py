"""How results look on a terminal, and how JSON is printed."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from edge_genre.results import Ranking

_BAR = 24
_LABEL = 16  # of a longer one, the rest goes on in the next line


def print_json(values: dict[str, Any]) -> None:
    """Print one line of JSON, at once."""
    click.echo(json.dumps(values, ensure_ascii=False, allow_nan=False))


def bars(standing_out: Ranking, others: Ranking, width: int = 80) -> Table:
    """Labels and their probabilities as bars.

    Parameters
    ----------
    standing_out, others : see `edge_genre.results.ranked`
    width : of the terminal; where it is narrow, bars leave long labels some room
    """
    from rich.table import Table
    from rich.text import Text

    stroke = "━" if _is_utf() else "="
    longest = max((len(label) for label, _ in (*standing_out, *others)), default=0)
    length = max(4, min(_BAR, width - min(longest, _LABEL) - 6))
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", overflow="fold", max_width=max(4, width - length - 6))
    table.add_column(min_width=length)
    table.add_column(justify="right", min_width=4)
    for style, ranking in (("bold green", standing_out), ("dim", others)):
        for label, value in ranking:
            bar = Text(stroke * round(value * length), style)
            table.add_row(Text(label, style), bar, f"{value:.0%}")
    return table


def curve(values: Sequence[float]) -> str:
    """Numbers as a curve of one line, from their least to their greatest; of many, the peaks."""
    if not values:
        return ""
    count, strokes = min(len(values), _BAR), "▁▂▃▄▅▆▇█" if _is_utf() else "01234567"
    edges = [len(values) * index // count for index in range(count + 1)]
    peaks = [max(values[a:b]) for a, b in itertools.pairwise(edges)]
    least, span = min(peaks), max(peaks) - min(peaks)
    return "".join(strokes[round(7 * (peak - least) / (span or 1))] for peak in peaks)


def _is_utf() -> bool:
    # Not sys.stdout, in whose place a live view puts a stream without an encoding.
    encoding = getattr(sys.__stdout__, "encoding", None) or ""
    return encoding.lower().startswith("utf")


def table(*columns: str, right: Container[str] = (), **options: Any) -> Table:
    """A table that cuts nothing on a narrow terminal: what is too wide goes on in the next line.

    Parameters
    ----------
    columns : headings
    right : headings of the columns that are flush right
    options : of Rich's `Table`
    """
    from rich.table import Table

    made = Table(**options)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return made


def facts(rows: dict[str, str]) -> Table:
    """Names and values in two columns."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return table


def console() -> Console:
    """The standard output; where it is no terminal, wide enough that nothing is cut.

    Texts are shown as they are: a label may be ``[live]``.
    """
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(markup=False, emoji=False)
    file = cast("TextIO", _Unpadded(sys.stdout))
    return Console(width=1000, file=file, markup=False, emoji=False)


class _Unpadded:
    """A file without the blanks with which Rich fills up the lines of a table."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.encoding = file.encoding

    def write(self, text: str) -> int:
        return self._file.write(re.sub(" +$", "", text, flags=re.MULTILINE))

    def flush(self) -> None:
        self._file.flush()
