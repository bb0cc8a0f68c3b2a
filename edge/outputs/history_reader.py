"""What a history holds of a time: its plays, and how long they add up to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from edge_genre.outputs.history_file import schema_of, stamp
from edge_genre.results import SILENCE
from edge_genre.task import GENRES, noun_of_all

# Plays that are read at once. A reader that stays, since whoever takes its output is slow, would
# keep `listen` from ever emptying SQLite's log.
_PAGE = 1_000
COLUMNS = ("started", "ended", "seconds", "label", "probability", "windows", "model")


@dataclass(frozen=True)
class StoredPlay:
    """A play as the history has it; times are local."""

    started: datetime
    ended: datetime
    seconds: float
    label: str
    probability: float
    windows: int
    model: str
    heard: float  # of the seconds, those at its end that no earlier play has

    def to_dict(self) -> dict[str, Any]:
        """Return the values of `COLUMNS`, ready for JSON."""
        times = {
            "started": self.started.isoformat(timespec="milliseconds"),
            "ended": self.ended.isoformat(timespec="milliseconds"),
        }
        values = vars(self) | times
        return {name: values[name] for name in COLUMNS}

    def pieces(
        self, since: datetime | None, until: datetime | None
    ) -> Iterator[tuple[date, float, float]]:
        """Local days that it lies on, and its seconds and those heard there, within bounds."""
        span = (self.ended - self.started).total_seconds()
        if span <= 0:  # faster than real time, or the clock was set back
            yield self.started.date(), self.seconds, self.heard
            return
        alone = self.started
        if self.heard < self.seconds:
            alone = self.ended - timedelta(seconds=span * (self.heard / self.seconds))
        at = max(self.started, since or self.started)
        stop = min(self.ended, until or self.ended)
        while at < stop:
            end = min(stop, midnight(at.date() + timedelta(days=1)))
            all_of_it, heard = (end - at).total_seconds(), (end - max(at, alone)).total_seconds()
            yield (
                at.date(),
                self.seconds * (all_of_it / span),
                self.seconds * (max(0.0, heard) / span),
            )
            at = end


@dataclass
class Part:
    """Some seconds of a label on a local day."""

    day: str
    label: str
    seconds: float
    heard: float  # of them, see `StoredPlay`
    probability: float  # times the seconds
    plays: int  # that they are of
    begun: int  # of these, plays that have no part before


class StoredPlays:
    """Those of a history that overlap a time.

    Parameters
    ----------
    connection : of `edge_genre.outputs.history_file.reading`
    since, until : bounds of the time; None for no bound
    """

    def __init__(
        self, connection: sqlite3.Connection, since: datetime | None, until: datetime | None
    ) -> None:
        self._connection = connection
        self._since, self._until = since, until
        self._values = {
            "since": stamp(since) if since else "",
            "until": stamp(until) if until else "~",  # after all digits
        }
        # The columns that older histories do not have.
        later = schema_of(connection) > 1
        self._heard = "coalesce(heard, seconds)" if later else "seconds"
        (self.count,) = self._select("count(*)").fetchone()
        nouns = self._select("DISTINCT noun").fetchall() if later else [(GENRES.noun,)]
        self.noun = noun_of_all(noun for (noun,) in nouns)

    def rows(self, limit: int | None = None) -> Iterator[StoredPlay]:
        """The latest of them, or all, as they were heard."""
        first = 0
        if limit is not None and self.count > limit:
            order = f"ORDER BY id LIMIT 1 OFFSET {self.count - limit}"
            (first,) = self._select("id", order=order).fetchone()
        return self._rows("TRUE", first)

    def parts(self) -> Iterator[Part]:
        """What the time has of them."""
        # Nearly all plays lie within a day: SQLite adds these up, twenty times faster than Python.
        within = (
            "started >= :since AND ended <= :until "
            "AND date(started, 'localtime') IS date(ended, 'localtime')"
        )
        day = "date(started, 'localtime')"
        sums = (
            f"{day}, label, sum(seconds), sum({self._heard}), sum(seconds * probability), "
            "count(*), count(*)"
        )
        for row in self._select(sums, within, f"GROUP BY {day}, label").fetchall():
            yield Part(*row)
        for play in self._rows(f"NOT ({within})"):
            for number, (on, seconds, heard) in enumerate(play.pieces(self._since, self._until)):
                weight = seconds * play.probability
                yield Part(on.isoformat(), play.label, seconds, heard, weight, 1, number == 0)

    def _rows(self, which: str, first: int = 0) -> Iterator[StoredPlay]:
        while True:
            names = f"id, {', '.join(COLUMNS)}, {self._heard}"
            page = self._select(names, which, f"ORDER BY id LIMIT {_PAGE}", first).fetchall()
            for _, started, ended, *rest in page:
                yield StoredPlay(_local(started), _local(ended), *rest)
            if len(page) < _PAGE:
                return
            first = page[-1][0] + 1

    def _select(
        self, what: str, which: str = "TRUE", order: str = "", first: int = 0
    ) -> sqlite3.Cursor:
        overlapping = "id >= :first AND ended >= :since AND started < :until"
        query = f"SELECT {what} FROM plays WHERE {overlapping} AND {which} {order}"
        return self._connection.execute(query, {**self._values, "first": first})


def totals(parts: Iterable[Part], by: tuple[str, ...]) -> list[dict[str, Any]]:
    """Sums over days, labels or both; days in order, and on each the longest label first.

    Those over days are of what was heard; those of labels that hold together add up to more.
    """
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for part in parts:
        key = (part.day if "day" in by else "", part.label if "label" in by else "")
        empty = {"seconds": 0.0, "silence_seconds": 0.0, "plays": 0, "probability": 0.0}
        total = sums.setdefault(key, {"day": key[0], "label": key[1], **empty})
        silent = part.label == SILENCE
        total["seconds"] += part.seconds if "label" in by else part.heard
        total["silence_seconds"] += silent * part.seconds
        if "label" in by or not silent:
            total["plays"] += part.plays if "day" in by else part.begun
        total["probability"] += part.probability
    for total in sums.values():
        total["probability"] = round(total["probability"] / (total["seconds"] or 1.0), 4)
        for name in ("seconds", "silence_seconds"):
            total[name] = round(total[name], 3)
    columns = sum_columns(by)
    ordered = sorted(sums.values(), key=lambda sum_: (sum_["day"], -sum_["seconds"]))
    return [{name: total[name] for name in columns} for total in ordered]


def sum_columns(by: tuple[str, ...]) -> tuple[str, ...]:
    if "label" not in by:
        return ("day", "seconds", "silence_seconds", "plays")
    return (*(("day",) if "day" in by else ()), "label", "seconds", "plays", "probability")


def midnight(day: date) -> datetime:
    """When a local day begins; most do at 0:00."""
    return datetime.combine(day, time()).astimezone()


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()
