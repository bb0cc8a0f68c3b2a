"""Make the bundled files of a trained SongNet: TFLite and ONNX, each checked and described.

    python -m edge_genre.models.songnet.export --run runs/songnet --corpus gtzan_logmel.npz

`edge_genre.convert` makes them and holds them against the Keras model on training windows; their
accuracy is counted on all validation windows, in their real engines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from edge_genre.classifier import Classifier
from edge_genre.container import split
from edge_genre.convert.pipeline import QUANTIZATIONS, convert
from edge_genre.errors import GateError
from edge_genre.model_file import write
from edge_genre.models.songnet.corpus import TRAIN, VALIDATION, Tracks

NAME = "songnet-gtzan"
VERSION = "0.1.0"


@click.command()
@click.option(
    "--run",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder that the training wrote.",
)
@click.option(
    "--corpus",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="gtzan_logmel.npz.",
)
@click.option(
    "--output",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(__file__).parents[1] / "bundled",
    help="Folder for the model files.  [default: the bundled models]",
)
@click.option(
    "--tflite",
    type=click.Choice(QUANTIZATIONS),
    default="dynamic",
    show_default=True,
    help="Weights of the TFLite file.",
)
@click.option(
    "--onnx",
    type=click.Choice(QUANTIZATIONS),
    default="fp32",
    show_default=True,
    help="Weights of the ONNX file.",
)
def main(run: Path, corpus: Path, output: Path, tflite: str, onnx: str) -> None:
    """Convert, compare and write."""
    metrics = json.loads((run / "metrics.json").read_text())
    validation = Tracks.load(corpus, VALIDATION)
    training = {
        "data": f"GTZAN, {metrics['training_tracks']} tracks",
        "split": "fault-filtered, artists apart (Kereliuk and Sturm)",
        "recipe": "python -m edge_genre.models.songnet.train "
        f"--seed {metrics['recipe']['seed']} --steps {metrics['recipe']['steps']}",
        "chosen": metrics["chosen"],
        "parameters": metrics["parameters"],
    }
    for classifier in _converted(run, corpus, {"tflite": tflite, "onnx": onnx}):
        windows = validation.windows(classifier.spec.n_frames)
        rows = [classifier.run(window) for track in windows for window in track]
        probabilities = np.stack(rows).reshape(*windows.shape[:2], -1)
        accuracy = _accuracy(probabilities, validation.labels)
        info = replace(
            classifier.info, name=NAME, version=VERSION, training=training, accuracy=accuracy
        )
        path = output / f"{NAME}.{classifier.model.kind}"
        graph, _ = split(classifier.model.content)
        write(path, graph, info)
        figures = ", ".join(f"{a['correct']} of {a['n']} {a['unit']}s" for a in accuracy)
        print(f"{path.name}: {path.stat().st_size} bytes, {figures}; {info.parity}")


def _converted(run: Path, corpus: Path, formats: dict[str, str]) -> Iterator[Classifier]:
    with TemporaryDirectory() as folder:
        tracks = Tracks.load(corpus, TRAIN)
        windows = tracks.windows(39)
        data = Path(folder) / "GTZAN training windows.npz"
        np.savez(
            data,
            X=windows.reshape(-1, *windows.shape[2:]),
            y=np.repeat(tracks.labels, windows.shape[1]),
        )
        for suffix, quantization in formats.items():
            report = convert(
                run / "songnet.keras",
                output=folder,
                to=[suffix],
                quantize=[quantization],
                labels=tracks.genres,
                front_end=NAME,
                calibrate=data,
                license="Apache-2.0",
                description="CNN + GRU + attention on 3 s of log-mel; ten genres of GTZAN",
            )
            for problem in report.problems():
                raise GateError(problem)
            yield Classifier.load(report.files[0])


def _accuracy(probabilities: np.ndarray, labels: np.ndarray) -> tuple[dict[str, Any], ...]:
    """Counts of right windows and right tracks.

    Parameters
    ----------
    probabilities : float32 [shape=(tracks, windows, classes)]
    labels : int64 [shape=(tracks,)]
    """
    right = probabilities.argmax(axis=2) == labels[:, None]
    tracks = probabilities.mean(axis=1).argmax(axis=1) == labels
    data = "validation tracks of GTZAN, by artists that are not in the training data"
    return (
        {"data": data, "unit": "window", "n": right.size, "correct": int(right.sum())},
        {"data": data, "unit": "track", "n": len(tracks), "correct": int(tracks.sum())},
    )


if __name__ == "__main__":
    main()
