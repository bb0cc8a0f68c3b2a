"""Makes the files of this folder, with edge-genre 0.1.0 and its extra ``convert``.

    python make.py FOLDER

A network with few weights, drawn at random, is converted to TFLite and ONNX, with its front end
apart and as part of the graph. The first two then get everything else that a description can hold,
by 0.1.0's writer.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

LABELS = ("calm", "lively", "loud")
SPEC = {
    "kind": "log_mel",
    "sample_rate": 8000,
    "window_seconds": 1.0,
    "n_fft": 256,
    "hop_length": 128,
    "n_mels": 16,
    "log": "natural",
    "amin": 1e-6,
    "normalize": "mean_variance",
}
SHAPE = (63, 16)


def network() -> keras.Model:
    """A convolution, a mean over time and bands, and a layer of classes."""
    inputs = keras.Input(SHAPE)
    x = keras.layers.Reshape((*SHAPE, 1))(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(len(LABELS), activation="softmax")(x))
    random = np.random.default_rng(1)
    model.set_weights([random.standard_normal(w.shape) for w in model.get_weights()])
    return model


def edge_genre(*arguments: object) -> str:
    """What the command of 0.1.0 prints."""
    program = "import sys; from edge_genre.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def describe(path: Path) -> None:
    """Fill in what a conversion leaves empty."""
    from edge_genre.model_file import read, write

    model = read(path)
    info = dataclasses.replace(
        model.info,
        training={"data": "none", "epochs": 0},
        accuracy=({"data": "none", "unit": "track", "n": 3, "correct": 1},),
        song_temperature=0.8,
        card="# small\n\nTest data: its weights are random numbers.\n",
    )
    write(path, model.content, info)


def main(folder: Path) -> None:
    """Write the model files, and what 0.1.0 says of the demo clip's first window with each."""
    version = edge_genre("--version").split()[-1]
    assert version == "0.1.0", version
    answers = {}
    with tempfile.TemporaryDirectory() as name:
        source, spec = Path(name) / "small.keras", Path(name) / "front_end.json"
        network().save(source)
        spec.write_text(json.dumps(SPEC))
        options = ["--labels", ",".join(LABELS), "--frontend", spec, "--output", folder]
        options += ["--to", "tflite,onnx", "--quantize", "fp32", "--license", "CC0-1.0"]
        options += ["--description", "Random weights: test data"]
        options += ["--name", "small"]
        edge_genre("convert", source, *options)
        edge_genre("convert", source, *options, "--waveform")
    for kind in ("tflite", "onnx"):
        describe(folder / f"small-fp32.{kind}")
    clip = Path(__file__).parents[3] / "edge/demo/demo.ogg"
    for path in sorted((*folder.glob("*.tflite"), *folder.glob("*.onnx"))):
        song = json.loads(edge_genre("classify", clip, "--windows", "--json", "--model", path))
        answers[path.name] = song["windows"][0]["probabilities"]
    (folder / "answers.json").write_text(json.dumps(answers, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
