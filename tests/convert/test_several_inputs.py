"""Whole conversions of models with two inputs of audio, to files that classify it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
from keras import layers

from edge_genre import Classifier, FrontEnd, FrontEndSpec
from edge_genre.convert.pipeline import convert
from edge_genre.errors import ConversionError, ModelError
from edge_genre.model.container import INFO, split
from edge_genre.model.file import read
from edge_genre.model.self_test import signal
from tests.support.command_line import run
from tests.support.models_on_the_fly import SPEC
from tests.support.requirements import require_package
from tests.support.signals import music

LABELS = ("blues", "jazz", "rock")
MEL = SPEC
MFCC = FrontEndSpec(kind="mfcc", window_seconds=1.0, hop_length=1024, n_mels=32, ref=1.0, n_mfcc=13)
SPECS = {"log_mel": MEL, "mfcc": MFCC}

NETWORK = f"""
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.mel = nn.Conv1d({MEL.shape[1]}, 16, 3, padding=1)
        self.mfcc = nn.Conv1d({MFCC.shape[1]}, 16, 3, padding=1)
        self.last = nn.Linear(32, {len(LABELS)})

    def forward(self, log_mel, mfcc):
        parts = [
            torch.relu(layer(features.transpose(1, 2))).mean(dim=2)
            for layer, features in ((self.mel, log_mel), (self.mfcc, mfcc / 100))
        ]
        return self.last(torch.cat(parts, dim=1))
"""


def two_inputs(activation: str | None) -> keras.Model:
    keras.utils.set_random_seed(2)
    mel, mfcc = keras.Input(MEL.shape, name="log_mel"), keras.Input(MFCC.shape, name="mfcc")
    scaled = layers.Rescaling(0.01)(mfcc)
    parts = [
        layers.GlobalAveragePooling1D()(
            layers.Conv1D(16, 3, padding="same", activation="relu")(tensor)
        )
        for tensor in (mel, scaled)
    ]
    joined = layers.Concatenate()(parts)
    return keras.Model([mel, mfcc], layers.Dense(len(LABELS), activation=activation)(joined))


def keras_source(folder: Path) -> tuple[Path, dict[str, str]]:
    two_inputs("softmax").save(folder / "two.keras")
    return folder / "two.keras", {}


def pytorch_source(folder: Path) -> tuple[Path, dict[str, str]]:
    torch = require_package("torch")
    from edge_genre.convert.sources.python_file import run_file

    (folder / "net.py").write_text(NETWORK)
    torch.manual_seed(3)
    torch.save(run_file(folder / "net.py").Two().state_dict(), folder / "two.pt")
    return folder / "two.pt", {"architecture": f"{folder / 'net.py'}:Two"}


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    front_ends = {name: FrontEnd(spec) for name, spec in SPECS.items()}
    samples = [music(MEL.window_samples, MEL.sample_rate, seed=seed) for seed in range(120)]
    path = tmp_path_factory.mktemp("windows") / "music.npz"
    arrays = {name: np.stack([each(s) for s in samples]) for name, each in front_ends.items()}
    np.savez(path, **arrays)
    return path


Source = Callable[[Path], tuple[Path, dict[str, str]]]


@pytest.mark.parametrize("source", [keras_source, pytorch_source])
def test_from_the_model_to_the_song(source: Source, windows: Path, tmp_path: Path) -> None:
    path, options = source(tmp_path)
    report = convert(
        path,
        output=tmp_path / "out",
        to=("tflite", "onnx"),
        quantize=("fp32", "fp16", "dynamic", "int8"),
        labels=LABELS,
        front_end=dict(reversed(SPECS.items())),  # in another order than the graph's
        calibrate=windows,
        timeout=600,
        **options,
    )
    assert [result.status for result in report.results] == ["kept"] * 8, list(report.problems())
    song = tmp_path / "song.wav"
    soundfile.write(song, music(3 * MEL.window_samples, MEL.sample_rate, seed=7), MEL.sample_rate)
    expected = None
    for file in report.files:
        classifier = Classifier.load(file)  # its self-test passes
        assert {each.name: each.front_end for each in classifier.info.inputs} == SPECS
        assert [each.name for each in classifier.info.inputs] == list(SPECS)
        _, texts = split(file.read_bytes())
        assert json.loads(texts[INFO])["format_version"] == 2
        found = classifier.classify_file(song).probabilities
        expected = expected or found
        assert found == pytest.approx(expected, abs=0.05)
    run("inspect", report.files[0])
    run("classify", song, "--model", report.files[0])
    run("benchmark", report.files[0], "--seconds", "1", "--json")


def test_the_file_gives_what_the_model_gives(windows: Path, tmp_path: Path) -> None:
    """From samples on, against Keras."""
    path, _ = keras_source(tmp_path)
    report = convert(
        path,
        output=tmp_path,
        quantize=["fp32"],
        labels=LABELS,
        front_end=SPECS,
        calibrate=windows,
    )
    samples = signal(9, n_samples=MEL.window_samples, rate=MEL.sample_rate)
    given = {name: FrontEnd(spec)(samples)[np.newaxis] for name, spec in SPECS.items()}
    (expected,) = keras.models.load_model(path).predict(given, verbose=0)
    np.testing.assert_allclose(
        Classifier.load(report.files[0]).probabilities(samples), expected, atol=1e-5
    )


@pytest.mark.parametrize(
    ("front_end", "error", "message"),
    [
        ({"log_mel": MEL, "chroma": MFCC}, ConversionError, "log_mel and mfcc.*log_mel and chroma"),
        ({"log_mel": MEL}, ConversionError, "log_mel and mfcc, but .* for log_mel"),
        (MEL, ConversionError, "log_mel and mfcc, but there are features for"),
        (
            {"log_mel": MEL, "mfcc": MFCC.replace(window_seconds=2.0)},
            ModelError,
            "1 s at 22050 Hz, but input mfcc of 2 s at 22050 Hz",
        ),
        (
            {"log_mel": MEL, "mfcc": MFCC.replace(sample_rate=16_000)},
            ModelError,
            "1 s at 22050 Hz, but input mfcc of 1 s at 16000 Hz",
        ),
    ],
)
def test_front_ends_that_do_not_fit(front_end, error, message: str, tmp_path: Path) -> None:
    path, _ = keras_source(tmp_path)
    arrays = {"log_mel": MEL.shape, "mfcc": MFCC.shape, "chroma": MFCC.shape, "X": MEL.shape}
    named = {name: np.zeros((4, *shape), np.float32) for name, shape in arrays.items()}
    np.savez(tmp_path / "w.npz", **named)
    with pytest.raises(error, match=message) as caught:
        convert(
            path,
            output=tmp_path / "out",
            labels=LABELS,
            front_end=front_end,
            calibrate=tmp_path / "w.npz",
        )
    assert "\n" not in str(caught.value)


def test_both_front_ends_go_into_a_graph(windows: Path, tmp_path: Path) -> None:
    path, _ = keras_source(tmp_path)
    report = convert(
        path,
        output=tmp_path,
        to=("tflite", "onnx"),
        quantize=["fp32"],
        labels=LABELS,
        front_end=SPECS,
        calibrate=windows,
        waveform=True,
    )
    assert [result.status for result in report.results] == ["kept"] * 2, list(report.problems())
    samples = signal(9, n_samples=MEL.window_samples, rate=MEL.sample_rate)
    given = {name: FrontEnd(spec)(samples)[np.newaxis] for name, spec in SPECS.items()}
    (expected,) = keras.models.load_model(path).predict(given, verbose=0)
    for file in report.files:
        classifier = Classifier.load(file)
        assert [each.front_end.kind for each in classifier.info.inputs] == ["waveform"]
        np.testing.assert_allclose(classifier.probabilities(samples), expected, atol=1e-3)


def test_each_label_may_hold(windows: Path, tmp_path: Path) -> None:
    two_inputs("sigmoid").save(tmp_path / "tags.keras")
    with np.load(windows) as arrays:
        given = dict(arrays)
    expected = keras.models.load_model(tmp_path / "tags.keras").predict(given, verbose=0)
    middle = {
        label: float(np.median(column)) for label, column in zip(LABELS, expected.T, strict=True)
    }
    report = convert(
        tmp_path / "tags.keras",
        output=tmp_path,
        to=("tflite", "onnx"),
        quantize=["fp32"],
        labels=LABELS,
        front_end=SPECS,
        calibrate=windows,
        noun="tag",
        background="rock",
        thresholds={label: middle[label] for label in LABELS[:2]},
        threshold=0.75,
    )
    assert [result.status for result in report.results] == ["kept"] * 2, list(report.problems())
    assert "its last operator is a sigmoid" in next(report.problems())
    for file in report.files:
        classifier = Classifier.load(file)
        task = classifier.info.task
        assert (task.noun, task.background, task.exclusive) == ("tag", "rock", False)
        assert task.thresholds == pytest.approx((middle["blues"], middle["jazz"], 0.75))
        # Not pushed through a softmax again, nor made to add up to 1.
        row = classifier.run(*(given[name][3] for name in SPECS))
        np.testing.assert_allclose(row, expected[3], atol=1e-5)
        parity = read(file).info.parity
        assert parity["label_agreement"] >= 0.9
        assert parity["max_difference_allowed"] == 1e-4


def test_an_output_that_explains_is_kept_on_request(windows: Path, tmp_path: Path) -> None:
    keras.utils.set_random_seed(4)
    mel = keras.Input(MEL.shape, name="log_mel")
    steps = layers.Conv1D(16, 3, padding="same", activation="relu")(mel)
    weights = layers.Softmax(axis=1)(layers.Dense(1)(steps))
    context = layers.Flatten()(layers.Dot(axes=1)([weights, steps]))
    genre = layers.Dense(len(LABELS), activation="softmax")(context)
    bpm = layers.Dense(1)(context)
    model = keras.Model(mel, {"attention": weights, "bpm": bpm, "genre": genre})
    model.save(tmp_path / "model.keras")
    with np.load(windows) as arrays:
        np.savez(tmp_path / "mel.npz", X=arrays["log_mel"])
    report = convert(
        tmp_path / "model.keras",
        output=tmp_path,
        to=("tflite", "onnx"),
        quantize=["fp32"],
        labels=LABELS,
        front_end=MEL,
        calibrate=tmp_path / "mel.npz",
        explain=["attention"],
    )
    assert [result.status for result in report.results] == ["kept"] * 2, list(report.problems())
    assert "genre is the answer; left out: bpm" in next(report.problems())
    samples = signal(9, n_samples=MEL.window_samples, rate=MEL.sample_rate)
    expected = model.predict(FrontEnd(MEL)(samples)[np.newaxis], verbose=0)
    for file in report.files:
        classifier = Classifier.load(file)
        assert classifier.info.task.explanations == ("attention",)
        row, explained = classifier.engine.explain(FrontEnd(MEL)(samples))
        np.testing.assert_allclose(row, expected["genre"][0], atol=1e-5)
        np.testing.assert_allclose(explained["attention"], expected["attention"].ravel(), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"chroma": (43, 13)}, "--input-shape is of chroma, but the inputs are log_mel and mfcc"),
        ((43, 13), "--input-shape is of one input without a name, but the inputs are log_mel"),
    ],
)
def test_shapes_of_inputs_that_there_are_not(shape, message: str, tmp_path: Path) -> None:
    path, _ = keras_source(tmp_path)
    with pytest.raises(ConversionError, match=message):
        convert(
            path, output=tmp_path, labels=LABELS, front_end=SPECS, input_shape=shape, calibrate=path
        )


def test_logits_of_labels_on_their_own(windows: Path, tmp_path: Path) -> None:
    """Which the option alone says; ONNX files give what the model gives."""
    two_inputs(None).save(tmp_path / "tags.keras")
    with np.load(windows) as arrays:
        given = dict(arrays)
    logits = keras.models.load_model(tmp_path / "tags.keras").predict(given, verbose=0)
    report = convert(
        tmp_path / "tags.keras",
        output=tmp_path,
        to=("tflite", "onnx"),
        quantize=["fp32", "int8"],
        labels=LABELS,
        front_end=SPECS,
        calibrate=windows,
        task="multi-label",
        force=True,  # of 8 bits, whatever the gate says of random weights
    )
    for result, output in zip(report.results, ["probabilities"] * 2 + ["logits"] * 2, strict=True):
        assert result.path is not None, result.message
        classifier = Classifier.load(result.path)
        assert (classifier.info.output, classifier.task.exclusive) == (output, False)
        rows = np.stack([classifier.run(*(given[name][n] for name in SPECS)) for n in range(20)])
        atol = 1e-5 if result.quantization == "fp32" else 0.1
        np.testing.assert_allclose(rows, 1 / (1 + np.exp(-logits[:20])), atol=atol)


def test_the_name_of_an_only_input(tmp_path: Path) -> None:
    source = keras.Input(MEL.shape, name="mel")
    mean = layers.GlobalAveragePooling1D()(source)
    model = keras.Model(source, layers.Dense(len(LABELS), activation="softmax")(mean))
    model.save(tmp_path / "one.keras")
    common = {"labels": LABELS, "quantize": ("fp32",), "output": tmp_path}
    with pytest.raises(ConversionError, match="of the input levels, but the model's is mel"):
        convert(tmp_path / "one.keras", front_end={"levels": MEL}, **common)
    (result,) = convert(tmp_path / "one.keras", front_end={"mel": MEL}, **common).results
    assert result.status == "kept"
