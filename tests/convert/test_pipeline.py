"""Whole conversions of small models: what is written, what is refused, and what is left behind."""

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from keras import layers
from onnx import helper, numpy_helper

from edge_genre import Classifier, FrontEnd, FrontEndSpec
from edge_genre.convert.pipeline import convert
from edge_genre.convert.report import ConversionReport, WindowsReport
from edge_genre.errors import ConversionError
from edge_genre.model.container import split
from edge_genre.model.file import read
from tests.support import models_on_the_fly as small
from tests.support.models_on_the_fly import LABELS, SPEC
from tests.support.signals import music
from tests.support.waiting import wait_for

ALL = ("fp32", "fp16", "dynamic", "int8")


@pytest.fixture(scope="module")
def music_windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of music, with the classes that the source itself gives: it is never wrong."""
    front_end = FrontEnd(SPEC)
    features = np.stack(
        [front_end(music(SPEC.window_samples, SPEC.sample_rate, seed=seed)) for seed in range(120)]
    )
    path = tmp_path_factory.mktemp("windows") / "music.npz"
    np.savez(path, X=features, y=np.arange(120) % len(LABELS))
    return path


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CRNN, saved."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input(SPEC.shape)
    tensor = layers.Conv1D(64, 3, padding="same", activation="relu")(inputs)
    tensor = layers.BatchNormalization()(tensor)
    tensor = layers.GRU(24)(layers.MaxPooling1D(4)(tensor))
    outputs = layers.Dense(len(LABELS), activation="softmax")(tensor)
    path = tmp_path_factory.mktemp("keras") / "crnn.keras"
    keras.Model(inputs, outputs, name="crnn").save(path)
    return path


@pytest.fixture(scope="module")
def a_few_windows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Features of two front ends; without a file of them, music would be composed at length."""
    folder, rng = tmp_path_factory.mktemp("few"), np.random.default_rng(0)
    files = {}
    for name, spec in {"small": SPEC, "log-mel": FrontEndSpec.preset("log-mel")}.items():
        files[name] = folder / f"{name}.npy"
        np.save(files[name], rng.standard_normal((8, *spec.shape)).astype(np.float32))
    return files


def options(**changes):
    return {"labels": LABELS, "front_end": SPEC, "timeout": 600} | changes


@pytest.fixture(scope="module")
def every_format(
    keras_file, music_windows, tmp_path_factory
) -> tuple[ConversionReport, Path, list[tuple[str, str]]]:
    """The CRNN in all eight formats: the report, the folder, and what was told meanwhile."""
    steps: list[tuple[str, str]] = []
    folder = tmp_path_factory.mktemp("formats")
    report = convert(
        keras_file,
        output=folder,
        to=("tflite", "onnx"),
        quantize=ALL,
        calibrate=music_windows,
        progress=lambda *step: steps.append(step),
        **options(),
    )
    return report, folder, steps


def test_every_format_of_a_keras_model(every_format) -> None:
    report, folder, steps = every_format
    assert [result.status for result in report.results] == ["kept"] * 8, list(report.problems())
    assert report.exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"crnn-{quantization}.{suffix}" for suffix in ("tflite", "onnx") for quantization in ALL
    )
    assert report.windows == WindowsReport(90, 90, 30, "music.npz")
    assert {(name, "converting") for name in ("tflite int8", "onnx fp32")} <= set(steps)
    for result in report.results:
        assert result.verdict is not None
        assert result.verdict.parity.windows == 90
        assert "compared on 90 windows only, fewer than 500" in result.notes
        classifier = Classifier.load(result.path)  # its self-test passes
        info = classifier.info
        assert (info.labels, info.front_end, info.quantization) == (
            LABELS,
            SPEC,
            result.quantization,
        )
        assert info.self_test is not None
        assert info.provenance["source"] == "crnn.keras"
        assert info.provenance["source_sha256"] == report.source.sha256
        assert info.parity["gate"] == "passed"
    json.dumps(report.to_dict())
    sizes = {result.name: result.size for result in report.results}
    for suffix in ("tflite", "onnx"):
        assert sizes[f"{suffix} fp32"] > max(sizes[f"{suffix} fp16"], sizes[f"{suffix} dynamic"])


def test_the_report_has_what_the_engine_gives(every_format, keras_file, music_windows) -> None:
    """Figures against an independent run of source and file."""
    (result,) = (each for each in every_format[0].results if each.name == "tflite dynamic")
    with np.load(music_windows) as data:
        features, labels = data["X"], data["y"]
    compared = np.arange(120) % 4 != 0
    expected = keras.models.load_model(keras_file).predict(features[compared], verbose=0)
    classifier = Classifier.load(result.path)
    found = np.stack([classifier.run(window) for window in features[compared]])
    difference = np.abs(found - expected).max()
    assert result.verdict.parity.max_difference == pytest.approx(difference, rel=1e-3)
    same = (found.argmax(axis=1) == expected.argmax(axis=1)).mean()
    assert result.verdict.parity.top1_agreement == pytest.approx(same)
    correct = (found.argmax(axis=1) == labels[compared]).sum()
    assert (result.verdict.correct, result.verdict.labelled) == (correct, 90)


@pytest.mark.parametrize("output", ["logits", "log_probabilities"])
def test_outputs_become_probabilities(output: str, music_windows, tmp_path) -> None:
    """Of an ONNX source, whose file keeps what it gives; TFLite gives probabilities itself."""
    source = tmp_path / "small.onnx"
    source.write_bytes(small.onnx_graph(output=output))
    report = convert(
        source,
        output=tmp_path / "out",
        to=["tflite", "onnx"],
        quantize=["fp32"],
        calibrate=music_windows,
        **options(),
    )
    assert report.exit_code == 0, list(report.problems())
    with np.load(music_windows) as data:
        window = data["X"][5]
    for path in report.files:
        np.testing.assert_allclose(
            Classifier.load(path).run(window), small.expected(window), atol=1e-5
        )
    said = {path.suffix: read(path).info.output for path in report.files}
    assert said == {".tflite": "probabilities", ".onnx": output}


def test_a_description_travels_on(music_windows, tmp_path) -> None:
    source = tmp_path / "small.onnx"
    source.write_bytes(small.onnx_model(license="CC0", description="made up"))
    report = convert(source, output=tmp_path / "out", quantize=["fp32"], calibrate=music_windows)
    info = read(report.files[0]).info
    assert (info.license, info.description, info.labels) == ("CC0", "made up", LABELS)
    # What they look like does not count where the file says what its outputs are.
    source.write_bytes(small.onnx_model(output="logits"))
    report = convert(
        source, output=tmp_path, to=["onnx"], quantize=["fp32"], calibrate=music_windows
    )
    assert read(report.files[0]).info.output == "logits"
    with pytest.raises(ConversionError, match="describes itself"):
        convert(source, output=tmp_path / "out", labels=LABELS)


def _fragile(path: Path) -> Path:
    """An ONNX model of which 8 bits leave nothing: one hidden value is far greater than others."""
    rng = np.random.default_rng(0)
    size = int(np.prod(SPEC.shape))
    hidden = rng.standard_normal((size, 64)).astype(np.float32) / size**0.5
    last = rng.standard_normal((64, len(LABELS))).astype(np.float32)
    great = np.zeros(64, np.float32)
    hidden[:, 0], great[0], last[0] = 0, 3e3, 0.01
    arrays = {"hidden": hidden, "great": great, "last": last, "flat": np.array([1, -1])}
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "hidden"], ["product"]),
        helper.make_node("Add", ["product", "great"], ["sum"]),
        helper.make_node("MatMul", ["sum", "last"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "fragile",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, *SPEC.shape))],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, len(LABELS)))],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def test_what_drifts_is_not_kept(music_windows, tmp_path) -> None:
    source = _fragile(tmp_path / "fragile.onnx")
    folder = tmp_path / "out"
    arguments = options(to=["tflite"], calibrate=music_windows)
    report = convert(source, output=folder, quantize=["fp32", "int8"], **arguments)
    kept, refused = report.results
    assert (kept.status, refused.status) == ("kept", "refused")
    assert "get the same genre, 98.50% expected" in refused.message
    assert refused.drift, "the layer that drifts most is named"
    assert report.exit_code == 3
    assert [path.name for path in folder.iterdir()] == ["fragile-fp32.tflite"]

    forced = convert(source, output=folder, quantize=["int8"], force=True, **arguments)
    assert [result.status for result in forced.results] == ["kept by force"]
    assert forced.exit_code == 0
    gate = read(folder / "fragile-int8.tflite").info.parity["gate"]
    assert gate.startswith("failed, kept by force: ")


@pytest.mark.slow
def test_one_format_that_fails_leaves_the_others(keras_file, tmp_path) -> None:
    """The limit of time here; a crash ends the same way (see test_isolation)."""
    (tmp_path / "out").mkdir()
    blocked = tmp_path / "out" / "crnn-fp32.onnx"
    blocked.mkdir()  # a folder stands where the file should be
    report = convert(
        keras_file, output=tmp_path / "out", to=["onnx"], quantize=["fp32", "fp16"], **options()
    )
    failed, kept = report.results
    assert (failed.status, kept.status) == ("failed", "kept")
    assert "cannot be written" in failed.message
    assert report.exit_code == 1


@pytest.mark.slow
def test_a_time_limit(keras_file, tmp_path) -> None:
    with pytest.raises(ConversionError, match="not done after 1 s: give it longer with --timeout"):
        convert(keras_file, output=tmp_path, **options(timeout=1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "--labels"),
        ({"labels": ("a", "b")}, r"outputs of shape \(3,\), but there are 2 labels"),
        ({"front_end": "log-mel"}, "takes .*, but the windows are 128 x 130"),
        ({"quantize": ["int8"]}, "--calibrate"),
        ({"quantize": ["int4"]}, "'int4' is unknown, expected fp32, fp16, dynamic, int8"),
        ({"to": ["coreml"]}, "'coreml' is unknown"),
        ({"target": "micro", "quantize": ["fp16"]}, "TFLite Micro runs .* not fp16"),
        ({"calibrate": "missing"}, "missing: no such file or folder"),
    ],
)
def test_what_does_not_fit_is_said(
    changes, message: str, keras_file, a_few_windows, tmp_path
) -> None:
    if "quantize" not in changes:  # which can need windows of one's own
        windows = a_few_windows[changes.get("front_end", "small")]
        changes = {"calibrate": windows} | changes
    with pytest.raises(ConversionError, match=message):
        convert(keras_file, output=tmp_path, **options(**changes))
    assert not list(tmp_path.iterdir())


def _truncated(keras_file: Path, path: Path) -> Path:
    path.write_bytes(keras_file.read_bytes()[:3000])
    return path


def _text(keras_file: Path, path: Path) -> Path:
    path.write_text("not a model\n")
    return path


class _Payload:
    def __reduce__(self):
        return os.mkdir, (os.environ["PAYLOAD"],)


def _pickle(keras_file: Path, path: Path) -> Path:
    path.write_bytes(pickle.dumps({"model_state_dict": _Payload()}, protocol=2))
    return path


@pytest.mark.parametrize("make", [_truncated, _text, _pickle])
def test_what_is_no_model(make, keras_file, a_few_windows, tmp_path, monkeypatch) -> None:
    payload = tmp_path / "payload"
    monkeypatch.setenv("PAYLOAD", str(payload))
    source = make(keras_file, tmp_path / "model.bin")
    arguments = options(architecture="five-channel-cnn", calibrate=a_few_windows["small"])
    with pytest.raises(ConversionError) as caught:
        convert(source, output=tmp_path / "out", **arguments)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").iterdir())
    assert not payload.exists(), "code in the file was run"


def _start(*arguments: object, **popen) -> subprocess.Popen:
    program = Path(sys.executable).with_name("edge-genre")
    command = [program, "convert", *arguments, "--labels", ",".join(LABELS)]
    return subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **popen,
    )


@pytest.fixture
def spec_file(tmp_path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC.to_dict()))
    return path


def test_ctrl_c(keras_file, spec_file, a_few_windows, tmp_path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = _start(
        keras_file,
        *("-o", tmp_path / "out", "--frontend", spec_file, "--calibrate", a_few_windows["small"]),
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    wait_for(lambda: list(temporary.glob("*/job1.log")))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not list(temporary.iterdir())
    assert not list((tmp_path / "out").iterdir())


def test_a_full_disk(keras_file, spec_file, tmp_path) -> None:
    """A limit on the size of files stands for it: nothing half-written, one line, exit code 1."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    process = _start(keras_file, "-o", tmp_path / "out", "--frontend", spec_file, preexec_fn=limit)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 1, errors
    assert "Traceback" not in errors
    assert "cannot be written" in errors
    assert errors.count("\n") == 1
    assert not list((tmp_path / "out").iterdir())


def test_the_command(keras_file, spec_file, music_windows, tmp_path) -> None:
    process = _start(
        keras_file,
        *("-o", tmp_path / "out", "--frontend", spec_file, "--calibrate", music_windows),
        *("--quantize", "fp32", "--report", tmp_path / "report.json", "--json"),
    )
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    report = json.loads(output)
    assert report == json.loads((tmp_path / "report.json").read_text())
    (result,) = report["results"]
    assert Path(result["path"]) == tmp_path / "out" / "crnn-fp32.tflite"
    assert result["verdict"]["parity"]["top1_agreement"] == 1
    assert zipfile.is_zipfile(result["path"])
    graph, _ = split(Path(result["path"]).read_bytes())
    assert len(graph) == result["size"]
