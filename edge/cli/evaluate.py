"""``edge-genre evaluate``: how right a model is on labelled music."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from edge_genre.choices import RECIPES, SPLITS
from edge_genre.cli.options import (
    describe_options,
    json_option,
    on_command_line,
    rounded_hop,
    seconds_option,
)
from edge_genre.cli.training_options import (
    labels_csv_option,
    metadata_option,
    require_framework,
    showing_progress,
)
from edge_genre.cli.view import print_json
from edge_genre.errors import DataError, ModelError
from edge_genre.host.files import reading, write_whole, writing

if TYPE_CHECKING:
    from edge_genre.benchmarks.accuracy.by_task import AnyEvaluation
    from edge_genre.benchmarks.accuracy.labelled import LeftOut
    from edge_genre.benchmarks.accuracy.labels_csv import LabelledFiles
    from edge_genre.benchmarks.accuracy.thresholds import ThresholdChoice
    from edge_genre.classifier import Classifier
    from edge_genre.task import Task

_T = TypeVar("_T")

# Parameters that say how to measure a model, and how to train a recipe.
_OF_MODEL = (
    *("split", "hop", "table", "choose_thresholds", "robustness"),
    *("frontend", "labels", "outputs", "task_kind", "threads"),
)
_OF_RECIPE = ("metadata", "seed", "steps")


@dataclass(frozen=True)
class _Found:
    """What there is to show: an evaluation, whose it is, and all of it as JSON."""

    evaluation: AnyEvaluation
    labels: tuple[str, ...]
    task: Task
    values: dict[str, object]
    under: dict[str, AnyEvaluation] = field(default_factory=dict)  # each condition
    choice: ThresholdChoice | None = None


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
@labels_csv_option
@click.option(
    "--choose-thresholds",
    is_flag=True,
    help="Of a model of many labels: choose from which probability on each holds, so that F1 on "
    "DATA is highest, and write that into the model file.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Folder to write evaluation.json and pictures into; with a recipe for its checkpoints, "
    "too, and required.",
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
    table: Path | None,
    choose_thresholds: bool,
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
    track's genre, or a row of 0 and 1 for many labels), genres (their names) and, if there are
    parts, split (0 train, 1 validation).

    A track's genre is that of the highest mean probability of its windows. Intervals are of 95 %.
    The calibration error is how far confidence is from accuracy; a few tracks show some by chance,
    even of a perfectly calibrated model. Measured on music that the model was trained on, or on
    other tracks of the same artists, the figures say nothing of new music.

    Of a model of many labels average precision and ROC AUC say how well each label's probability
    tells tracks apart, whatever its threshold; precision, recall and F1 are at the thresholds.
    Macro figures are means over the labels, micro figures are of all tracks and labels together.
    Labels that no track or every track has are named, and in none of them.

    Files that cannot be used are named on the standard error, and the exit code is 1.
    """
    if cross_validate or leaky:
        if cross_validate and leaky:
            raise click.UsageError("--cross-validate and --leaky exclude each other.")
        _refuse(_OF_MODEL, "is for a model that is there, not for a recipe: leave it out.")
        found = _of_recipe(
            model, data, output, n=cross_validate, metadata=metadata, seed=seed, steps=steps
        )
        _give(found, output, as_json=as_json)
        return
    _refuse(_OF_RECIPE, "is to train a recipe, with --cross-validate or --leaky: leave it out.")
    if robustness and (hop is not None or split is not None or not data.is_dir()):
        raise click.UsageError("--robustness is for a folder of audio, without --hop.")
    if robustness and choose_thresholds:
        raise click.UsageError("--robustness and --choose-thresholds exclude each other.")
    if split is not None and data.is_dir():
        raise click.UsageError("--split is for a features file; DATA is a folder.")
    if hop is not None and data.is_file():
        raise click.UsageError("--hop is for audio; DATA is a features file.")
    if table is not None and not data.is_dir():
        raise click.UsageError("--labels-csv is for a folder of audio, which DATA is not.")
    classifier = load(model)
    if choose_thresholds:
        _require_thresholds(classifier)
    left_out = 0

    def leave_out(line: str, files: int = 1) -> None:
        nonlocal left_out
        left_out += files
        click.echo(f"edge-genre: {line}", err=True)

    labels = None if table is None else _labels(table, data, leave_out)
    if robustness:
        found = _under_conditions(classifier, data, labels, leave_out)
    else:
        step = None if hop is None else rounded_hop(classifier, hop)
        found = _of_model(
            classifier, data, labels, split, step, leave_out, choose=choose_thresholds
        )
    values = {"model": str(classifier.model.path), "data": str(data), "left_out": left_out}
    _give(replace(found, values=values | found.values), output, as_json=as_json)
    if left_out:
        click.echo(f"edge-genre: {left_out} files left out", err=True)
        sys.exit(1)


def _refuse(parameters: Sequence[str], why: str) -> None:
    """Refuse parameters on the command line that would be without effect."""
    for parameter in click.get_current_context().command.params:
        if parameter.name in parameters and on_command_line(parameter.name):
            raise click.UsageError(f"{parameter.opts[-1]} {why}")


def _of_recipe(
    recipe: str,
    data: Path,
    output: Path | None,
    *,
    n: int | None,
    metadata: Path | None,
    seed: int,
    steps: int,
) -> _Found:
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
    from edge_genre.task import GENRES

    console = Console(stderr=True)
    plan = replace(recipes.RECIPES[recipe], seed=seed, steps=steps, evaluate_every=min(200, steps))
    with showing_progress(console) as shown:
        given = {"metadata": metadata, **shown} if data.is_dir() else {}
        everything = load_everything(data, plan.spec, **given)
    if n is None:
        evaluation = leaky_split(everything, output, plan, console)
    else:
        if len(set(everything.groups)) == len(everything):
            click.echo(
                f"edge-genre: {data}: says nothing of artists: those of one may be on both sides",
                err=True,
            )
        evaluation = cross_validate(everything, n, output, plan, console)
    protocol = "shuffled windows" if n is None else f"{n} folds"
    values: dict[str, object] = {"recipe": recipe, "data": str(data), "protocol": protocol}
    return _Found(evaluation, everything.genres, GENRES, values | evaluation.to_dict())


def _labels(table: Path, folder: Path, leave_out: LeftOut) -> LabelledFiles:
    """The labels in a CSV file, after saying which audio of the folder it does not name."""
    from edge_genre.audio.file import find_audio
    from edge_genre.benchmarks.accuracy.labels_csv import read_labels
    from edge_genre.benchmarks.text import some

    labels = read_labels(table, folder)
    named = {path.resolve() for path in labels.files}
    with reading(folder):
        others = [str(path) for path in find_audio(folder) if path.resolve() not in named]
    if others:
        leave_out(f"{table}: does not name {some(others, 3)}: not counted", 0)
    return labels


def _of_model(
    classifier: Classifier,
    data: Path,
    labels: LabelledFiles | None,
    split: str | None,
    hop: float | None,
    leave_out: LeftOut,
    *,
    choose: bool,
) -> _Found:
    """Measure a model; with ``choose`` choose its thresholds first, and write them."""
    from edge_genre.benchmarks.accuracy.by_task import evaluate_task
    from edge_genre.benchmarks.accuracy.labelled import labelled_tracks
    from edge_genre.benchmarks.accuracy.multi_label import evaluate_labels
    from edge_genre.benchmarks.accuracy.thresholds import ThresholdChoice, with_best_thresholds
    from edge_genre.benchmarks.text import some

    names, task = classifier.labels, classifier.task
    labelled = labelled_tracks(
        classifier, data, labels=labels, split=split, hop=hop, left_out=leave_out
    )
    tracks = _require_any(list(_shown(labelled.tracks)), data)
    extra: dict[str, object] = {}
    if labelled.unknown:
        lines = {} if labels is None else labels.labels
        shown = [f"{name} (line {lines[name]})" if lines else name for name in labelled.unknown]
        leave_out(f"the model has no {task.noun} {some(shown)}: not counted", 0)
        extra["unknown_labels"] = list(labelled.unknown)
    if not choose:
        evaluation = evaluate_task(tracks, names, task)
        return _Found(evaluation, names, task, evaluation.to_dict() | extra)
    before = evaluate_labels(tracks, names, task)
    task = with_best_thresholds(tracks, task)
    after = evaluate_labels(tracks, names, task)
    _write_thresholds(classifier, task)
    choice = ThresholdChoice.between(before, after, str(data))
    extra["thresholds"] = choice.to_dict()
    return _Found(after, names, task, after.to_dict() | extra, choice=choice)


def _require_thresholds(classifier: Classifier) -> None:
    """Refuse, before minutes of measuring, a model whose thresholds cannot be written."""
    from edge_genre.model.bundled import bundled_models

    path, noun = classifier.model.path, classifier.task.noun
    if classifier.task.exclusive:
        raise ModelError(
            f"{path}: always gives the most probable {noun}, and has no thresholds to choose"
        )
    if classifier.model.info is None:
        raise ModelError(f"{path}: says nothing of itself: give it a description by convert first")
    if path.resolve() in [bundled.resolve() for bundled in bundled_models()]:
        raise ModelError(f"{path}: comes with edge-genre and stays as it is: copy it first")
    if not (os.access(path, os.W_OK) and path.stat().st_mode & 0o222):  # root may write them all
        raise ModelError(f"{path}: is read-only, and its thresholds are kept in it")


def _write_thresholds(classifier: Classifier, task: Task) -> None:
    """Put other thresholds into a model file, and leave all else in it as it is."""
    from edge_genre.model.file import attach

    path = classifier.model.path.resolve()
    content = attach(classifier.model.content, replace(classifier.info, task=task))
    with writing(classifier.model.path, ModelError):
        write_whole(path, content, mode=stat.S_IMODE(path.stat().st_mode))


def _under_conditions(
    classifier: Classifier, folder: Path, labels: LabelledFiles | None, leave_out: LeftOut
) -> _Found:
    from edge_genre.benchmarks.accuracy.by_task import evaluate_task
    from edge_genre.benchmarks.accuracy.robustness import CONDITIONS, tracks_under_conditions
    from edge_genre.cli.evaluation_table import headline

    names, task = classifier.labels, classifier.task
    found = tracks_under_conditions(classifier, folder, labels, left_out=leave_out)
    tracks = _require_any(list(_shown(found)), folder)
    under = {
        name: evaluate_task([each[name] for each in tracks], names, task)
        for name in ("", *CONDITIONS)
    }
    evaluation = under.pop("")
    values = evaluation.to_dict()
    values["robustness"] = {name: headline(other).figure for name, other in under.items()}
    return _Found(evaluation, names, task, values, under)


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


def _give(found: _Found, output: Path | None, *, as_json: bool) -> None:
    if output:
        _write(found, output)
    if as_json:
        print_json(found.values)
        return
    from edge_genre.cli import evaluation_table

    evaluation_table.print_evaluation(found.evaluation, found.task)
    if found.under:
        evaluation_table.print_conditions(found.evaluation, found.under)
    if found.choice:
        evaluation_table.print_choice(found.choice, found.task)


def _write(found: _Found, folder: Path) -> None:
    from edge_genre.benchmarks.accuracy.plots import plot

    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "evaluation.json").write_text(json.dumps(found.values, indent=1) + "\n")
            plot(found.evaluation, found.labels, found.task, folder)
    except ModuleNotFoundError as error:
        raise DataError(
            f"the pictures need {error.name}: pip install matplotlib, or leave --output out"
        ) from None
