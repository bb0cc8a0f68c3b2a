"""Whole graphs, as TFLite, compared with ONNX Runtime or PyTorch."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import layers
from onnx import TensorProto, helper

from edge_genre.convert.onnx.writer import keras_to_onnx
from edge_genre.convert.onnx_to_tf.function import onnx_to_tflite
from edge_genre.convert.verify.graph_facts import graph_facts
from edge_genre.errors import ConversionError
from tests.support.onnx_graphs import assert_same, graph, random
from tests.support.requirements import require_package

ARCHITECTURES = Path(__file__).parents[1] / "architectures"


FORMATS = ("fp32", "fp16", "dynamic", "int8")


def test_layouts_that_keras_writes_cost_no_transpose(cnn, windows, run_tflite, run_onnx):
    """tf2onnx wraps each convolution in transpositions; here they vanish."""
    content = onnx_to_tflite(onnx.load_from_string(with_fixed_batch(keras_to_onnx(cnn))))
    expected = cnn.predict(windows, verbose=0)
    np.testing.assert_allclose(run_tflite(content, windows), expected, atol=1e-5)
    assert "TRANSPOSE" not in graph_facts(content).operators


def with_fixed_batch(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return model.SerializeToString()


def test_songnet_by_way_of_onnx(songnet, windows, run_tflite):
    content = onnx_to_tflite(onnx.load_from_string(keras_to_onnx(songnet)))
    expected = songnet.predict(windows, verbose=0)
    np.testing.assert_allclose(run_tflite(content, windows), expected, atol=1e-5)


def test_attention(run_onnx):
    """Products of two values that both depend on the input."""
    model = graph(
        ("MatMul", "x q", "a"), ("MatMul", "x k", "b"),
        ("Transpose", "b", "t", {"perm": [0, 2, 1]}),
        ("MatMul", "a t", "s"), ("Softmax", "s", "p", {"axis": -1}), ("MatMul", "p x", "y"),
        shape=(1, 7, 4), q=random(4, 4), k=random(4, 4, seed=1),
    )  # fmt: skip
    assert_same(model, run_onnx)


def test_a_branch_on_shapes_is_taken(run_onnx):
    def branch(kind: str) -> onnx.GraphProto:
        output = helper.make_tensor_value_info(kind, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(kind, ["x"], [kind])], kind, [], [output])

    branches = {"then_branch": branch("Relu"), "else_branch": branch("Neg")}
    model = graph(
        ("Shape", "x", "s"), ("Gather", "s second", "n"), ("Equal", "n four", "c"),
        ("If", "c", "y", branches),
        shape=(1, 5), second=np.array(1), four=np.array(4),
    )  # fmt: skip
    assert assert_same(model, run_onnx) == {"NEG": 1}


def test_probabilities_of_logits_and_of_logarithms(run_tflite):
    windows = random(6, 4)
    dense = random(4, 5)
    exact = np.exp(windows @ dense)
    exact /= exact.sum(axis=1, keepdims=True)
    for last in ("LogSoftmax", "Softmax", "Identity"):
        model = graph(("MatMul", "x w", "l"), (last, "l", "y"), shape=("batch", 4), w=dense)
        content = onnx_to_tflite(model, activation="softmax")
        np.testing.assert_allclose(run_tflite(content, windows), exact, atol=1e-6)
        assert graph_facts(content).operators.get("SOFTMAX") == 1
        assert "LOG_SOFTMAX" not in graph_facts(content).operators


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (graph(("Det", "x", "y"), shape=(1, 4, 4)), r"'y' \(Det\).*convert to ONNX only"),
        (graph(("Relu", "z", "y"), shape=(1, 4)), "reads 'z', which no node makes"),
        (graph(("Relu", "x", "y"), shape=(1, "frames")), r"shape \(1, frames\).*fixed lengths"),
        (graph(("Relu", "x", "y"), shape=(1, 4), opset=8), "opset 8"),
        (
            graph(("Conv", "x x", "y"), shape=(1, 1, 3, 3)),
            r"'y' \(Conv\): its weights depend on the input",
        ),
        (
            graph(("MaxPool", "x", "y", {"kernel_shape": [2], "dilations": [2]}), shape=(1, 1, 9)),
            "dilated",
        ),
    ],
)
def test_graphs_that_cannot_be_converted(model, message):
    with pytest.raises(ConversionError, match=message):
        onnx_to_tflite(model)


def network(name: str, reference_models: Path) -> tuple[Any, tuple[int, ...]]:
    """A network with the published weights, and the shape of its windows."""
    torch = require_package("torch")
    checkpoint = torch.load(reference_models / name, weights_only=True, map_location="cpu")
    weights = checkpoint.get("model_state_dict", checkpoint)
    if name.endswith("channel_cnn.ckpt"):
        from edge_genre.models.networks.five_channel import for_weights

        made = for_weights(weights)
        shape: tuple[int, ...] = (len(weights["block1.0.weight"][0]), 40, 130)
    else:
        module = module_of(name.replace(".pth", ".py"))
        recurrent_on_mfcc = name.startswith("mfcc")
        made = module.MfccGru() if recurrent_on_mfcc else module.CnnGruAttention()
        shape = (130, 13) if recurrent_on_mfcc else (1, 128, 130)
    made.load_state_dict(weights)
    return made.eval(), shape


def module_of(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ARCHITECTURES / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("five_channel_cnn.ckpt", (124, 66, 39, 42)),
        ("three_channel_cnn.ckpt", (124, 66, 39, 42)),
        ("cnn_gru_attention.pth", (230, 150, 120, 160)),
        ("mfcc_gru.pth", (240, 130, 105, 1500)),
    ],
)
def test_published_networks_of_pytorch(name, limits, reference_models, run_tflite, report):
    torch = require_package("torch")
    module, shape = network(name, reference_models)
    file = io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(module, torch.zeros(1, *shape), file, dynamo=False, opset_version=17)
        windows = random(8, *shape)
        exact = module(torch.from_numpy(windows)).numpy()
    model = onnx.load_from_string(file.getvalue())
    sizes = {}
    for quantize, limit in zip(FORMATS, limits, strict=True):
        calibration = [random(16, *shape, seed=1)] if quantize == "int8" else None
        content = onnx_to_tflite(model, quantize=quantize, calibration=calibration)
        facts = graph_facts(content)
        sizes[quantize] = len(content)
        assert len(content) <= 1000 * limit
        assert not facts.custom
        if "channel" in name:
            assert set(facts.outside_xnnpack) <= {"LOG_SOFTMAX"}
        outputs = run_tflite(content, windows)
        if quantize == "fp32":
            np.testing.assert_allclose(outputs, exact, atol=1e-5, rtol=2e-6)
        elif quantize == "fp16":
            np.testing.assert_allclose(outputs, exact, atol=5e-3 * max(1, np.abs(exact).max()))
        assert np.isfinite(outputs).all()
    report(f"{name}: {sizes}")


def test_keras_recurrent_layers_by_way_of_onnx(with_random_weights, run_tflite):
    inputs = keras.Input((9, 4))
    tensor = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(inputs)
    tensor = layers.Bidirectional(layers.GRU(3), merge_mode="sum")(tensor)
    model = with_random_weights(keras.Model(inputs, layers.Dense(2)(tensor)))
    windows = random(5, 9, 4)
    content = onnx_to_tflite(onnx.load_from_string(keras_to_onnx(model)))
    expected = model.predict(windows, verbose=0)
    np.testing.assert_allclose(run_tflite(content, windows), expected, atol=1e-5)
