"""Classified songs as tables on a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from edge_genre.cli.view import bars, console, summary
from edge_genre.results import SongResult, WindowResult


class SongTable:
    """All songs in one table, or a song alone with its best genres as bars."""

    def __init__(self, windows: bool, top: int, *, alone: bool) -> None:
        self._windows = windows
        self._top = top
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
            output.print(bars(song.probabilities, self._top) if song.probabilities else song.label)
        else:
            output.print(self._song_table())
        if self._windows:
            for song in self._songs:
                output.print(self._window_table(song))

    def _song_table(self) -> Table:
        table = Table()
        table.add_column("file", overflow="fold", min_width=12)
        table.add_column("length", justify="right", no_wrap=True, min_width=7)
        _add_genre_columns(table)
        for song in self._songs:
            length = f"{song.duration:.1f} s"
            table.add_row(Text(song.path + _padding(song)), length, *self._genres(song))
        return table

    def _window_table(self, song: SongResult) -> Table:
        table = Table(title=None if self._alone else Text(song.path), title_justify="left")
        for column in ("from", "to", "level"):
            table.add_column(column, justify="right", no_wrap=True)
        _add_genre_columns(table)
        for window in song.windows:
            table.add_row(
                f"{window.start:.1f} s",
                f"{window.end:.1f} s",
                f"{window.level_dbfs:.1f} dBFS",
                *self._genres(window),
            )
        return table

    def _genres(self, result: SongResult | WindowResult) -> tuple[str, str]:
        """The label, and what comes next."""
        others = {k: v for k, v in (result.probabilities or {}).items() if k != result.label}
        if result.probabilities is None:
            return result.label, ""
        best = f"{result.label} {result.probability:.0%}"
        return best, summary(others, self._top - 1)


def _add_genre_columns(table: Table) -> None:
    table.add_column("genre", style="bold green", no_wrap=True)
    table.add_column("then", overflow="fold")


def _padding(song: SongResult) -> str:
    return f", padded by {song.padded_seconds:.1f} s" if song.padded_seconds else ""
