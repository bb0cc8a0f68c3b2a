"""Model files of a trained network: TFLite and ONNX, each checked, measured and described.

`edge_genre.convert` makes them and holds them against the network on training windows; their
accuracy is counted on all validation windows, in their real engines.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edge_genre.classifier import Classifier
from edge_genre.container import split
from edge_genre.convert.pipeline import convert
from edge_genre.convert.report import KEPT
from edge_genre.errors import GateError
from edge_genre.model_file import write
from edge_genre.models.card import write_card
from edge_genre.models.data import Data
from edge_genre.models.recipes import Recipe

VERSION = "0.3.0"
_MOST_WINDOWS = 2000  # to hold a file against its source on, and to find its ranges


def export(
    run: Path,
    data: Data,
    output: Path,
    recipe: Recipe,
    *,
    name: str,
    license: str = "",  # noqa: A002
) -> list[Path]:
    """Write the model files of a finished run, and its card.

    Parameters
    ----------
    run : folder that `edge_genre.models.training.train` wrote.
    data : what it was trained on.
    output : folder for the files, which are called by name.
    recipe : that it was trained by.
    name : of the model.
    license : of its weights.

    Raises
    ------
    GateError
        No form of a format agrees with the network.
    """
    metrics = json.loads((run / "metrics.json").read_text())
    last = metrics["validation_at_last_step"]
    (source,) = run.glob("model.*")
    training = {
        "data": f"{data.name}, {metrics['training_tracks']} tracks",
        "split": data.split,
        "recipe": f"edge-genre train --recipe {recipe.name} --seed {recipe.seed} "
        f"--steps {recipe.steps}",
        "chosen": metrics["chosen"],
        "last_step": f"{last['windows_correct']} of {last['windows']} windows, "
        f"{last['tracks_correct']} of {last['tracks']} tracks, not chosen",
        "parameters": metrics["parameters"],
    }
    if metrics["initial"]:
        training["recipe"] += f" --initial {metrics['initial']['file']}"
        training["initial_sha256"] = metrics["initial"]["sha256"]
    paths = []
    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        windows, owner = data.tracks.windows(recipe.n_frames)
        some = np.random.default_rng(0).permutation(len(windows))[:_MOST_WINDOWS]
        calibration = Path(folder) / f"{data.name} training windows.npz"
        np.savez(calibration, X=windows[some], y=data.tracks.labels[owner[some]])
        for suffix, quantizations in recipe.formats.items():
            report = convert(
                source,
                output=Path(folder),
                name=name,
                to=[suffix],
                quantize=quantizations,
                labels=data.tracks.genres,
                front_end=data.spec,
                architecture=recipe.architecture,
                target=recipe.target if suffix == "tflite" else "litert",
                calibrate=calibration,
                license=license,
                description=f"{recipe.description}; "
                f"{len(data.tracks.genres)} genres of {data.name}",
            )
            kept = [result.path for result in report.results if result.status == KEPT]
            if not kept:
                raise GateError(next(report.problems()))
            measured = [_measured(Classifier.load(path), data) for path in kept if path]
            classifier, accuracy = max(measured, key=lambda each: _rank(each[1]))
            info = replace(
                classifier.info,
                name=name,
                version=VERSION,
                training=training,
                accuracy=accuracy,
                song_temperature=metrics["calibration"]["song_temperature"],
            )
            paths.append(output / f"{name}.{suffix}")
            write(paths[-1], split(classifier.model.content)[0], info)
    write_card(run, paths)
    return paths


def _measured(classifier: Classifier, data: Data) -> tuple[Classifier, tuple[dict[str, Any], ...]]:
    """Counts of right windows and right tracks of the validation part."""
    n_frames = data.spec.n_frames
    windows, owner = data.held_out.windows(n_frames)
    if windows.shape[1:] != classifier.spec.shape:  # PyTorch has channels first, TFLite last
        windows = np.moveaxis(windows, 1, -1)
    probabilities = np.stack([classifier.run(np.ascontiguousarray(row)) for row in windows])
    labels = data.held_out.labels
    sums = np.zeros((len(labels), probabilities.shape[1]))
    np.add.at(sums, owner, probabilities)
    rights = {
        "window": probabilities.argmax(axis=1) == labels[owner],
        "track": sums.argmax(axis=1) == labels,
    }
    text = f"validation tracks of {data.name}, by artists that are not in the training data"
    return classifier, tuple(
        {"data": text, "unit": unit, "n": len(right), "correct": int(right.sum())}
        for unit, right in rights.items()
    )


def _rank(accuracy: Sequence[dict[str, Any]]) -> int:
    return sum(row["correct"] for row in accuracy)
