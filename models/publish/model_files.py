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

from edge_genre.benchmarks.accuracy.evaluation import Track, evaluate
from edge_genre.classifier import Classifier
from edge_genre.convert.pipeline import convert
from edge_genre.convert.report import KEPT
from edge_genre.errors import GateError
from edge_genre.model.container import split
from edge_genre.model.file import write
from edge_genre.models.data.dataset import Data
from edge_genre.models.publish.card import write_card
from edge_genre.models.train.recipes import Recipe

_MOST_WINDOWS = 2000  # to hold a file against its source on, and to find its ranges


def export(
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
    metrics = json.loads((run / "metrics.json").read_text())
    last = metrics["validation_at_last_step"]
    song_temperature = metrics["calibration"]["song_temperature"]
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
    if data.embeddings:
        training["recipe"] += f" --embeddings {data.embeddings}"
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
            measured = [
                _measured(Classifier.load(path), data, song_temperature) for path in kept if path
            ]
            classifier, accuracy = max(measured, key=lambda each: _rank(each[1]))
            info = replace(
                classifier.info,
                name=name,
                version=version,
                training=training,
                accuracy=accuracy,
                song_temperature=song_temperature,
            )
            paths.append(output / f"{name}.{suffix}")
            write(paths[-1], split(classifier.model.content)[0], info)
    write_card(run, paths)
    return paths


def _measured(
    classifier: Classifier, data: Data, song_temperature: float
) -> tuple[Classifier, tuple[dict[str, Any], ...]]:
    """Counts of right windows and right tracks of the validation part."""
    windows, owner = data.held_out.windows(data.spec.n_frames)
    if windows.shape[1:] != classifier.spec.shape:  # PyTorch has channels first, TFLite last
        windows = np.moveaxis(windows, 1, -1)
    rows = np.stack([classifier.run(np.ascontiguousarray(window)) for window in windows])
    found = evaluate(
        [
            Track(str(name), int(label), rows[owner == number], song_temperature)
            for number, (name, label) in enumerate(
                zip(data.held_out.names, data.held_out.labels, strict=True)
            )
        ],
        data.held_out.genres,
    )
    text = f"validation tracks of {data.name}; split: {data.split}"
    return classifier, tuple(
        {
            "data": text,
            "unit": unit,
            "n": n,
            "correct": correct,
            "low": round(share.low, 4),
            "high": round(share.high, 4),
            "calibration_error": round(error, 4),
        }
        for unit, n, correct, share, error in (
            (
                "window",
                found.windows,
                found.windows_correct,
                found.window_accuracy,
                found.window_calibration_error,
            ),
            (
                "track",
                found.tracks,
                found.tracks_correct,
                found.track_accuracy,
                found.track_calibration_error,
            ),
        )
    )


def _rank(accuracy: Sequence[dict[str, Any]]) -> int:
    return sum(row["correct"] for row in accuracy)
