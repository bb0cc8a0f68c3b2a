"""``edge-genre train``: a model for one's own genres."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_genre.cli.options import json_option
from edge_genre.cli.view import print_json
from edge_genre.errors import DataError
from edge_genre.host.quiet import quiet_libraries

if TYPE_CHECKING:
    from edge_genre.models.data.dataset import Data
    from edge_genre.models.train.recipes import Recipe


@click.command("train", no_args_is_help=True)
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="For the model files, metrics and checkpoints; a run found there is continued.",
)
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(["songnet", "songnet-30s", "tiny", "five-channel"]),
    default="songnet",
    show_default=True,
    help="Network and how it is trained: songnet hears 3 s, songnet-30s 30 s; tiny fits "
    "microcontrollers; five-channel is trained on audio alone, by PyTorch.",
)
@click.option("--name", help="Of the model.  [default: the recipe's name and the data's]")
@click.option(
    "--metadata",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Says which artist (or album) each file is of: columns file, artist, album.",
)
@click.option(
    "--share",
    type=click.FloatRange(0.05, 0.5),
    default=0.2,
    show_default=True,
    help="Of the tracks of a folder, to measure on: whole artists, never trained on.",
)
@click.option("--seed", default=0, show_default=True, help="Of everything random.")
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Optimizer steps; half as many do for a first look.  [default: the recipe's]",
)
@click.option(
    "--evaluate-every",
    type=click.IntRange(1),
    metavar="STEPS",
    help="From one checkpoint to the next.  [default: the recipe's]",
)
@click.option(
    "--initial",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.keras",
    help="Network to begin with: that of an earlier run of the same recipe.",
)
@click.option(
    "--embeddings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.npz",
    help="What a larger network says of each track of a features file, to be learned beside the "
    "genres.",
)
@click.option("--baselines", is_flag=True, help="Measure classical classifiers on the same parts.")
@click.option(
    "--model-version", default="1.0", show_default=True, help="Of the model, for the files' card."
)
@click.option("--license", "license_", default="", help="Of the weights, for the files' card.")
@json_option
def command(
    data: Path,
    output: Path,
    recipe_name: str,
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
    from edge_genre.models.train.recipes import RECIPES

    recipe = RECIPES[recipe_name]
    require_framework(recipe)
    from rich.console import Console

    from edge_genre.models.data.dataset import Data
    from edge_genre.models.publish.model_files import export
    from edge_genre.models.train.training import train

    console = Console(stderr=True)
    recipe = replace(
        recipe,
        seed=seed,
        steps=steps or recipe.steps,
        evaluate_every=evaluate_every or recipe.evaluate_every,
    )
    if data.is_dir():
        if embeddings:
            raise click.UsageError("--embeddings are for a features file; DATA is a folder.")
        with reading(console) as options:
            found = Data.of_folder(
                data, recipe.spec, share=share, seed=seed, metadata=metadata, **options
            )
    else:
        found = Data.of_file(data, recipe.spec, embeddings)
    metrics = train(found, output, recipe, console, initial).metrics
    if baselines:
        metrics["baselines"] = _baselines(found, console)
        # For the card, which is made of what stands there.
        (output / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    paths = export(
        output,
        found,
        output,
        recipe,
        name=name or _name(recipe, found),
        version=model_version,
        license=license_,
    )
    if as_json:
        print_json(metrics | {"files": [str(path) for path in paths]})
        return
    result = metrics["validation"]
    click.echo(
        f"{result['tracks_correct']} of {result['tracks']} tracks, "
        f"{result['windows_correct']} of {result['windows']} windows right"
    )
    for path in paths:
        click.echo(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def require_framework(recipe: Recipe) -> None:
    """Load what a recipe is trained with, without its reports, or say that it is missing.

    Raises
    ------
    DataError
        It is not installed.
    """
    if recipe.network == "five_channel" and importlib.util.find_spec("torch") is None:
        raise DataError("this recipe needs PyTorch: pip install 'edge-genre[train,pytorch]'")
    if importlib.util.find_spec("tensorflow") is None:
        raise DataError("training needs TensorFlow: pip install 'edge-genre[train]'")
    # It tells of the processor and of drivers that are not there.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet_libraries():
        importlib.import_module("tensorflow").config.list_physical_devices()


@contextmanager
def reading(console: Any) -> Iterator[dict[str, Any]]:
    """Show on a terminal how far the reading of a folder is; name what is left out."""
    from rich.progress import Progress

    with Progress(console=console, disable=not console.is_terminal) as view:
        bar = view.add_task("reading", total=None)

        def progress(done: int, total: int) -> None:
            view.update(bar, completed=done, total=total)

        def left_out(line: str) -> None:
            view.console.print(f"edge-genre: {line}", highlight=False, markup=False)

        yield {"progress": progress, "left_out": left_out}


def _baselines(data: Data, console: Any) -> dict[str, dict[str, Any]]:
    from edge_genre.models.train.baselines import measure

    scores = measure(data)
    for name, score in scores.items():
        console.print(
            f"{name}: windows {score['window_accuracy']:.1%}, tracks {score['track_accuracy']:.1%}"
        )
    return scores


def _name(recipe: Recipe, data: Data) -> str:
    return f"{recipe.name}-" + "".join(c if c.isalnum() else "-" for c in data.name.lower())
