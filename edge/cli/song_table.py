"""Classified songs as tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from edge_genre.cli.view import bars, console, curve
from edge_genre.results import Moment, Ranking, SongResult, WindowResult, ranked
from edge_genre.task import Task


class SongTable:
    """All songs in one table, or a song alone with its best labels as bars.

    Parameters
    ----------
    windows : whether to show each window, too
    top, task : what to show, see `edge_genre.results.ranked`
    alone : there is one song
    """

    def __init__(self, windows: bool, top: int, task: Task, *, alone: bool) -> None:
        self._windows = windows
        self._top = top
        self._task = task
        self._alone = alone
        self._songs: list[SongResult] = []

    def song(self, song: SongResult) -> None:
        self._songs.append(song)

    def problem(self, path: str, message: str) -> None:
        """The table is of results only; the standard error names the file."""

    def close(self) -> None:
        if not self._songs:
            return
        output = console()
        if self._alone:
            (song,) = self._songs
            count = f"{len(song.windows)} window" + "s" * (len(song.windows) > 1)
            output.print(Text(f"{song.path}  {song.duration:.1f} s, {count}{_padding(song)}"))
            if not song.labels:
                output.print(song.label)
            if song.probabilities:
                output.print(bars(*self._ranked(song), output.width))
        else:
            output.print(self._song_table())
        if self._windows:
            for song in self._songs:
                output.print(self._window_table(song))

    def _song_table(self) -> Table:
        table = Table()
        table.add_column("file", overflow="fold", min_width=12)
        table.add_column("length", justify="right", no_wrap=True, min_width=7)
        self._add_label_columns(table)
        for song in self._songs:
            length = f"{song.duration:.1f} s"
            table.add_row(Text(song.path + _padding(song)), length, *self._labels(song))
        return table

    def _window_table(self, song: SongResult) -> Table:
        table = Table(title=None if self._alone else Text(song.path), title_justify="left")
        for column in ("from", "to", "level"):
            table.add_column(column, justify="right", no_wrap=True)
        self._add_label_columns(table)
        explained = dict.fromkeys(name for each in song.windows for name in each.explanations)
        for name in explained:
            table.add_column(name, no_wrap=True)
        for window in song.windows:
            table.add_row(
                f"{window.start:.1f} s",
                f"{window.end:.1f} s",
                f"{window.level_dbfs:.1f} dBFS",
                *self._labels(window),
                *(_curve(window.explanations.get(name, ())) for name in explained),
            )
        return table

    def _add_label_columns(self, table: Table) -> None:
        exclusive = self._task.exclusive
        noun = self._task.noun if exclusive else self._task.nouns
        table.add_column(noun, style="bold green", no_wrap=exclusive, overflow="fold")
        table.add_column("then", overflow="fold")

    def _labels(self, result: SongResult | WindowResult) -> tuple[str, str]:
        """What holds, and what comes next."""
        held, others = self._ranked(result)
        return _line(held) or result.label, _line(others)

    def _ranked(self, result: SongResult | WindowResult) -> tuple[Ranking, Ranking]:
        return ranked(result.probabilities, result.labels, self._top, task=self._task)


def _line(ranking: Ranking) -> str:
    return "  ".join(f"{label} {value:.0%}" for label, value in ranking)


def _curve(moments: Sequence[Moment]) -> str:
    return curve([each.value for each in moments])


def _padding(song: SongResult) -> str:
    return f", padded by {song.padded_seconds:.1f} s" if song.padded_seconds else ""
