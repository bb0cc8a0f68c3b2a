"""``edge-genre history``: what played when, and how long."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_genre.cli.options import json_option, several_option
from edge_genre.cli.view import console, print_json, table

if TYPE_CHECKING:
    from rich.table import Table

    from edge_genre.outputs.history_reader import Part, StoredPlay

_IN_TABLE = 50  # plays
_FLUSH_RIGHT = ("length", "of it silence", "plays", "probability")


def _first(ctx: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    return None if value is None else _when(value, 0)


def _last(ctx: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    return None if value is None else _when(value, 1)


def _when(text: str, days: int) -> datetime:
    """A time, local where it has no zone, or when a local day begins, or one so many days later."""
    from edge_genre.outputs.history_reader import midnight

    try:
        day = _day(text)
        if day is not None:
            return midnight(day + timedelta(days=days))
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is not a day or a time, such as 2026-03-01 or 2026-03-01T18:00."
        ) from None


@click.command("history", no_args_is_help=True)
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--since",
    callback=_first,
    metavar="WHEN",
    help="Only what played since then: a day, from its start, or a time, such as 2026-03-01, "
    "2026-03-01T18:00, today or yesterday.",
)
@click.option(
    "--until",
    callback=_last,
    metavar="WHEN",
    help="Only what played until then: a day, to its end, or a time.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help=f"Only so many plays, the latest.  [default: {_IN_TABLE} in a table, else all]",
)
@several_option(
    "--by",
    ("day", "genre", "label"),
    help="Show total lengths by day, by genre (or label, which is the same), or by both, instead "
    "of plays.",
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def command(
    path: Path,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    by: tuple[str, ...] | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show what played when, from the FILE of `edge-genre listen --history`.

    Plays are listed as they were heard, the latest last. A play is a stretch of one label; its
    length is that of the audio, whatever the clock did. Days and times are local. Labels that hold
    together have plays that overlap: lengths by label then add up to more than was heard, those by
    day do not.

    FILE can be read while `listen` writes to it, and is then a minute behind at most.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    if by and limit:
        raise click.UsageError("--by and --limit exclude each other.")
    from edge_genre.outputs.history_file import reading
    from edge_genre.outputs.history_reader import COLUMNS, StoredPlays, sum_columns, totals

    with reading(path) as connection:
        plays = StoredPlays(connection, since, until)
        if not plays.count:
            when = "in this time" if since or until else "in it yet"
            click.echo(f"{path}: there are no plays {when}", err=True)
        if by:
            by = tuple("label" if word == "genre" else word for word in by)
            parts = list(plays.parts())
            sums = totals(parts, by)
            columns = sum_columns(by)
            if as_json or as_csv:
                _export(sums, columns, as_csv=as_csv)
            elif sums:
                console().print(_sum_table(sums, columns, plays.noun))
                _say_overlap(parts, by)
        elif as_json or as_csv:
            rows = (play.to_dict() for play in plays.rows(limit))
            _export(rows, COLUMNS, as_csv=as_csv)
        elif plays.count:
            limit = limit or _IN_TABLE
            console().print(_play_table(plays.rows(limit), plays.noun))
            if plays.count > limit:
                click.echo(f"the latest {limit} of {plays.count} plays; see --limit", err=True)


def _export(rows: Iterable[dict[str, Any]], columns: tuple[str, ...], *, as_csv: bool) -> None:
    if not as_csv:
        for row in rows:
            print_json(row)
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row[name] for name in columns] for row in rows)


def _say_overlap(parts: Iterable[Part], by: tuple[str, ...]) -> None:
    heard = sum(part.heard for part in parts)
    if "label" in by and sum(part.seconds for part in parts) - heard > 1:
        click.echo(
            f"labels overlap: their lengths add up to more than was heard, {_length(heard)}",
            err=True,
        )


def _play_table(plays: Iterable[StoredPlay], noun: str) -> Table:
    from rich.text import Text

    shown = table("started", "length", noun, "probability", "model", right=_FLUSH_RIGHT)
    for play in plays:
        shown.add_row(
            f"{play.started:%Y-%m-%d %H:%M:%S}",
            _length(play.seconds),
            Text(play.label),
            _share(play.probability),
            Text(play.model),
        )
    return shown


def _sum_table(sums: list[dict[str, Any]], columns: tuple[str, ...], noun: str) -> Table:
    from rich.text import Text

    headings = {"label": noun, "seconds": "length", "silence_seconds": "of it silence"}
    shown = table(*(headings.get(name, name) for name in columns), right=_FLUSH_RIGHT)
    for row in sums:
        cells = dict(row)
        for name in ("seconds", "silence_seconds"):
            cells[name] = _length(row.get(name, 0.0))
        cells["probability"] = _share(row.get("probability", 0.0))
        shown.add_row(*(Text(str(cells[name])) for name in columns))
    return shown


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _share(probability: float) -> str:
    return f"{probability:.0%}" if probability else ""


def _day(text: str) -> date | None:
    today = datetime.now().date()
    named = {"today": today, "yesterday": today - timedelta(days=1)}
    try:
        return named.get(text) or date.fromisoformat(text)
    except ValueError:
        return None
