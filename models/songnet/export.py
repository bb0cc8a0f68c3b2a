"""Make the bundled files of a trained SongNet: TFLite and ONNX, each checked and described.

    python -m edge_genre.models.songnet.export --run runs/songnet --corpus gtzan_logmel.npz

Each file is run in its real engine over all validation windows and compared with the Keras model;
one that drifts is not written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click
import keras
import numpy as np

import edge_genre.models.songnet.architecture  # noqa: F401 - registers SongNet's layers
from edge_genre.convert.onnx import keras_to_onnx
from edge_genre.convert.parity import compare
from edge_genre.convert.self_test import with_self_test
from edge_genre.convert.tflite import keras_to_tflite
from edge_genre.engines import Engine
from edge_genre.errors import GateError
from edge_genre.frontend import FrontEndSpec
from edge_genre.model_file import ModelFile, ModelInfo, write
from edge_genre.models.songnet.corpus import TRAIN, VALIDATION, Tracks

NAME = "songnet-gtzan"
VERSION = "0.1.0"
# Largest difference of a probability, and share of windows with the same genre.
LIMITS = {
    "fp32": (1e-4, 1.0),
    "fp16": (5e-3, 0.995),
    "dynamic": (0.05, 0.985),
    "int8": (0.1, 0.985),
}


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
    type=click.Choice(list(LIMITS)),
    default="dynamic",
    show_default=True,
    help="Weights of the TFLite file.",
)
@click.option(
    "--onnx",
    type=click.Choice(["fp32", "dynamic"]),
    default="fp32",
    show_default=True,
    help="Weights of the ONNX file.",
)
def main(
    run: Path,
    corpus: Path,
    output: Path,
    tflite: Literal["fp32", "fp16", "dynamic", "int8"],
    onnx: Literal["fp32", "dynamic"],
) -> None:
    """Convert, check, describe and write."""
    model = keras.models.load_model(run / "songnet.keras")
    metrics = json.loads((run / "metrics.json").read_text())
    spec = FrontEndSpec.preset(NAME)
    validation = Tracks.load(corpus, VALIDATION)
    windows = validation.windows(spec.n_frames)
    calibration = None
    if tflite == "int8":
        calibration = Tracks.load(corpus, TRAIN).windows(spec.n_frames)[::2, 4]
    reference = model.predict(windows.reshape(-1, *spec.shape), verbose=0)

    made = (
        ("tflite", tflite, keras_to_tflite(model, quantize=tflite, calibration=calibration)),
        ("onnx", onnx, keras_to_onnx(model, quantize=onnx)),
    )
    for suffix, quantization, content in made:
        path = output / f"{NAME}.{suffix}"
        engine = Engine(
            ModelFile(path, suffix, content, None), shape=spec.shape, output="probabilities"
        )
        found = np.stack([engine.run(window) for window in windows.reshape(-1, *spec.shape)])
        parity = compare(reference, found)
        difference, agreement = LIMITS[quantization]
        if parity.max_difference > difference or parity.top1_agreement < agreement:
            raise GateError(f"{path.name} ({quantization}) is too far from the source: {parity}")
        info = ModelInfo(
            name=NAME,
            version=VERSION,
            license="Apache-2.0",
            description="CNN + GRU + attention on 3 s of log-mel; ten genres of GTZAN",
            front_end=spec,
            labels=validation.genres,
            quantization=quantization,
            training={
                "data": f"GTZAN, {metrics['training_tracks']} tracks",
                "split": "fault-filtered, artists apart (Kereliuk and Sturm)",
                "recipe": "python -m edge_genre.models.songnet.train "
                f"--seed {metrics['recipe']['seed']} --steps {metrics['recipe']['steps']}",
                "chosen": metrics["chosen"],
                "parameters": model.count_params(),
            },
            accuracy=_accuracy(found.reshape(*windows.shape[:2], -1), validation.labels),
            parity={
                **parity.to_dict(),
                "engine": engine.name,
                "max_difference_allowed": difference,
                "top1_agreement_required": agreement,
            },
        )
        write(path, content, with_self_test(content, info))
        figures = ", ".join(f"{a['correct']} of {a['n']} {a['unit']}s" for a in info.accuracy)
        print(f"{path.name}: {path.stat().st_size} bytes, {figures}; {parity}")


def _accuracy(
    probabilities: np.ndarray, labels: np.ndarray
) -> tuple[dict[str, str | int], dict[str, str | int]]:
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
