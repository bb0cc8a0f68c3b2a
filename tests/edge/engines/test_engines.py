"""Engines against a calculation by hand, and on models that others made."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_genre.engines import Engine
from edge_genre.engines.quantization import dequantize, quantize
from edge_genre.errors import EngineError, ModelError
from edge_genre.model import container
from edge_genre.model.bundled import find_model
from edge_genre.model.file import ModelFile, read
from tests.support import models_on_the_fly as small


def onnx_file(content: bytes) -> ModelFile:
    return ModelFile(Path("small.onnx"), "onnx", content, None)


@pytest.mark.parametrize("output", ["probabilities", "logits", "log_probabilities"])
def test_outputs_become_probabilities(output: str) -> None:
    features = np.random.default_rng(0).standard_normal(small.SPEC.shape).astype(np.float32)
    engine = small.engine(onnx_file(small.onnx_graph(output=output)), small.SPEC.shape, output)
    result = engine.run(features)
    assert result.dtype == np.float32
    assert result.shape == (3,)
    np.testing.assert_allclose(result, small.expected(features), atol=1e-5)
    assert result.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    "shape", [(1, 22, 32), (1, 22, 32, 1), (1, 1, 22, 32), ("batch", 22, 32), (22, 32)]
)
def test_batch_and_channel_axes_are_added(shape: tuple[int | str, ...]) -> None:
    features = np.random.default_rng(0).standard_normal((22, 32)).astype(np.float32)
    result = small.engine(onnx_file(small.onnx_graph(shape)), (22, 32)).run(features)
    np.testing.assert_allclose(result, small.expected(features), atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 22), (22, 33), (704,), (22, 32, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="the model takes 1 x 22 x 32"):
        small.engine(onnx_file(small.onnx_graph()), shape)


def test_threads_must_be_positive() -> None:
    with pytest.raises(EngineError, match="threads is 0"):
        Engine(onnx_file(small.onnx_graph()), shape=(22, 32), output="logits", threads=0)


def test_nan_is_an_error() -> None:
    engine = small.engine(onnx_file(small.onnx_graph()), small.SPEC.shape)
    with pytest.raises(EngineError, match="NaN"):
        engine.run(np.full(small.SPEC.shape, np.nan, np.float32))


def test_golden_inputs_of_a_foreign_tflite_model(reference_models: Path) -> None:
    """Two inputs whose answers its author wrote down."""
    model = read(reference_models / "mfcc_dense.tflite")
    assert model.info is None
    labels = "disco classical country blues metal rock reggae pop hiphop jazz".split()
    engine = Engine(model, shape=(130, 13), output="probabilities")
    for genre, probability in (("disco", 0.956), ("metal", 0.9996)):
        text = (reference_models / f"mfcc_dense_input_{genre}.txt").read_text()
        values = [float(word) for word in text.replace("[", " ").replace("]", " ").split()]
        result = engine.run(np.array(values, np.float32).reshape(130, 13))
        assert labels[int(result.argmax())] == genre
        assert result.max() == pytest.approx(probability, abs=1e-3)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_threads_do_not_change_the_answer(kind: str) -> None:
    model = read(find_model(f"songnet-gtzan.{kind}"))
    assert model.info is not None
    shape = model.info.front_end.shape
    features = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    one, two = (Engine(model, shape=shape, output="probabilities", threads=n) for n in (1, 2))
    np.testing.assert_allclose(one.run(features), two.run(features), atol=1e-5)


def test_broken_graph_in_a_whole_file() -> None:
    graph = b"\x1c\0\0\0TFL3" + bytes(5000)
    with pytest.raises(ModelError, match="cannot load it"):
        small.engine(ModelFile(Path("x.tflite"), "tflite", graph, None), (22, 32))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_quantized_tensors(dtype: type[np.integer]) -> None:
    """Rounded to the nearest step and clipped, as the TFLite specification says."""
    limits = np.iinfo(dtype)
    values = np.array([-1e6, -0.76, -0.74, 0.0, 0.26, 1e6], np.float32)
    expected = [limits.min, max(1, limits.min), 2, 3, 4, limits.max]
    quantized = quantize(values, dtype, 0.5, 3)
    assert quantized.dtype == dtype
    np.testing.assert_array_equal(quantized, expected)
    np.testing.assert_allclose(dequantize(quantized, 0.5, 3)[2:5], [-0.5, 0.0, 0.5])


def test_fallbacks_in_their_order() -> None:
    """Without ai_edge_litert the next interpreter is taken, and without any the error says so."""
    program = """
import sys
sys.modules['ai_edge_litert'] = sys.modules['ai_edge_litert.interpreter'] = None
if sys.argv[1] == 'tensorflow':
    sys.modules['tflite_runtime'] = None
else:
    sys.modules['tflite_runtime'] = sys.modules['tensorflow'] = None
from edge_genre import Classifier, EdgeGenreError
try:
    print(Classifier.load().engine.name)
except EdgeGenreError as error:
    print(error)
"""
    for last, expected in (("tensorflow", "tensorflow 2"), ("none", "pip install ai-edge-litert")):
        result = subprocess.run(
            [sys.executable, "-c", program, last], capture_output=True, text=True, check=True
        )
        assert expected in result.stdout


def test_engines_are_quiet() -> None:
    program = "from edge_genre import Classifier; Classifier.load()"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stderr == b""


def test_attached_texts_do_not_change_the_answer() -> None:
    path = find_model("songnet-gtzan.tflite")
    model = read(path)
    assert model.info is not None
    shape = model.info.front_end.shape
    graph, _ = container.split(model.content)
    bare = ModelFile(path, "tflite", graph, None)
    features = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    with_texts, without = (Engine(m, shape=shape, output="probabilities") for m in (model, bare))
    np.testing.assert_array_equal(with_texts.run(features), without.run(features))


def test_several_windows_at_once() -> None:
    engines = []
    for name in ("tiny-gtzan.onnx", "tiny-gtzan"):
        model = read(find_model(name))
        assert model.info is not None
        assert model.info.front_end is not None
        shape = model.info.front_end.shape
        engines.append(Engine(model, shape=shape, output=model.info.output))
    onnx, tflite = engines
    assert (onnx.takes_batches, tflite.takes_batches) == (True, False)
    windows = np.random.default_rng(0).standard_normal((5, *shape)).astype(np.float32)
    rows = onnx.run_batch(windows)
    assert rows.shape == (5, 10)
    np.testing.assert_allclose(rows, [onnx.run(window) for window in windows], atol=1e-5)


def test_engines_and_devices_that_are_not_there() -> None:
    model = read(find_model("tiny-gtzan.onnx"))
    shape, output = model.info.front_end.shape, model.info.output  # type: ignore[union-attr]
    for options, words in (
        ({"device": "coreml"}, "has no CoreMLExecutionProvider"),
        ({"engine": "tensorflow"}, "is run by onnxruntime, not by tensorflow"),
    ):
        with pytest.raises(EngineError, match=words):
            Engine(model, shape=shape, output=output, **options)  # type: ignore[arg-type]
    model = read(find_model("tiny-gtzan"))
    with pytest.raises(EngineError, match="TFLite files run on the CPU"):
        Engine(model, shape=shape, output=output, device="gpu")
    assert Engine(model, shape=shape, output=output, engine="ai-edge-litert").device == "cpu"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_onnx_runtime_reports_to_nobody(tmp_path: Path) -> None:
    """Its telemetry would keep a database in the home folder and a thread that sends it."""
    program = """
from pathlib import Path
from edge_genre import Classifier
Classifier.load("tiny-gtzan.onnx")
print(len(list(Path("/proc/self/task").iterdir())))
print([path.name for path in Path.home().rglob("*")])
"""
    environment = {
        "HOME": str(tmp_path),
        "OPENBLAS_NUM_THREADS": "1",
        "PATH": "/usr/bin:/bin",
    }
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout.split("\n")[:2] == ["1", "[]"]
