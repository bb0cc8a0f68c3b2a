"""Model files of a trained network: TFLite and ONNX, each checked, measured and described.

`edge_genre.convert` makes them and holds them against the network on training windows; their
accuracy is counted on all validation windows, in their real engines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edge_genre.benchmarks.accuracy.evaluation import (
    Estimate,
    Evaluation,
    evaluate,
    tracks_of_windows,
)
from edge_genre.classifier import Classifier
from edge_genre.convert.pipeline import convert
from edge_genre.convert.report import KEPT
from edge_genre.errors import GateError
from edge_genre.model.container import split
from edge_genre.model.file import write
from edge_genre.models.data.dataset import Data
from edge_genre.models.publish.card import write_card
from edge_genre.models.train.metrics import Metrics
from edge_genre.models.train.recipes import RECIPES, Recipe

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
    metrics = Metrics.read(run)
    song_temperature = metrics.confidence.song_temperature
    facts = _training_facts(data, metrics, recipe)
    paths = []
    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        windows = _training_windows(data, Path(folder))
        for suffix in recipe.formats:
            forms = _converted(run, data, recipe, suffix, windows, name, license)
            classifiers = [Classifier.load(form) for form in forms]
            results = [_evaluated(each, data, song_temperature) for each in classifiers]
            # The first of those that recognise most.
            rights = [each.windows_correct + each.tracks_correct for each in results]
            best = rights.index(max(rights))
            info = replace(
                classifiers[best].info,
                name=name,
                version=version,
                training=facts,
                accuracy=tuple(_figures(results[best], data)),
                song_temperature=song_temperature,
            )
            paths.append(output / f"{name}.{suffix}")
            write(paths[-1], split(classifiers[best].model.content)[0], info)
    write_card(run, paths)
    return paths


def _training_facts(data: Data, metrics: Metrics, recipe: Recipe) -> dict[str, Any]:
    """What the file says of its training."""
    last = metrics.validation_at_last_step
    facts: dict[str, Any] = {
        "data": f"{data.name}, {metrics.training_tracks} tracks",
        "split": data.split,
        "recipe": f"edge-genre train --recipe {recipe.name}{_front_end(recipe)} "
        f"--seed {recipe.seed} --steps {recipe.steps}",
        "chosen": metrics.chosen,
        "last_step": f"{last.windows_correct} of {last.windows} windows, "
        f"{last.tracks_correct} of {last.tracks} tracks, not chosen",
        "parameters": metrics.parameters,
    }
    if data.embeddings:
        facts["recipe"] += f" --embeddings {data.embeddings}"
    if metrics.initial:
        facts["recipe"] += f" --initial {metrics.initial.file}"
        facts["initial_sha256"] = metrics.initial.sha256
    return facts


def _front_end(recipe: Recipe) -> str:
    """The option that gave the recipe another front end than its own, if one did."""
    if recipe.front_end == RECIPES[recipe.name].front_end:
        return ""
    return " --frontend " + (recipe.front_end if isinstance(recipe.front_end, str) else "FILE.json")


def _converted(
    run: Path, data: Data, recipe: Recipe, suffix: str, windows: Path, name: str, license_: str
) -> list[Path]:
    """Forms of the network in one format that agree with it, beside the windows."""
    (source,) = run.glob("model.*")
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
        description=f"{recipe.description}; {len(data.tracks.genres)} genres of {data.name}",
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


def _evaluated(classifier: Classifier, data: Data, song_temperature: float) -> Evaluation:
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
    )
    return evaluate(tracks, data.held_out.genres)


def _figures(found: Evaluation, data: Data) -> Iterator[dict[str, Any]]:
    """What the file says of its accuracy: a row for windows, and one for tracks."""
    for unit in ("window", "track"):
        share: Estimate = getattr(found, f"{unit}_accuracy")
        yield {
            "data": f"validation tracks of {data.name}; split: {data.split}",
            "unit": unit,
            "n": getattr(found, f"{unit}s"),
            "correct": getattr(found, f"{unit}s_correct"),
            "low": round(share.low, 4),
            "high": round(share.high, 4),
            "calibration_error": round(getattr(found, f"{unit}_calibration_error"), 4),
        }
