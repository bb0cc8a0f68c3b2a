"""``edge-genre history``: what played when, and how long."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_genre.cli.options import json_option, several_option
from edge_genre.cli.view import console, print_json

if TYPE_CHECKING:
    import sqlite3

    from rich.table import Table

_IN_TABLE = 50
# Plays that are read at once. A reader that stays, since whoever takes its output is slow, would
# keep `listen` from ever emptying SQLite's log.
_PAGE = 1_000
_COLUMNS = ("started", "ended", "seconds", "label", "probability", "windows", "model")


def _first(ctx: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    return None if value is None else _when(value, 0)


def _last(ctx: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    return None if value is None else _when(value, 1)


def _when(text: str, days: int) -> datetime:
    """A time, local where it has no zone, or when a local day begins, or one so many days later."""
    try:
        day = _day(text)
        if day is not None:
            return _midnight(day + timedelta(days=days))
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
    help="A day, from its start, or a time: 2026-03-01, 2026-03-01T18:00, today, yesterday.",
)
@click.option("--until", callback=_last, metavar="WHEN", help="Likewise; a day to its end.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help=f"The latest plays only.  [default: {_IN_TABLE} in a table, else all]",
)
@several_option("--by", ("day", "genre"), help="Add up how long, instead of listing plays.")
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
    length is that of the audio, whatever the clock did. Days and times are local.

    FILE can be read while `listen` writes to it, and is then a minute behind at most.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    if by and limit:
        raise click.UsageError("--by and --limit exclude each other.")
    from edge_genre.outputs.history import reading

    with reading(path) as connection:
        plays = _Plays(connection, since, until)
        if not plays.count:
            when = "in this time" if since or until else "in it yet"
            click.echo(f"{path}: there are no plays {when}", err=True)
        if by:
            sums = _totals(plays.parts(), by)
            columns = _sum_columns(by)
            if as_json or as_csv:
                _export(sums, columns, as_csv=as_csv)
            elif sums:
                console().print(_sum_table(sums, columns))
        elif as_json or as_csv:
            rows = (play.to_dict() for play in plays.rows(limit))
            _export(rows, _COLUMNS, as_csv=as_csv)
        elif plays.count:
            limit = limit or _IN_TABLE
            console().print(_play_table(plays.rows(limit)))
            if plays.count > limit:
                click.echo(f"the latest {limit} of {plays.count} plays; see --limit", err=True)


@dataclass(frozen=True)
class _Play:
    started: datetime  # local
    ended: datetime
    seconds: float
    label: str
    probability: float
    windows: int
    model: str

    def to_dict(self) -> dict[str, Any]:
        times = {
            "started": self.started.isoformat(timespec="milliseconds"),
            "ended": self.ended.isoformat(timespec="milliseconds"),
        }
        return vars(self) | times

    def pieces(
        self, since: datetime | None, until: datetime | None
    ) -> Iterator[tuple[date, float]]:
        """Local days that it lies on, and its seconds there, within bounds."""
        span = (self.ended - self.started).total_seconds()
        if span <= 0:  # faster than life, or the clock was set back
            yield self.started.date(), self.seconds
            return
        at = max(self.started, since or self.started)
        stop = min(self.ended, until or self.ended)
        while at < stop:
            end = min(stop, _midnight(at.date() + timedelta(days=1)))
            yield at.date(), self.seconds * ((end - at).total_seconds() / span)
            at = end


@dataclass
class _Part:
    """Some seconds of a label on a local day."""

    day: str
    label: str
    seconds: float
    probability: float  # times the seconds
    plays: int  # that they are of
    begun: int  # of these, plays that have no part before


class _Plays:
    """Those of a history that overlap a time, from ``since`` to ``until``."""

    def __init__(
        self, connection: sqlite3.Connection, since: datetime | None, until: datetime | None
    ) -> None:
        from edge_genre.outputs.history import stamp

        self._connection = connection
        self._since, self._until = since, until
        self._values = {
            "since": stamp(since) if since else "",
            "until": stamp(until) if until else "~",  # after all digits
        }
        (self.count,) = self._select("count(*)").fetchone()

    def rows(self, limit: int | None = None) -> Iterator[_Play]:
        """The latest of them, or all, as they were heard."""
        first = 0
        if limit is not None and self.count > limit:
            order = f"ORDER BY id LIMIT 1 OFFSET {self.count - limit}"
            (first,) = self._select("id", order=order).fetchone()
        return self._rows("TRUE", first)

    def parts(self) -> Iterator[_Part]:
        """What the time has of them."""
        # Nearly all plays lie within a day: SQLite adds these up, twenty times faster than Python.
        within = (
            "started >= :since AND ended <= :until "
            "AND date(started, 'localtime') IS date(ended, 'localtime')"
        )
        day = "date(started, 'localtime')"
        sums = f"{day}, label, sum(seconds), sum(seconds * probability), count(*), count(*)"
        for row in self._select(sums, within, f"GROUP BY {day}, label").fetchall():
            yield _Part(*row)
        for play in self._rows(f"NOT ({within})"):
            for number, (on, seconds) in enumerate(play.pieces(self._since, self._until)):
                weight = seconds * play.probability
                yield _Part(on.isoformat(), play.label, seconds, weight, 1, number == 0)

    def _rows(self, which: str, first: int = 0) -> Iterator[_Play]:
        while True:
            names = f"id, {', '.join(_COLUMNS)}"
            page = self._select(names, which, f"ORDER BY id LIMIT {_PAGE}", first).fetchall()
            for _, started, ended, *rest in page:
                yield _Play(_local(started), _local(ended), *rest)
            if len(page) < _PAGE:
                return
            first = page[-1][0] + 1

    def _select(
        self, what: str, which: str = "TRUE", order: str = "", first: int = 0
    ) -> sqlite3.Cursor:
        overlapping = "id >= :first AND ended >= :since AND started < :until"
        query = f"SELECT {what} FROM plays WHERE {overlapping} AND {which} {order}"
        return self._connection.execute(query, {**self._values, "first": first})


def _totals(parts: Iterable[_Part], by: tuple[str, ...]) -> list[dict[str, Any]]:
    """Sums over days, genres or both; days in order, and on each the longest genre first."""
    from edge_genre.results import SILENCE

    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for part in parts:
        key = (part.day if "day" in by else "", part.label if "genre" in by else "")
        empty = {"seconds": 0.0, "silence_seconds": 0.0, "plays": 0, "probability": 0.0}
        total = sums.setdefault(key, {"day": key[0], "label": key[1], **empty})
        silent = part.label == SILENCE
        total["seconds"] += part.seconds
        total["silence_seconds"] += silent * part.seconds
        if "genre" in by or not silent:
            total["plays"] += part.plays if "day" in by else part.begun
        total["probability"] += part.probability
    for total in sums.values():
        total["probability"] = round(total["probability"] / (total["seconds"] or 1.0), 4)
        for name in ("seconds", "silence_seconds"):
            total[name] = round(total[name], 3)
    columns = _sum_columns(by)
    ordered = sorted(sums.values(), key=lambda sum_: (sum_["day"], -sum_["seconds"]))
    return [{name: total[name] for name in columns} for total in ordered]


def _sum_columns(by: tuple[str, ...]) -> tuple[str, ...]:
    if "genre" not in by:
        return ("day", "seconds", "silence_seconds", "plays")
    return (*(("day",) if "day" in by else ()), "label", "seconds", "plays", "probability")


def _export(rows: Iterable[dict[str, Any]], columns: tuple[str, ...], *, as_csv: bool) -> None:
    if not as_csv:
        for row in rows:
            print_json(row)
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row[name] for name in columns] for row in rows)


def _play_table(plays: Iterable[_Play]) -> Table:
    from rich.text import Text

    table = _table("started", "length", "genre", "probability", "model")
    for play in plays:
        table.add_row(
            f"{play.started:%Y-%m-%d %H:%M:%S}",
            _length(play.seconds),
            Text(play.label),
            _share(play.probability),
            Text(play.model),
        )
    return table


def _sum_table(sums: list[dict[str, Any]], columns: tuple[str, ...]) -> Table:
    from rich.text import Text

    headings = {"label": "genre", "seconds": "length", "silence_seconds": "of it silence"}
    table = _table(*(headings.get(name, name) for name in columns))
    for row in sums:
        cells = dict(row)
        for name in ("seconds", "silence_seconds"):
            cells[name] = _length(row.get(name, 0.0))
        cells["probability"] = _share(row.get("probability", 0.0))
        table.add_row(*(Text(str(cells[name])) for name in columns))
    return table


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table()
    for name in columns:
        right = name in ("length", "of it silence", "plays", "probability")
        table.add_column(name, justify="right" if right else "left")
    return table


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


def _midnight(day: date) -> datetime:
    """When a local day begins; most do at 0:00."""
    return datetime.combine(day, time()).astimezone()


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()
