"""``edge-genre classify``: files and folders."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_genre.cli.options import (
    describe_options,
    json_option,
    model_option,
    pcm_options,
    rounded_hop,
    seconds_option,
    silence_option,
    standard_input,
    top_option,
    vote_option,
)
from edge_genre.cli.view import print_json
from edge_genre.errors import AudioError

if TYPE_CHECKING:
    from rich.progress import Progress

    from edge_genre.classifier import Classifier
    from edge_genre.cli.song_table import SongTable
    from edge_genre.results import SongResult, WindowResult


@click.command("classify", no_args_is_help=True)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@seconds_option(
    "--hop",
    help="Step from one window to the next, rounded to whole spectrogram frames.  "
    "[default: one window]",
)
@vote_option("--vote", "vote_by")
@click.option("--windows", is_flag=True, help="Show every window of a file, too.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option(
    "--explain",
    is_flag=True,
    help="Show of every window what a model's further outputs say, over time, of why; not in CSV.",
)
@top_option
@silence_option
@model_option
@describe_options
@pcm_options
def command(
    paths: tuple[str, ...],
    hop: float | None,
    vote_by: str,
    windows: bool,
    as_json: bool,
    as_csv: bool,
    explain: bool,
    top: int,
    silence_dbfs: float,
    model: str | None,
    load: Callable[[str | None], Classifier],
    **pcm: Any,
) -> None:
    """Classify audio files.

    PATH is a file (WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF; any rate, any length), a folder, whose
    audio files are found at any depth, or - for raw PCM on the standard input.

    A file that cannot be read is named on the standard error; the others are classified all the
    same, and the exit code is 1.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    if explain and as_csv:
        raise click.UsageError("--explain and --csv exclude each other.")
    windows = windows or explain
    from edge_genre.audio.source import naming

    classifier = load(model)
    if explain and not classifier.task.explanations:
        raise click.UsageError(f"{classifier.model.path} has no outputs that explain its answers.")
    classify: dict[str, Any] = {
        "hop": None if hop is None else rounded_hop(classifier, hop),
        "vote_by": vote_by,
        "silence_dbfs": silence_dbfs,
        "explain": explain,
    }
    files = list(_files(paths))
    printer: _Json | _Csv | SongTable
    if as_json:
        printer = _Json(windows)
    elif as_csv:
        printer = _Csv(windows, classifier.labels)
    else:
        from edge_genre.cli.song_table import SongTable

        printer = SongTable(windows, top, classifier.task, alone=len(files) == 1)
    failed = 0
    among_results = sys.stdout.isatty() and (as_json or as_csv)
    shown = len(files) > 1 and sys.stderr.isatty() and not among_results
    try:
        with _Progress(len(files), shown=shown) as progress:
            for path in files:
                try:
                    if path == "-":
                        with naming(path):
                            source = standard_input(**pcm)
                            printer.song(classifier.classify(source, path=path, **classify))
                    elif _is_folder(path):
                        raise AudioError(f"{path}: no audio files in this folder")
                    else:
                        printer.song(classifier.classify_file(path, **classify))
                except AudioError as error:
                    failed += 1
                    progress.problem(str(error))
                    printer.problem(path, str(error))
                progress.advance()
    finally:
        printer.close()  # after Ctrl-C too: what is done is done
    if failed:
        if len(files) > 1:
            click.echo(f"edge-genre: {failed} of {len(files)} not classified", err=True)
        click.get_current_context().exit(1)


def _files(paths: Iterable[str]) -> Iterator[str]:
    from edge_genre.audio.file import find_audio

    for path in paths:
        if not path:
            raise click.UsageError("PATH is empty.")
        if path == "-" or not _is_folder(path):
            yield path
            continue
        found = find_audio(Path(path))
        yield from map(str, found)
        if not found:
            yield path  # named as an error, in its turn


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except OSError:  # such as a name that is too long: the file's own error says so
        return False


class _Progress:
    """A bar on the standard error, and the problems above it.

    Rich is loaded for a bar alone: a single file's answer does not wait for it.
    """

    def __init__(self, total: int, *, shown: bool) -> None:
        self._bar: Progress | None = None
        if shown:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

            self._bar = Progress(
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True, soft_wrap=True),
                transient=True,
            )
            self._task = self._bar.add_task("classifying", total=total)

    def __enter__(self) -> _Progress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self) -> None:
        if self._bar:
            self._bar.advance(self._task)

    def problem(self, message: str) -> None:
        line = f"edge-genre: {message}"
        if self._bar:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            click.echo(line, err=True)


class _Json:
    """A line a song, as soon as it is done."""

    def __init__(self, windows: bool) -> None:
        self._windows = windows

    def song(self, song: SongResult) -> None:
        print_json(song.to_dict(windows=self._windows))

    def problem(self, path: str, message: str) -> None:
        from edge_genre.results import SCHEMA

        print_json({"schema": SCHEMA, "path": path, "error": message})

    def close(self) -> None:
        """Nothing is held back."""


class _Csv:
    """A row a song, or a window, with the probability of every label."""

    def __init__(self, windows: bool, labels: Sequence[str]) -> None:
        self._windows = windows
        self._labels = labels
        self._writer = csv.writer(sys.stdout, lineterminator="\n")
        columns = ("path", "start", "end", "label", "probability", *labels, "labels")
        self._writer.writerow(columns)

    def song(self, song: SongResult) -> None:
        if self._windows:
            for window in song.windows:
                self._row(song.path, window.start, window.end, window)
        else:
            self._row(song.path, 0.0, song.duration, song)
        sys.stdout.flush()

    def _row(self, path: str, start: float, end: float, result: SongResult | WindowResult) -> None:
        values = [(result.probabilities or {}).get(label, 0.0) for label in self._labels]
        shown = [f"{value:.4f}" for value in (result.probability, *values)]
        held = ";".join(result.labels)
        self._writer.writerow([path, f"{start:.3f}", f"{end:.3f}", result.label, *shown, held])

    def problem(self, path: str, message: str) -> None:
        """Rows are results only; the standard error names the file."""

    def close(self) -> None:
        """Nothing is held back."""
