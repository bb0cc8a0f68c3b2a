"""``edge-genre train``: a model for one's own genres."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_genre.choices import RECIPES, TASKS
from edge_genre.cli.options import json_option, read_spec
from edge_genre.cli.training_options import (
    labels_csv_option,
    metadata_option,
    require_framework,
    showing_progress,
)
from edge_genre.cli.view import print_json

if TYPE_CHECKING:
    from rich.console import Console

    from edge_genre.models.data.dataset import Data
    from edge_genre.models.train.metrics import Metrics, RunMetrics
    from edge_genre.models.train.recipes import Recipe


@click.command("train", no_args_is_help=True)
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Folder for the model files, metrics and checkpoints; a run found there is continued.",
)
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(RECIPES),
    default="songnet",
    show_default=True,
    help="Network, and how it is trained: songnet classifies windows of 3 s, songnet-30s of 30 s; "
    "tiny fits microcontrollers; five-channel is trained on audio alone, by PyTorch.",
)
@click.option(
    "--frontend",
    metavar="PRESET|FILE.json",
    help="Front end that computes the features, instead of the recipe's own: see edge-genre "
    "frontend.",
)
@click.option(
    "--task",
    "task_kind",
    type=click.Choice(TASKS),
    default="single-label",
    show_default=True,
    help="What a track has: one label, or any number of them (multi-label).",
)
@labels_csv_option
@click.option(
    "--noun",
    default="genre",
    show_default=True,
    help="What a label is, such as mood or tag: for displays and for names of sensors.",
)
@click.option("--name", help="Name of the model.  [default: the recipe's name and the data's]")
@metadata_option("Table of which artist (or album) each file is by: columns file, artist, album.")
@click.option(
    "--share",
    type=click.FloatRange(0.05, 0.5),
    default=0.2,
    show_default=True,
    help="Share of a folder's tracks to hold out for validation: whole artists, never trained on.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Seed of the random number generators: weights, batches, augmentation, the split.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Optimizer steps; half as many do for a first look.  [default: the recipe's]",
)
@click.option(
    "--evaluate-every",
    type=click.IntRange(1),
    metavar="STEPS",
    help="Steps between evaluations, each with a checkpoint.  [default: the recipe's]",
)
@click.option(
    "--initial",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.keras",
    help="Pre-trained network to begin with: that of an earlier run of the same recipe.",
)
@click.option(
    "--embeddings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.npz",
    help="Teacher embeddings, one for each track of a features file: the network learns to predict "
    "them beside the genres (distillation).",
)
@click.option(
    "--baselines",
    is_flag=True,
    help="Also train and measure classical classifiers on the same parts, for comparison.",
)
@click.option(
    "--model-version",
    default="1.0",
    show_default=True,
    help="Version of the model, for its files and card.",
)
@click.option("--license", "license_", default="", help="Licence of the weights, for the card.")
@json_option
def command(
    data: Path,
    output: Path,
    recipe_name: str,
    frontend: str | None,
    task_kind: str,
    table: Path | None,
    noun: str,
    name: str | None,
    metadata: Path | None,
    share: float,
    seed: int,
    steps: int | None,
    evaluate_every: int | None,
    initial: Path | None,
    embeddings: Path | None,
    baselines: bool,
    model_version: str,
    license_: str,
    as_json: bool,
) -> None:
    """Train a small network on labelled music, and make model files of it.

    DATA is a folder of audio with a folder for each genre, or an npz file of features in parts (see
    edge-genre evaluate). Accuracy is measured on artists that are not trained on: those that
    --metadata or the files' tags name; copies of one recording always stay together. Started again
    with the same options, a run that was stopped goes on.

    It takes half an hour on two cores, and needs TensorFlow: pip install 'edge-genre[train]'.
    """
    from edge_genre.models.train import recipes
    from edge_genre.task import Task

    recipe = recipes.RECIPES[recipe_name]
    if frontend is not None:
        given = read_spec(frontend) if frontend.endswith(".json") else frontend
        recipe = recipe.hearing(given)
    task = Task(kind=task_kind.replace("-", "_"), noun=noun)
    if not task.exclusive and baselines:
        raise click.UsageError("--baselines give one label: leave it out, or --task.")
    recipe = recipe.asking(task)
    require_framework(recipe)
    from rich.console import Console

    from edge_genre.models.publish.model_files import write_model_files
    from edge_genre.models.train.metrics import Metrics
    from edge_genre.models.train.training import train

    console = Console(stderr=True)
    recipe = replace(
        recipe,
        seed=seed,
        steps=steps or recipe.steps,
        evaluate_every=evaluate_every or recipe.evaluate_every,
    )
    found = _data(
        data,
        recipe,
        console,
        table=table,
        share=share,
        metadata=metadata,
        embeddings=embeddings,
    )
    metrics = train(found, output, recipe, console, initial).metrics
    if baselines and isinstance(metrics, Metrics):
        metrics = _with_baselines(metrics, found, console)
        metrics.write(output)  # for the card, which is made of what stands there
    paths = write_model_files(
        output,
        found,
        output,
        recipe,
        name=name or _name(recipe, found),
        version=model_version,
        license=license_,
    )
    if as_json:
        print_json(metrics.to_dict() | {"files": [str(path) for path in paths]})
    else:
        _print(metrics, paths)


def _data(
    path: Path,
    recipe: Recipe,
    console: Console,
    *,
    share: float,
    metadata: Path | None,
    embeddings: Path | None,
    table: Path | None,
) -> Data:
    """The music in its two parts."""
    from edge_genre.benchmarks.accuracy.labels_csv import read_labels
    from edge_genre.models.data.dataset import Data

    if table is not None and path.is_file():
        raise click.UsageError("--labels-csv is for a folder of audio; DATA is a file.")
    if table is not None and recipe.task.exclusive:
        raise click.UsageError("--labels-csv is for --task multi-label.")
    if table is None and not recipe.task.exclusive and path.is_dir():
        raise click.UsageError("--task multi-label needs --labels-csv for a folder of audio.")
    if not path.is_dir():
        return Data.of_file(path, recipe.spec, embeddings)
    if embeddings:
        raise click.UsageError("--embeddings are for a features file; DATA is a folder.")
    options: dict[str, Any] = {"share": share, "seed": recipe.seed, "metadata": metadata}
    with showing_progress(console) as shown:
        if table is None:
            return Data.of_folder(path, recipe.spec, **options, **shown)
        return Data.of_labelled(read_labels(table, path), path, recipe.spec, **options, **shown)


def _with_baselines(metrics: Metrics, data: Data, console: Console) -> Metrics:
    from edge_genre.models.train.baselines import score_baselines

    scores = score_baselines(data)
    for name, score in scores.items():
        console.print(
            f"{name}: windows {score.window_accuracy:.1%}, tracks {score.track_accuracy:.1%}"
        )
    return replace(metrics, baselines=scores)


def _print(metrics: RunMetrics, paths: list[Path]) -> None:
    click.echo(metrics.validation.result)
    for path in paths:
        click.echo(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def _name(recipe: Recipe, data: Data) -> str:
    return f"{recipe.name}-" + "".join(c if c.isalnum() else "-" for c in data.name.lower())
