"""Files for other engines, in those engines: slow, since each fills an environment of its own."""

import subprocess
import sys
import venv
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from edge_genre import Classifier, FrontEnd
from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import resampled
from edge_genre.convert import convert
from edge_genre.convert.tflite.flatbuffer import pack, parse
from edge_genre.convert.tflite.writer import keras_to_tflite
from edge_genre.convert.verify.graph_facts import graph_facts
from edge_genre.convert.verify.parity import compare
from edge_genre.convert.verify.tflite_runtime import unknown_to_tflite_runtime
from edge_genre.demo import clip
from edge_genre.model.bundled import find_model
from tests.support.requirements import require_system

pytestmark = pytest.mark.slow

STEPS, MELS = 39, 128

RUNTIME = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
windows, results = np.load(sys.argv[1]), {}
for path in sys.argv[3:]:
    engine = Interpreter(path, num_threads=1)
    engine.allocate_tensors()
    (source,), (result,) = engine.get_input_details(), engine.get_output_details()
    rows = []
    for window in windows:
        engine.set_tensor(source["index"], window[np.newaxis])
        engine.invoke()
        rows.append(engine.get_tensor(result["index"])[0])
    results[path] = np.stack(rows)
np.savez(sys.argv[2], **results)
"""

MICRO = """
import sys
import numpy as np
from tflite_micro.python.tflite_micro import runtime
windows, results = np.load(sys.argv[1]), {}
for path in sys.argv[3:]:
    engine = runtime.Interpreter.from_file(path, arena_size=4_000_000)
    source, result = engine.get_input_details(0), engine.get_output_details(0)
    rows = []
    for window in windows:
        if source["dtype"] == np.int8:
            q = source["quantization_parameters"]
            window = np.clip(np.rint(window / q["scales"][0]) + q["zero_points"][0], -128, 127)
        engine.set_input(window[np.newaxis].astype(source["dtype"]), 0)
        engine.invoke()
        row = engine.get_output(0)[0].astype(np.float32)
        if result["dtype"] == np.int8:
            q = result["quantization_parameters"]
            row = (row - q["zero_points"][0]) * q["scales"][0]
        rows.append(row)
    results[path] = np.stack(rows)
np.savez(sys.argv[2], **results)
"""


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """A convolution, a GRU and attention, which have learned where a window is loud."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((STEPS, MELS))
    tensor = layers.Conv1D(48, 3, padding="same", activation="relu")(inputs)
    tensor = layers.MaxPooling1D(2)(tensor)
    tensor = layers.GRU(32, return_sequences=True)(tensor)
    weights = layers.Softmax(axis=1)(layers.Dense(1, activation="tanh")(tensor))
    tensor = layers.Flatten()(layers.Dot(axes=1)([weights, tensor]))
    model = keras.Model(inputs, layers.Dense(6, activation="softmax")(tensor))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(*_loud(0, 600), epochs=6, verbose=0)
    return model


def _loud(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    windows, labels = rng.normal(size=(n, STEPS, MELS)), rng.integers(6, size=n)
    for window, label in zip(windows, labels, strict=True):
        window[:, 20 * label : 20 * label + 20] += 0.5
    return windows.astype(np.float32), labels


def _environment(folder: Path, *packages: str) -> Path:
    """The Python of an environment that holds these packages alone."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    if subprocess.run([python, "-m", "pip", "install", "--quiet", *packages]).returncode:
        require_system([f"{packages[0]}: pip cannot install it here"])
    return python


def _run(
    program: str,
    python: Path,
    folder: Path,
    files: dict[str, bytes],
    windows: np.ndarray | None = None,
) -> dict:
    """Run files on windows with a program of an environment's Python."""
    paths = {name: folder / f"{name}.tflite" for name in files}
    for name, path in paths.items():
        path.write_bytes(files[name])
    np.save(folder / "windows.npy", _loud(1, 200)[0] if windows is None else windows)
    (folder / "program.py").write_text(program)
    command = [python, "program.py", "windows.npy", "outputs.npz", *paths.values()]
    subprocess.run(command, check=True, cwd=folder, timeout=300)
    found = np.load(folder / "outputs.npz")
    return {name: found[str(path)] for name, path in paths.items()}


@pytest.fixture(scope="module")
def old_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with tflite-runtime, as on a 32-bit Raspberry Pi."""
    if sys.version_info >= (3, 12):
        pytest.skip("tflite-runtime has no wheel for 3.12")
    return _environment(
        tmp_path_factory.mktemp("tflite-runtime"), "tflite-runtime>=2.14", "numpy>=1.24,<2"
    )


@pytest.fixture(scope="module")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with TFLite Micro."""
    return _environment(tmp_path_factory.mktemp("micro"), "tflite-micro", "numpy")


def test_tflite_runtime_2_14(trained: keras.Model, old_runtime: Path, tmp_path: Path) -> None:
    calibration, uneven = _loud(2, 100)[0], _uneven(trained)
    files = {
        quantize: keras_to_tflite(
            trained,
            quantize=quantize,
            target="tflite-runtime",
            calibration=None if quantize in ("fp32", "fp16") else [calibration],
        )
        for quantize in ("fp32", "fp16", "dynamic", "int8")
    }
    # Of this one 8 bits for all would not agree: weights alone, and leading layers in float.
    for quantize in ("dynamic", "int8"):
        files[f"{quantize}-mixed"] = keras_to_tflite(
            uneven, quantize=quantize, target="tflite-runtime", calibration=[_scaled(calibration)]
        )
    for content in files.values():
        assert unknown_to_tflite_runtime(content) == []
    mixed = {name: content for name, content in files.items() if name.endswith("mixed")}
    assert graph_facts(mixed["dynamic-mixed"]).in_8_bits == 0
    windows = _loud(1, 200)[0]
    for name, outputs in _run(RUNTIME, old_runtime, tmp_path, files).items():
        expected = (uneven if name in mixed else trained).predict(windows, verbose=0)
        assert compare(expected, outputs).top1_agreement >= 0.98, name


def test_files_that_are_kept_for_tflite_runtime(
    trained: keras.Model, old_runtime: Path, tmp_path: Path
) -> None:
    """Whole files, with all that is attached to them, as `edge-genre convert` writes them."""
    source, features = tmp_path / "trained.keras", tmp_path / "windows.npy"
    trained.save(source)
    np.save(features, _loud(3, 400)[0])
    report = convert(
        source,
        output=tmp_path / "out",
        quantize=["fp32", "fp16", "dynamic", "int8"],
        labels=[str(n) for n in range(6)],
        calibrate=features,
        target="tflite-runtime",
    )
    assert [result.status for result in report.results] == ["kept"] * 4
    files = {path.stem: path.read_bytes() for path in report.files}
    expected = trained.predict(_loud(1, 200)[0], verbose=0)
    for name, outputs in _run(RUNTIME, old_runtime, tmp_path, files).items():
        assert compare(expected, outputs).top1_agreement >= 0.98, name


def test_what_is_refused_for_tflite_runtime_does_not_load_there(
    trained: keras.Model, old_runtime: Path, tmp_path: Path
) -> None:
    model = parse(keras_to_tflite(trained, target="tflite-runtime"))
    convolution = next(code for code in model.operatorCodes if code.builtinCode == 3)
    convolution.version = 8
    assert unknown_to_tflite_runtime(pack(model)) == ["CONV_2D version 8"]
    with pytest.raises(subprocess.CalledProcessError):
        _run(RUNTIME, old_runtime, tmp_path, {"newer": pack(model)})


def _scaled(windows: np.ndarray) -> np.ndarray:
    factors = np.ones(MELS, np.float32)
    factors[0] = 3000
    return windows * factors


def _uneven(trained: keras.Model) -> keras.Model:
    """The same network for windows whose first band is 3000 times as large."""
    model = keras.models.clone_model(trained)
    model.set_weights(trained.get_weights())
    kernel = np.array(model.layers[1].kernel)
    kernel[:, 0] /= 3000
    model.layers[1].kernel.assign(kernel)
    return model


def test_tflite_micro(trained: keras.Model, micro: Path, tmp_path: Path) -> None:
    calibration = _loud(2, 100)[0]
    options = {"target": "micro"}
    files = {
        "fp32": keras_to_tflite(trained, **options),
        "int8": keras_to_tflite(trained, quantize="int8", calibration=[calibration], **options),
        "integers": keras_to_tflite(
            trained, quantize="int8", calibration=[calibration], integer_io=True, **options
        ),
    }
    expected = trained.predict(_loud(1, 200)[0], verbose=0)
    found = _run(MICRO, micro, tmp_path, files)
    np.testing.assert_allclose(found["fp32"], expected, atol=1e-4)
    for name in ("int8", "integers"):
        assert compare(expected, found[name]).top1_agreement >= 0.98, name
        assert graph_facts(files[name]).in_8_bits == graph_facts(files[name]).layers
    assert graph_facts(files["integers"]).input[0] == "int8"


def test_the_bundled_tiny_model_in_tflite_micro(micro: Path, tmp_path: Path) -> None:
    """As it is, with what is attached to it: nothing has to be cut off for a microcontroller."""
    path = find_model("tiny-gtzan")
    facts = graph_facts(path.read_bytes())
    assert facts.in_8_bits == facts.layers
    classifier = Classifier.load(path)
    front_end = FrontEnd(classifier.spec)
    with AudioFile(clip()) as source:
        samples = resampled(source, classifier.spec.sample_rate)
    starts = range(0, len(samples) - classifier.spec.window_samples + 1, 3000)
    music = (samples[start : start + classifier.spec.window_samples] for start in starts)
    windows = np.stack([front_end(window).copy() for window in music])
    files = {"tiny": path.read_bytes()}
    (outputs,) = _run(MICRO, micro, tmp_path, files, windows).values()
    expected = np.stack([classifier.run(window) for window in windows])
    # Two sets of kernels, which may differ by a step in each of fifteen layers.
    assert np.abs(outputs - expected).max() < 0.05
    assert np.abs(outputs - expected).mean() < 0.005
    assert compare(expected, outputs).top1_agreement >= 0.97
