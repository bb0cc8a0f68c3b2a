"""Models of several inputs and outputs, of every kind: names, order, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from edge_genre.convert.onnx.quantize import quantize_onnx
from edge_genre.convert.onnx.writer import keras_to_onnx
from edge_genre.convert.sources import open_model
from edge_genre.convert.tensors import TensorSpec
from edge_genre.convert.tflite.flatbuffer import parse
from edge_genre.convert.tflite.writer import keras_to_tflite
from edge_genre.convert.verify.drift import layer_drift
from edge_genre.convert.verify.parity import compare
from edge_genre.errors import ConversionError
from tests.support.requirements import require_package
from tests.support.sources import noise, refusal

# Of one number of steps and different widths: whoever mixes them up cannot run.
MEL, MFCC = (12, 16), (12, 5)
SHAPES = {"mel": MEL, "mfcc": MFCC}
GENRES = 4
WINDOWS = [noise(MEL, n=48, seed=1), noise(MFCC, n=48, seed=2)]
CALIBRATION = [noise(MEL, n=64, seed=3), noise(MFCC, n=64, seed=4)]

NETWORK = f"""
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d({MEL[1]}, 8, 3, padding=1)
        self.second = nn.GRU({MFCC[1]}, 8, batch_first=True)
        self.attention = nn.Linear(16, 1)
        self.last = nn.Linear(16, {GENRES})

    def both(self, mel, mfcc):
        first = torch.relu(self.first(mel.transpose(1, 2))).transpose(1, 2)
        steps = torch.cat([first, self.second(mfcc)[0]], dim=-1)
        weights = torch.softmax(self.attention(steps), dim=1)
        return torch.softmax(4 * self.last((weights * steps).sum(dim=1)), dim=-1), weights

    def forward(self, mel, mfcc, scale=None):
        return self.both(mel, mfcc)[0]

class Explaining(Two):
    def forward(self, mel, mfcc):
        genre, weights = self.both(mel, mfcc)
        return dict(weights=weights, genre=genre)
"""


@pytest.fixture(scope="module")
def network(with_random_weights) -> keras.Model:
    """Log-mel and MFCC to genres, and the weights of its attention over time."""
    keras.utils.set_random_seed(0)
    mel, mfcc = keras.Input(MEL, name="mel"), keras.Input(MFCC, name="mfcc")
    first = layers.Conv1D(8, 3, padding="same", activation="relu")(mel)
    steps = layers.Concatenate()([first, layers.GRU(8, return_sequences=True)(mfcc)])
    weights = layers.Softmax(axis=1)(layers.Dense(1)(steps))
    context = layers.Flatten()(layers.Dot(axes=1)([weights, steps]))
    genre = layers.Dense(GENRES, activation="softmax", name="genre")(context)
    return keras.Model([mel, mfcc], [layers.Flatten(name="weights")(weights), genre])


@pytest.fixture(scope="module")
def expected(network: keras.Model) -> dict[str, np.ndarray]:
    weights, genre = network.predict(WINDOWS, verbose=0)
    return {"genre": genre, "weights": weights}


def run_tflite(content: bytes, windows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What LiteRT gives, inputs and outputs by the names of their tensors."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    inputs = {each["name"]: each["index"] for each in interpreter.get_input_details()}
    outputs = {each["name"]: each["index"] for each in interpreter.get_output_details()}
    assert inputs.keys() == windows.keys()
    rows: dict[str, list[np.ndarray]] = {name: [] for name in outputs}
    for number in range(len(next(iter(windows.values())))):
        for name, each in windows.items():
            interpreter.set_tensor(inputs[name], each[number : number + 1])
        interpreter.invoke()
        for name, index in outputs.items():
            rows[name].append(interpreter.get_tensor(index)[0])
    return {name: np.stack(each) for name, each in rows.items()}


def run_onnx(content: bytes, windows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, dict(windows)), strict=True))


def as_list(model: keras.Model, path: Path) -> Path:
    model.save(path / "model.keras")
    return path / "model.keras"


def as_dictionary(model: keras.Model, path: Path) -> Path:
    weights, genre = model.outputs
    inputs = {tensor.name: tensor for tensor in model.inputs}
    keras.Model(inputs, {"weights": weights, "genre": genre}).save(path / "model.keras")
    return path / "model.keras"


def as_saved_model(model: keras.Model, path: Path) -> Path:
    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *MFCC), name="mfcc"),
            tf.TensorSpec((None, *MEL), name="mel"),
        ]
    )
    def serve(mfcc: Any, mel: Any) -> dict[str, Any]:
        weights, genre = model([mel, mfcc])
        return {"weights": weights, "genre": genre}

    module = tf.Module()
    module.model = model
    tf.saved_model.save(module, str(path / "saved"), serve)
    return path / "saved"


def as_onnx(model: keras.Model, path: Path) -> Path:
    (path / "model.onnx").write_bytes(keras_to_onnx(model))
    return path / "model.onnx"


def as_tflite(model: keras.Model, path: Path) -> Path:
    (path / "model.tflite").write_bytes(keras_to_tflite(model))
    return path / "model.tflite"


KINDS = [as_list, as_dictionary, as_saved_model, as_onnx, as_tflite]
Save = Callable[[keras.Model, Path], Path]


def in_order(inputs: tuple[TensorSpec, ...], windows: list[np.ndarray]) -> list[np.ndarray]:
    named = dict(zip(SHAPES, windows, strict=True))
    return [named[each.name] for each in inputs]


@pytest.mark.parametrize("save", KINDS)
def test_inputs_and_outputs_have_names(save: Save, network, expected, tmp_path) -> None:
    path = save(network, tmp_path)
    source = open_model(path)
    assert {each.name: each.shape for each in source.inputs} == SHAPES
    found = source.predict(*in_order(source.inputs, WINDOWS))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)
    alone = open_model(path, outputs=["genre"])
    assert list(alone.predict(*in_order(alone.inputs, WINDOWS))) == ["genre"]


@pytest.mark.parametrize("outputs", [("genre",), ("genre", "weights")], ids=len)
@pytest.mark.parametrize("save", KINDS)
def test_files_are_made_of_them(save: Save, outputs, network, expected, tmp_path) -> None:
    source = open_model(save(network, tmp_path), outputs=outputs)
    given = dict(zip(SHAPES, WINDOWS, strict=True))
    tflite, exact = source.tflite(), source.onnx()
    for found in (run_tflite(tflite, given), run_onnx_one_by_one(exact, given)):
        if len(outputs) > 1:
            assert list(found) == list(outputs)
        for name, values in zip(outputs, found.values(), strict=True):
            np.testing.assert_allclose(values.reshape(len(values), -1), expected[name], atol=1e-5)


def run_onnx_one_by_one(content: bytes, windows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is made of a TFLite file takes one window."""
    rows = [
        run_onnx(content, {name: each[n : n + 1] for name, each in windows.items()})
        for n in range(len(WINDOWS[0]))
    ]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("quantize", ["fp16", "dynamic", "int8"])
@pytest.mark.parametrize("integer_io", [False, True])
def test_smaller_tflite_files(quantize, integer_io, network, expected, tmp_path) -> None:
    if integer_io and quantize != "int8":
        return
    source = open_model(as_list(network, tmp_path), outputs=("genre", "weights"))
    calibration = None if quantize == "fp16" else in_order(source.inputs, CALIBRATION)
    content = source.tflite(quantize=quantize, calibration=calibration, integer_io=integer_io)
    main = parse(content).subgraphs[0]
    assert [main.tensors[i].name for i in main.inputs] == [b"mel", b"mfcc"]
    assert [main.tensors[i].name for i in main.outputs] == [b"genre", b"weights"]
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    # By way of the reader, which knows what 8-bit numbers stand for.
    found = open_model(path).predict(*WINDOWS)
    assert compare(expected["genre"], found["genre"]).top1_agreement >= 0.9
    assert np.abs(found["weights"] - expected["weights"]).mean() <= 0.005


def test_smaller_onnx_files(network, expected) -> None:
    exact = keras_to_onnx(network)
    for quantize in ("fp16", "dynamic", "int8"):
        calibration = CALIBRATION if quantize == "int8" else None
        content = quantize_onnx(exact, quantize, calibration)
        found = run_onnx(content, dict(zip(SHAPES, WINDOWS, strict=True)))
        assert compare(expected["genre"], found["genre"]).top1_agreement >= 0.9
    with pytest.raises(ConversionError, match="n x 12 x 16 and n x 12 x 5; got 64 x 12 x 5"):
        quantize_onnx(exact, "int8", CALIBRATION[::-1])
    with pytest.raises(ConversionError, match=r"n x 12 x 16 and n x 12 x 5; got 64 x 12 x 16$"):
        quantize_onnx(exact, "int8", CALIBRATION[:1])


def test_probabilities_are_made_of_the_first_output(network, tmp_path) -> None:
    weights, _ = network.outputs
    logits = layers.Dense(GENRES, name="logits", kernel_initializer="glorot_normal")(weights)
    keras.Model(network.inputs, [weights, logits]).save(tmp_path / "model.keras")
    source = open_model(tmp_path / "model.keras", outputs=("logits", "weights"))
    exact = source.predict(*in_order(source.inputs, WINDOWS))
    given = dict(zip(SHAPES, WINDOWS, strict=True))
    for activation, made in (("softmax", tf.nn.softmax), ("sigmoid", tf.sigmoid)):
        found = run_tflite(source.tflite(activation=activation), given)
        np.testing.assert_allclose(found["logits"], made(exact["logits"]), atol=1e-5)
        np.testing.assert_allclose(found["weights"], exact["weights"], atol=1e-5)


def test_signatures_name_what_tensors_do_not(tmp_path) -> None:
    """A file as TensorFlow itself writes it: its tensors are named after the call."""
    kernels = {"weights": noise((7,), n=17, seed=5), "genre": noise((GENRES,), n=17, seed=6)}

    @tf.function(input_signature=[tf.TensorSpec((1, *SHAPES[n]), name=n) for n in ("mfcc", "mel")])
    def serve(mfcc: Any, mel: Any) -> dict[str, Any]:
        levels = tf.concat([mel[:, 0], mfcc[:, 0, :1]], axis=-1)
        return {name: levels @ kernel for name, kernel in kernels.items()}

    tf.saved_model.save(tf.Module(), str(tmp_path / "saved"), serve)
    path = tmp_path / "model.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert())
    levels = np.concatenate([WINDOWS[0][:, 0], WINDOWS[1][:, 0, :1]], axis=-1)
    source = open_model(path)
    assert {each.name: each.shape for each in source.inputs} == SHAPES
    found = source.predict(*in_order(source.inputs, WINDOWS))
    for name, kernel in kernels.items():
        np.testing.assert_allclose(found[name], levels @ kernel, atol=1e-4)
    kept = open_model(path, outputs=["genre"]).tflite()
    given = run_tflite(kept, dict(zip(SHAPES, WINDOWS, strict=True)))
    assert list(given) == ["genre"]
    np.testing.assert_allclose(given["genre"], levels @ kernels["genre"], atol=1e-4)


def test_layers_are_compared_whatever_the_number_of_inputs(network) -> None:
    exact = keras_to_tflite(network)
    damaged = keras.models.clone_model(network)
    damaged.set_weights(network.get_weights())
    kernel = damaged.get_layer("genre").kernel
    kernel.assign(kernel[::-1])
    for candidate in (keras_to_tflite(damaged), keras_to_onnx(damaged)):
        worst, *_ = layer_drift(exact, candidate, WINDOWS)
        assert worst.name.startswith("genre")


@pytest.fixture
def checkpoint(tmp_path: Path) -> tuple[Path, str]:
    torch = require_package("torch")
    from edge_genre.convert.sources.python_file import run_file

    (tmp_path / "network.py").write_text(NETWORK)
    torch.manual_seed(1)
    path = tmp_path / "weights.pt"
    torch.save(run_file(tmp_path / "network.py").Two().state_dict(), path)
    return path, f"{tmp_path / 'network.py'}:"


def test_arguments_of_a_network_are_its_inputs(checkpoint) -> None:
    path, networks = checkpoint
    # Given in another order than that of the arguments.
    inputs = [TensorSpec("mfcc", MFCC), TensorSpec("mel", MEL)]
    source = open_model(path, architecture=f"{networks}Two", inputs=inputs)
    assert [each.name for each in source.inputs] == ["mel", "mfcc"]
    rows = source.predict(*WINDOWS)["output"]
    given = dict(zip(SHAPES, WINDOWS, strict=True))
    content = source.onnx()
    assert [value.name for value in onnx.load_from_string(content).graph.input] == ["mel", "mfcc"]
    np.testing.assert_allclose(run_onnx(content, given)["output"], rows, atol=1e-5)
    np.testing.assert_allclose(*run_tflite(source.tflite(), given).values(), rows, atol=1e-5)

    explaining = open_model(
        path, architecture=f"{networks}Explaining", inputs=inputs, outputs=("genre", "weights")
    )
    found = explaining.predict(*WINDOWS)
    np.testing.assert_allclose(found["genre"], rows, atol=1e-6)
    for run, content in ((run_onnx, explaining.onnx()), (run_tflite, explaining.tflite())):
        again = run(content, given)
        assert list(again) == ["genre", "weights"]
        np.testing.assert_allclose(again["genre"], rows, atol=1e-5)
        np.testing.assert_allclose(again["weights"][..., 0], found["weights"], atol=1e-5)


def test_names_that_do_not_match_are_refused(checkpoint, network, tmp_path) -> None:
    path, networks = checkpoint
    wrong = [TensorSpec("mel", MEL), TensorSpec("chroma", MFCC)]
    for file, options in (
        (path, {"architecture": f"{networks}Two"}),
        (as_list(network, tmp_path), {}),
        (as_onnx(network, tmp_path), {}),
        (as_saved_model(network, tmp_path), {}),
    ):
        said = refusal(file, inputs=wrong, **options)
        assert "mel and mfcc" in said or "mfcc and mel" in said
        assert "there are features for mel and chroma" in said
        assert "for one without a name" in refusal(file, inputs=[TensorSpec("", MEL)], **options)
