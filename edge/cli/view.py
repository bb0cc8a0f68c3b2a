"""How results look on a terminal, and how JSON is printed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Container
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_BAR = 24


def print_json(values: dict[str, Any]) -> None:
    """Print one line of JSON, at once."""
    click.echo(json.dumps(values, ensure_ascii=False, allow_nan=False))


def ranking(probabilities: dict[str, float] | None, top: int) -> list[tuple[str, float]]:
    """The most probable genres, best first."""
    ranked = sorted((probabilities or {}).items(), key=lambda item: -item[1])
    return ranked[:top]


def summary(probabilities: dict[str, float] | None, top: int) -> str:
    """The most probable genres in one line."""
    return "  ".join(f"{label} {value:.0%}" for label, value in ranking(probabilities, top))


def bars(probabilities: dict[str, float] | None, top: int) -> Table:
    """The most probable genres as bars."""
    from rich.table import Table
    from rich.text import Text

    # Not sys.stdout, in whose place a live view puts a stream without an encoding.
    encoding = getattr(sys.__stdout__, "encoding", None) or ""
    stroke = "━" if encoding.lower().startswith("utf") else "="
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", overflow="fold")
    table.add_column(min_width=_BAR)
    table.add_column(justify="right", min_width=4)
    for index, (label, value) in enumerate(ranking(probabilities, top)):
        style = "bold green" if index == 0 else "dim"
        bar = Text(stroke * round(value * _BAR), style)
        table.add_row(Text(label, style), bar, f"{value:.0%}")
    return table


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
    """The standard output; where it is no terminal, wide enough that nothing is cut."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console()
    return Console(width=1000, file=cast("TextIO", _Unpadded(sys.stdout)))


class _Unpadded:
    """A file without the blanks with which Rich fills up the lines of a table."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.encoding = file.encoding

    def write(self, text: str) -> int:
        return self._file.write(re.sub(" +$", "", text, flags=re.MULTILINE))

    def flush(self) -> None:
        self._file.flush()
