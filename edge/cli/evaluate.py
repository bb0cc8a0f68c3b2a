"""``edge-genre evaluate``: how right a model is on labelled music."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_genre.cli.options import describe_options, json_option, rounded_hop, seconds_option
from edge_genre.cli.view import console, print_json
from edge_genre.errors import DataError

if TYPE_CHECKING:
    from edge_genre.benchmarks.evaluation import Estimate, Evaluation, Track
    from edge_genre.classifier import Classifier

_SPLITS = ("train", "validation", "all")


@click.command("evaluate", no_args_is_help=True)
@click.argument("model")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--split",
    type=click.Choice(_SPLITS),
    help="Part of a features file that says which track is in which.  [default: validation]",
)
@seconds_option("--hop", help="From one window to the next, of audio.  [default: one window]")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write evaluation.json, confusion.png and reliability.png there.",
)
@json_option
@describe_options
def command(
    model: str,
    data: Path,
    split: str | None,
    hop: float | None,
    output: Path | None,
    as_json: bool,
    load: Callable[[str | None], Classifier],
) -> None:
    """Measure a model's accuracy on labelled music.

    MODEL is a file or a bundled name. DATA is a folder of audio, in folders by genre (or files
    named after it, such as rock.00001.ogg), or an npz file of features: X, uint8 log-mel levels
    (tracks, bands, columns), y and genres, and, if there are parts, split (0 train, 1 validation).

    A track's genre is that of the highest mean probability of its windows. Intervals are of 95 %.
    Measured on music that the model was trained on, or on other tracks of the same artists, the
    figures say nothing of new music.

    Files that cannot be used are named on the standard error, and the exit code is 1.
    """
    from edge_genre.benchmarks.evaluation import evaluate

    classifier = load(model)
    left_out: list[str] = []

    def leave_out(line: str) -> None:
        left_out.append(line)
        click.echo(f"edge-genre: {line}", err=True)

    step = None if hop is None else rounded_hop(classifier, hop)
    tracks = list(_shown(_tracks(classifier, data, split, step, leave_out)))
    if not tracks:
        raise DataError(f"{data}: holds no track that can be used")
    evaluation = evaluate(tracks, classifier.labels)
    values = {"model": str(classifier.model.path), "data": str(data), "left_out": len(left_out)}
    values |= evaluation.to_dict()
    if output:
        _write(evaluation, classifier.labels, values, output)
    if as_json:
        print_json(values)
    else:
        _print(evaluation)
    if left_out:
        click.echo(f"edge-genre: {len(left_out)} files left out", err=True)
        sys.exit(1)


def _tracks(
    classifier: Classifier,
    data: Path,
    split: str | None,
    hop: float | None,
    leave_out: Callable[[str], None],
) -> Iterator[Track]:
    from edge_genre.benchmarks.labelled import (
        SPLITS,
        has_split,
        tracks_of_features,
        tracks_of_folder,
    )

    if not data.exists():
        raise DataError(f"{data}: no such file or folder")
    if data.is_dir():
        if split is not None:
            raise click.UsageError("--split is for a features file; DATA is a folder.")
        return tracks_of_folder(classifier, data, hop=hop, left_out=leave_out)
    if hop is not None:
        raise click.UsageError("--hop is for audio; DATA is a features file.")
    parts = has_split(data)
    if split not in (None, "all") and not parts:
        raise DataError(f"{data}: has no array split: leave --split out")
    number = SPLITS.get(split or "validation") if parts else None
    return tracks_of_features(classifier, data, split=number)


def _shown(tracks: Iterator[Track]) -> Iterator[Track]:
    """Count them on a terminal: a large folder takes minutes."""
    from rich.console import Console

    with Console(stderr=True).status("evaluating") as status:
        for count, track in enumerate(tracks, start=1):
            status.update(f"evaluating: {count} tracks")
            yield track


def _write(
    evaluation: Evaluation, genres: tuple[str, ...], values: dict[str, object], folder: Path
) -> None:
    from edge_genre.benchmarks.evaluation_plots import plot_confusion, plot_reliability

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evaluation.json").write_text(json.dumps(values, indent=1) + "\n")
        plot_confusion(evaluation, genres, folder / "confusion.png")
        plot_reliability(evaluation, folder / "reliability.png")
    except ModuleNotFoundError as error:
        raise DataError(
            f"the pictures need {error.name}: pip install matplotlib, or leave --output out"
        ) from None
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror})") from None


def _print(evaluation: Evaluation) -> None:
    from rich.table import Table

    from edge_genre.cli.view import facts

    found = evaluation
    rows = {
        "tracks": f"{_percent(found.track_accuracy)}, {found.tracks_correct} of {found.tracks}",
        "windows": f"{_percent(found.window_accuracy)}, {found.windows_correct} of {found.windows}",
        "macro F1": f"{_percent(found.macro_f1)}, of tracks",
        "calibration error": f"{found.track_calibration_error:.1%} of tracks, "
        f"{found.window_calibration_error:.1%} of windows",
        "confused most": ", ".join(f"{a} and {b} ({n})" for a, b, n in found.confused[:3]) or "-",
    }
    table = Table("genre")
    for name in ("tracks", "right", "recall", "precision", "F1"):
        table.add_column(name, justify="right")
    table.add_column("taken for")
    for genre in found.genres:
        taken_for = ", ".join(f"{other} {n}" for other, n in [*genre.taken_for.items()][:3])
        shares = (f"{share:.0%}" for share in (genre.recall, genre.precision, genre.f1))
        table.add_row(genre.genre, str(genre.tracks), str(genre.correct), *shares, taken_for)
    console().print(facts(rows))
    console().print(table)


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"
