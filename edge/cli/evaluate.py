"""``edge-genre evaluate``: how right a model is on labelled music."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from edge_genre.choices import RECIPES, SPLITS
from edge_genre.cli.options import describe_options, json_option, rounded_hop, seconds_option
from edge_genre.cli.training_options import metadata_option, require_framework, showing_progress
from edge_genre.cli.view import console, print_json
from edge_genre.errors import DataError
from edge_genre.host.files import writing

if TYPE_CHECKING:
    from edge_genre.benchmarks.accuracy.evaluation import Estimate, Evaluation, Track
    from edge_genre.classifier import Classifier

_T = TypeVar("_T")


@click.command("evaluate", no_args_is_help=True)
@click.argument("model")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    help="Part of a features file to measure on, where the file has parts.  [default: validation]",
)
@seconds_option(
    "--hop", help="Time from one window of audio to the next.  [default: the window's length]"
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Folder to write evaluation.json, confusion.png and reliability.png into; "
    "with a recipe for its checkpoints, too, and required.",
)
@click.option(
    "--robustness",
    is_flag=True,
    help="Measure a folder of audio once more under each of seven conditions: quieter, louder, "
    "clipped, noisy, through a small loudspeaker, in a room, as MP3.",
)
@click.option(
    "--cross-validate",
    type=click.IntRange(2, 20),
    metavar="N",
    help="MODEL is a recipe, such as songnet: cross-validate it with N folds, whole artists in one "
    "fold, so that every track is scored once.",
)
@click.option(
    "--leaky",
    is_flag=True,
    help="MODEL is a recipe, such as songnet: train and measure it on windows that were shuffled "
    "before they were split. Windows of one song stand on both sides, which flatters the figure.",
)
@metadata_option(
    "To train a recipe: table of which artist (or album) each audio file is by: columns file, "
    "artist, album."
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="To train a recipe: seed of the random number generators.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=2400,
    show_default=True,
    help="To train a recipe: optimizer steps.",
)
@json_option
@describe_options
def command(
    model: str,
    data: Path,
    split: str | None,
    hop: float | None,
    output: Path | None,
    robustness: bool,
    cross_validate: int | None,
    leaky: bool,
    metadata: Path | None,
    seed: int,
    steps: int,
    as_json: bool,
    load: Callable[[str | None], Classifier],
) -> None:
    """Measure a model's accuracy on labelled music.

    MODEL is a file or a bundled name, or, with --cross-validate or --leaky, a recipe. DATA is a
    folder of audio, in folders by genre (or files named after it, such as rock.00001.ogg), or an
    npz file of features: X (uint8 log-mel levels: tracks, bands, columns), y (the number of each
    track's genre), genres (their names) and, if there are parts, split (0 train, 1 validation).

    A track's genre is that of the highest mean probability of its windows. Intervals are of 95 %.
    The calibration error is how far confidence is from accuracy; a few tracks show some by chance,
    even of a perfectly calibrated model. Measured on music that the model was trained on, or on
    other tracks of the same artists, the figures say nothing of new music.

    Files that cannot be used are named on the standard error, and the exit code is 1.
    """
    from edge_genre.benchmarks.accuracy.evaluation import evaluate

    if cross_validate or leaky:
        if cross_validate and leaky:
            raise click.UsageError("--cross-validate and --leaky exclude each other.")
        evaluation, genres = _of_recipe(
            model, data, output, n=cross_validate, metadata=metadata, seed=seed, steps=steps
        )
        protocol = "shuffled windows" if leaky else f"{cross_validate} folds"
        said: dict[str, object] = {"recipe": model, "data": str(data), "protocol": protocol}
        _give(evaluation, genres, said | evaluation.to_dict(), output, as_json=as_json)
        return
    classifier = load(model)
    left_out: list[str] = []

    def leave_out(line: str) -> None:
        left_out.append(line)
        click.echo(f"edge-genre: {line}", err=True)

    under: dict[str, Evaluation] = {}
    if robustness:
        if hop is not None or split is not None or not data.is_dir():
            raise click.UsageError("--robustness is for a folder of audio, without --hop.")
        evaluation, under = _under_conditions(classifier, data, leave_out)
    else:
        step = None if hop is None else rounded_hop(classifier, hop)
        tracks = list(_shown(_tracks(classifier, data, split, step, leave_out)))
        evaluation = evaluate(_require_any(tracks, data), classifier.labels)
    values = {"model": str(classifier.model.path), "data": str(data), "left_out": len(left_out)}
    values |= evaluation.to_dict()
    if robustness:
        values["robustness"] = {name: found.tracks_correct for name, found in under.items()}
    _give(evaluation, classifier.labels, values, output, as_json=as_json, under=under)
    if left_out:
        click.echo(f"edge-genre: {len(left_out)} files left out", err=True)
        sys.exit(1)


def _of_recipe(
    recipe: str,
    data: Path,
    output: Path | None,
    *,
    n: int | None,
    metadata: Path | None,
    seed: int,
    steps: int,
) -> tuple[Evaluation, tuple[str, ...]]:
    """Train and measure; n folds, or shuffled windows for None."""
    if recipe not in RECIPES:
        raise click.UsageError(f"{recipe!r} is no recipe; there are {', '.join(RECIPES)}.")
    if output is None:
        raise click.UsageError("a recipe needs --output, for its checkpoints.")
    from rich.console import Console

    from edge_genre.models.train import recipes

    require_framework(recipes.RECIPES[recipe])
    from edge_genre.models.data.dataset import load_everything
    from edge_genre.models.train.cross_validation import cross_validate, leaky_split

    console = Console(stderr=True)
    plan = replace(recipes.RECIPES[recipe], seed=seed, steps=steps, evaluate_every=min(200, steps))
    with showing_progress(console) as shown:
        given = {"metadata": metadata, **shown} if data.is_dir() else {}
        everything = load_everything(data, plan.spec, **given)
    if n is None:
        return leaky_split(everything, output, plan, console), everything.genres
    if len(set(everything.groups)) == len(everything):
        click.echo(
            f"edge-genre: {data}: says nothing of artists: those of one may be on both sides",
            err=True,
        )
    return cross_validate(everything, n, output, plan, console), everything.genres


def _give(
    evaluation: Evaluation,
    genres: tuple[str, ...],
    values: dict[str, object],
    output: Path | None,
    *,
    as_json: bool,
    under: dict[str, Evaluation] | None = None,
) -> None:
    if output:
        _write(evaluation, genres, values, output)
    if as_json:
        print_json(values)
    else:
        _print(evaluation, under or {})


def _tracks(
    classifier: Classifier,
    data: Path,
    split: str | None,
    hop: float | None,
    leave_out: Callable[[str], None],
) -> Iterator[Track]:
    from edge_genre.benchmarks.accuracy.labelled import labelled_tracks

    if split is not None and data.is_dir():
        raise click.UsageError("--split is for a features file; DATA is a folder.")
    if hop is not None and data.is_file():
        raise click.UsageError("--hop is for audio; DATA is a features file.")
    return labelled_tracks(classifier, data, split=split, hop=hop, left_out=leave_out)


def _under_conditions(
    classifier: Classifier, folder: Path, leave_out: Callable[[str], None]
) -> tuple[Evaluation, dict[str, Evaluation]]:
    from edge_genre.benchmarks.accuracy.evaluation import evaluate
    from edge_genre.benchmarks.accuracy.robustness import CONDITIONS, tracks_under_conditions

    found = tracks_under_conditions(classifier, folder, left_out=leave_out)
    tracks = _require_any(list(_shown(found)), folder)
    scores = {
        name: evaluate([each[name] for each in tracks], classifier.labels)
        for name in ("", *CONDITIONS)
    }
    return scores.pop(""), scores


def _require_any(tracks: list[_T], data: Path) -> list[_T]:
    if not tracks:
        raise DataError(f"{data}: holds no track that can be used")
    return tracks


def _shown(tracks: Iterator[_T]) -> Iterator[_T]:
    """Count them on a terminal: a large folder takes minutes."""
    from rich.console import Console

    with Console(stderr=True).status("evaluating") as status:
        for count, track in enumerate(tracks, start=1):
            status.update(f"evaluating: {count} tracks")
            yield track


def _write(
    evaluation: Evaluation, genres: tuple[str, ...], values: dict[str, object], folder: Path
) -> None:
    from edge_genre.benchmarks.accuracy.plots import plot_confusion, plot_reliability

    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "evaluation.json").write_text(json.dumps(values, indent=1) + "\n")
            plot_confusion(evaluation, genres, folder / "confusion.png")
            plot_reliability(evaluation, folder / "reliability.png")
    except ModuleNotFoundError as error:
        raise DataError(
            f"the pictures need {error.name}: pip install matplotlib, or leave --output out"
        ) from None


def _print(evaluation: Evaluation, under: dict[str, Evaluation]) -> None:
    from rich.table import Table

    from edge_genre.cli.view import facts

    found = evaluation
    rows = {
        "tracks": f"{_percent(found.track_accuracy)}, {found.tracks_correct} of {found.tracks}",
        "windows": f"{_percent(found.window_accuracy)}, {found.windows_correct} of {found.windows}",
        "macro F1": f"{_percent(found.macro_f1)}, of tracks",
        "calibration error": f"{found.track_calibration_error:.1%} of tracks, "
        f"{found.window_calibration_error:.1%} of windows",
        "of it by chance": f"{found.track_calibration_chance:.1%} of tracks, even if confidence "
        "were perfectly calibrated",
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
    if under:
        changes = Table("condition")
        for name in ("tracks right", "change"):
            changes.add_column(name, justify="right")
        for name, other in under.items():
            change = 100 * (other.track_accuracy.value - found.track_accuracy.value)
            changes.add_row(name, str(other.tracks_correct), f"{change:+.1f} points")
        console().print(changes)


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"
