"""Model files of a trained SongNet: TFLite and ONNX, each checked, measured and described.

`edge_genre.convert` makes them and holds them against the Keras model on training windows; their
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
from edge_genre.models.songnet.data import SPEC, Data

VERSION = "0.2.0"
# The first that is kept and recognises most: 8 bits for TFLite, floats for ONNX, where they cost
# neither time nor a browser's patience.
FORMATS = {"tflite": ("dynamic", "int8"), "onnx": ("fp32",)}


def export(
    run: Path,
    data: Data,
    output: Path,
    *,
    name: str,
    license: str = "",  # noqa: A002
) -> list[Path]:
    """Write the model files of a finished run.

    Parameters
    ----------
    run : folder that `edge_genre.models.songnet.train.train` wrote.
    data : what it was trained on.
    output : folder for the files, which are called by name.
    name : of the model.
    license : of its weights.

    Raises
    ------
    GateError
        No form of a format agrees with the Keras model.
    """
    metrics = json.loads((run / "metrics.json").read_text())
    recipe, last = metrics["recipe"], metrics["validation_at_last_step"]
    training = {
        "data": f"{data.name}, {metrics['training_tracks']} tracks",
        "split": data.split,
        "recipe": f"edge-genre train --seed {recipe['seed']} --steps {recipe['steps']}",
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
        windows, owner = data.tracks.windows(SPEC.n_frames)
        calibration = Path(folder) / f"{data.name} training windows.npz"
        np.savez(calibration, X=windows, y=data.tracks.labels[owner])
        for suffix, quantizations in FORMATS.items():
            report = convert(
                run / "songnet.keras",
                output=Path(folder),
                name=name,
                to=[suffix],
                quantize=quantizations,
                labels=data.tracks.genres,
                front_end=SPEC,
                calibrate=calibration,
                license=license,
                description=f"CNN + GRU + attention on 3 s of log-mel; "
                f"{len(data.tracks.genres)} genres of {data.name}",
            )
            kept = [result.path for result in report.results if result.status == KEPT]
            if not kept:
                raise GateError(next(report.problems()))
            measured = [_measured(Classifier.load(path), data) for path in kept if path]
            classifier, accuracy = max(measured, key=lambda each: _rank(each[1]))
            info = replace(
                classifier.info, name=name, version=VERSION, training=training, accuracy=accuracy
            )
            paths.append(output / f"{name}.{suffix}")
            write(paths[-1], split(classifier.model.content)[0], info)
    return paths


def _measured(classifier: Classifier, data: Data) -> tuple[Classifier, tuple[dict[str, Any], ...]]:
    """Counts of right windows and right tracks of the validation part."""
    windows, owner = data.held_out.windows(SPEC.n_frames)
    probabilities = np.stack([classifier.run(window) for window in windows])
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
