"""Model files of a trained network: TFLite and ONNX, each checked, measured and described.

`edge_genre.convert` makes them and holds them against the network on training windows; their
accuracy is counted on all validation windows, in their real engines.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edge_genre.benchmarks.accuracy.by_task import AnyEvaluation, evaluate_task
from edge_genre.benchmarks.accuracy.evaluation import Track, tracks_of_windows
from edge_genre.classifier import Classifier
from edge_genre.convert.pipeline import convert
from edge_genre.convert.report import KEPT
from edge_genre.errors import GateError
from edge_genre.model.container import split
from edge_genre.model.file import write
from edge_genre.models.data.dataset import Data
from edge_genre.models.publish.accuracy import figures, rightness
from edge_genre.models.publish.card import write_card
from edge_genre.models.train.metrics import RunMetrics
from edge_genre.models.train.objectives import OBJECTIVES
from edge_genre.models.train.recipes import RECIPES, Recipe
from edge_genre.task import GENRES, Task

_MOST_WINDOWS = 2000  # to hold a file against its source on, and to find its ranges


def write_model_files(
    run: Path,
    data: Data,
    output: Path,
    recipe: Recipe,
    *,
    name: str,
    version: str = "1.0",
    license: str = "",  # noqa: A002
) -> list[Path]:
    """Write the model files of a finished run, and its card.

    Parameters
    ----------
    run : folder that `edge_genre.models.train.training.train` wrote.
    data : what it was trained on.
    output : folder for the files, which are called by name.
    recipe : that it was trained by.
    name, version : of the model.
    license : of its weights.

    Raises
    ------
    GateError
        No form of a format agrees with the network.
    """
    metrics = OBJECTIVES[recipe.task.kind].metrics.read(run)
    temperature = metrics.song_temperature
    task = metrics.decided(recipe.task).of_labels(data.tracks.genres)
    facts = _training_facts(data, metrics, recipe)
    paths = []
    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        windows = _training_windows(data, Path(folder))
        for suffix in recipe.formats:
            forms = _converted(run, data, recipe, task, suffix, windows, name, license)
            classifiers = [Classifier.load(form) for form in forms]
            results = [_evaluated(each, data, task, temperature) for each in classifiers]
            # The first of those that recognise most.
            rights = [rightness(each) for each, _ in results]
            best = rights.index(max(rights))
            info = replace(
                classifiers[best].info,
                name=name,
                version=version,
                task=task,
                training=facts,
                accuracy=tuple(
                    {"data": f"validation tracks of {data.name}; split: {data.split}", **row}
                    for row in figures(*results[best])
                ),
                song_temperature=temperature,
            )
            paths.append(output / f"{name}.{suffix}")
            write(paths[-1], split(classifiers[best].model.content)[0], info)
    write_card(run, paths)
    return paths


def _training_facts(data: Data, metrics: RunMetrics, recipe: Recipe) -> dict[str, Any]:
    """What the file says of its training."""
    last = metrics.validation_at_last_step
    facts: dict[str, Any] = {
        "data": f"{data.name}, {metrics.training_tracks} tracks",
        "split": data.split,
        "recipe": f"edge-genre train --recipe {recipe.name}{_options(recipe)} "
        f"--seed {recipe.seed} --steps {recipe.steps}",
        "chosen": metrics.chosen,
        "last_step": f"{last.counted}, not chosen",
        "parameters": metrics.parameters,
    }
    if data.embeddings:
        facts["recipe"] += f" --embeddings {data.embeddings}"
    if metrics.initial:
        facts["recipe"] += f" --initial {metrics.initial.file}"
        facts["initial_sha256"] = metrics.initial.sha256
    return facts


def _options(recipe: Recipe) -> str:
    """Options that gave the recipe another front end or task than its own, if any did."""
    options, front_end, task = "", recipe.front_end, recipe.task
    if front_end != RECIPES[recipe.name].front_end:
        options += " --frontend " + (front_end if isinstance(front_end, str) else "FILE.json")
    if task != GENRES:
        options += f" --task {task.option} --noun {shlex.quote(task.noun)}"
    return options


def _converted(
    run: Path,
    data: Data,
    recipe: Recipe,
    task: Task,
    suffix: str,
    windows: Path,
    name: str,
    license_: str,
) -> list[Path]:
    """Forms of the network in one format that agree with it, beside the windows."""
    (source,) = run.glob("model.*")
    meant: dict[str, Any] = {} if task == GENRES else {"task": task.option}
    report = convert(
        source,
        output=windows.parent,
        name=name,
        to=[suffix],
        quantize=recipe.formats[suffix],
        labels=data.tracks.genres,
        front_end=data.spec,
        architecture=recipe.architecture,
        target=recipe.target if suffix == "tflite" else "litert",
        calibrate=windows,
        license=license_,
        description=f"{recipe.description}; {len(data.tracks.genres)} {task.nouns} of {data.name}",
        **meant,
    )
    kept = [result.path for result in report.results if result.status == KEPT and result.path]
    if not kept:
        raise GateError(next(report.problems()))
    return kept


def _training_windows(data: Data, folder: Path) -> Path:
    """Write windows to find ranges of activations on, and to compare files with the network on."""
    windows, owner = data.tracks.windows()
    chosen = np.random.default_rng(0).permutation(len(windows))[:_MOST_WINDOWS]
    path = folder / f"{data.name} training windows.npz"
    np.savez(path, X=windows[chosen], y=data.tracks.labels[owner[chosen]])
    return path


def _evaluated(
    classifier: Classifier, data: Data, task: Task, song_temperature: float
) -> tuple[AnyEvaluation, list[Track]]:
    """How right a model file is on the validation part."""
    windows, owner = data.held_out.windows()
    if windows.shape[1:] != classifier.spec.shape:  # PyTorch has channels first, TFLite last
        windows = np.moveaxis(windows, 1, -1)
    rows = np.stack([classifier.run(np.ascontiguousarray(window)) for window in windows])
    tracks = tracks_of_windows(
        rows,
        owner,
        data.held_out.labels,
        names=data.held_out.names,
        temperature=song_temperature,
        task=task,
    )
    return evaluate_task(tracks, data.held_out.genres, task), tracks
