from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_genre.convert.onnx.quantize import quantize_onnx
from edge_genre.convert.quantization import mixed_precision
from edge_genre.convert.quantization.rounding import in_half
from edge_genre.convert.verify.parity import compare
from edge_genre.errors import ConversionError
from edge_genre.model.container import join, split

BANDS, STEPS, UNITS, CLASSES = 16, 24, 32, 6
WEIGHTS = {
    "first": (16, 1, 3, 3),
    "second": (32, 16, 3, 3),
    "W": (1, 3 * UNITS, 32 * BANDS),
    "R": (1, 3 * UNITS, UNITS),
    "dense": (UNITS, 16),
    "last": (16, CLASSES),
}


def network(weights: dict[str, np.ndarray], scales: np.ndarray | None = None) -> bytes:
    """Two convolutions, a GRU, two dense layers; `last` gives classes that are well apart.

    Windows are (1, BANDS, STEPS); each channel of the second convolution's input is multiplied by
    one of `scales`.
    """
    nodes = [
        helper.make_node("Conv", ["features", "first"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["a", "scales"], ["scaled"], "scaled"),
        helper.make_node("Relu", ["scaled"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "second"], ["c"], "second", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["d"], "relu2"),
        helper.make_node("Transpose", ["d"], ["e"], perm=[3, 0, 1, 2]),
        helper.make_node("Reshape", ["e", "shape"], ["f"]),
        helper.make_node("GRU", ["f", "W", "R"], ["", "g"], "gru", hidden_size=UNITS),
        helper.make_node("Squeeze", ["g", "axis"], ["h"]),
        helper.make_node("Gemm", ["h", "dense"], ["i"], "dense"),
        helper.make_node("Relu", ["i"], ["j"], "relu3"),
        helper.make_node("MatMul", ["j", "last"], ["k"], "last"),
        helper.make_node("Softmax", ["k"], ["output"], "softmax"),
    ]
    constants = weights | {
        "scales": (np.ones(16) if scales is None else scales).astype(np.float32)[:, None, None],
        "shape": np.array([STEPS, -1, 32 * BANDS], np.int64),
        "axis": np.array([0], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1, BANDS, STEPS])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    drawn = {
        name: rng.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32)
        for name, shape in WEIGHTS.items()
    }
    return drawn | {"last": drawn["last"] * 12}


@pytest.fixture(scope="module")
def exact(weights) -> bytes:
    return network(weights)


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return _windows(1, 200)


@pytest.fixture(scope="module")
def calibration() -> np.ndarray:
    return _windows(2, 64)


def _windows(seed: int, n: int) -> np.ndarray:
    """As a log-mel spectrogram is: smooth, and far from 0 on one side."""
    rng = np.random.default_rng(seed)
    smooth = rng.normal(size=(n, 1, BANDS, 1)) * 2 + rng.normal(size=(n, 1, BANDS, STEPS)) - 3
    return smooth.astype(np.float32)


def operators(content: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(content).graph.node)


def stored(content: bytes) -> dict[str, np.ndarray]:
    graph = onnx.load_from_string(content).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def restored(content: bytes) -> dict[str, np.ndarray]:
    """The weights of a dynamic file, multiplied out by hand."""
    tensors = stored(content)
    return {
        name: tensors[f"{name}_int8"].astype(np.float32) * tensors[f"{name}_scale"]
        if f"{name}_int8" in tensors
        else tensors[name]
        for name in WEIGHTS
    }


def test_fp16_is_the_network_with_rounded_weights(exact, weights, windows, run_onnx):
    content = quantize_onnx(exact, "fp16")
    assert len(content) < 0.53 * len(exact)
    large = {name for name, values in weights.items() if values.size >= 256}
    halves = {name.removesuffix("_fp16") for name, a in stored(content).items() if a.itemsize == 2}
    assert halves == large
    rounded = {
        name: in_half(values, kernel=values.ndim == 4).astype(np.float32)
        if name in large
        else values
        for name, values in weights.items()
    }
    expected = run_onnx(network(rounded), windows)
    np.testing.assert_allclose(run_onnx(content, windows), expected, atol=1e-6)


def test_dynamic_is_the_network_with_weights_in_whole_steps(exact, weights, windows, run_onnx):
    content = quantize_onnx(exact, "dynamic")
    assert len(content) < 0.29 * len(exact)
    after = restored(content)
    axes = {"first": 0, "second": 0, "W": 1, "R": 1, "dense": 1, "last": 1}
    for name, values in weights.items():
        others = tuple(i for i in range(values.ndim) if i != axes[name])
        step = np.abs(values).max(axis=others, keepdims=True) / 127
        # Half a step, or a whole one where that keeps the sum of a kernel.
        limit = 1.001 if values.ndim == 4 else 0.501
        assert (np.abs(after[name] - values) <= limit * step).all()
    expected = run_onnx(network(after), windows)
    np.testing.assert_allclose(run_onnx(content, windows), expected, atol=1e-5)
    assert compare(run_onnx(exact, windows), run_onnx(content, windows)).top1_agreement >= 0.985


def test_kernels_keep_their_sums(exact, weights):
    """What a kernel makes of a constant is off by half a step at most, not by half of all."""
    values, after = weights["second"], restored(quantize_onnx(exact, "dynamic"))["second"]
    step = np.abs(values).max(axis=(1, 2, 3)) / 127
    off = np.abs((after - values).sum(axis=(2, 3))) / step[:, None]
    assert off.max() <= 0.501
    nearest = np.rint(values / step[:, None, None, None]) * step[:, None, None, None]
    assert np.abs((nearest - values).sum(axis=(2, 3)) / step[:, None]).max() > 0.8


@pytest.mark.parametrize("quantize", ["fp16", "dynamic"])
def test_onnxruntime_undoes_it_when_it_loads_the_file(quantize, exact, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(
        quantize_onnx(exact, quantize), options, providers=["CPUExecutionProvider"]
    )
    found = operators((tmp_path / "optimized.onnx").read_bytes())
    assert found["Cast"] == 0
    assert found["Mul"] <= 1  # the network's own


def test_operators_are_those_of_the_standard(exact, calibration):
    for quantize in ("fp16", "dynamic", "int8"):
        content = quantize_onnx(exact, quantize, [calibration] if quantize == "int8" else None)
        model = onnx.load_from_string(content)
        assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
        assert operators(content)["GRU"] == 1


def in_8_bits(content: bytes) -> set[str]:
    """Names of the layers whose inputs and weights are in 8 bits."""
    nodes = onnx.load_from_string(content).graph.node
    dequantized = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    kinds = ("Conv", "Gemm", "MatMul", "GRU", "Softmax")
    weighted = (node for node in nodes if node.op_type in kinds)
    return {node.name for node in weighted if dequantized.issuperset(node.input[:2])}


def test_int8_computes_in_8_bits_and_agrees(exact, windows, calibration, run_onnx, monkeypatch):
    # Of a network that has learned nothing, many windows lie between two classes.
    monkeypatch.setattr(mixed_precision, "MAY_CHANGE", 0.03)
    content = quantize_onnx(exact, "int8", [calibration])
    assert in_8_bits(content) >= {"second"}
    assert in_8_bits(content) <= {"first", "second", "dense"}
    assert len(content) < 0.33 * len(exact)
    assert compare(run_onnx(exact, windows), run_onnx(content, windows)).top1_agreement >= 0.97


def test_layers_that_do_not_bear_8_bits_stay(weights, windows, calibration, run_onnx):
    """One channel's range is a thousand times that of the others, which decide."""
    scales = np.ones(16)
    scales[0] = 1000
    second = weights["second"].copy()
    second[:, 0] *= 1e-3
    exact = network(weights | {"second": second}, scales)
    content = quantize_onnx(exact, "int8", [calibration])
    assert "second" not in in_8_bits(content)
    assert compare(run_onnx(exact, windows), run_onnx(content, windows)).top1_agreement >= 0.97


def test_the_same_file_gives_the_same_bytes(exact, calibration):
    contents = {quantize_onnx(exact, "int8", [calibration]) for _ in range(2)}
    assert len(contents) == 1
    assert b"/tmp" not in contents.pop()


def test_texts_in_the_file_do_not_matter(exact):
    described = join(exact, {"labels.txt": "a\nb\n"})
    content = quantize_onnx(described, "dynamic")
    assert content == quantize_onnx(exact, "dynamic")
    assert split(content)[1] == {}
    assert quantize_onnx(described, "fp32") == exact


def test_weights_inside_loops_and_constants_are_stored_too(run_onnx):
    """A loop whose body multiplies by a weight of its own, and a weight made by a Constant."""
    rng = np.random.default_rng(3)
    inner, outer = (rng.normal(0, 0.2, (20, 20)).astype(np.float32) for _ in range(2))
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "inner"], ["next"]),
            helper.make_node("Identity", ["on"], ["on_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, 20]),
        ],
        [
            helper.make_tensor_value_info("on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 20]),
        ],
        [numpy_helper.from_array(inner, "inner")],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], ["outer"], value=numpy_helper.from_array(outer)),
            helper.make_node("MatMul", ["features", "outer"], ["begin"]),
            helper.make_node("Loop", ["times", "", "begin"], ["output"], body=body),
        ],
        "looping",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 20])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 20])],
        [numpy_helper.from_array(np.array(3, np.int64), "times")],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    x = rng.normal(size=(1, 20)).astype(np.float32)
    for quantize, limit in (("fp16", 0.7), ("dynamic", 0.5)):
        content = quantize_onnx(model.SerializeToString(), quantize)
        assert len(content) < limit * model.ByteSize()
        expected = x @ outer @ inner @ inner @ inner
        np.testing.assert_allclose(run_onnx(content, x), expected, atol=0.05)


@pytest.mark.parametrize(
    ("quantize", "calibration", "message"),
    [
        ("int4", None, "expected one of fp32, fp16, dynamic, int8"),
        ("int8", None, "windows of shape n x 1 x 16 x 24; got none"),
        ("int8", [np.zeros((0, 1, BANDS, STEPS), np.float32)], "got 0 x 1 x 16 x 24"),
        ("int8", [np.zeros((4, BANDS, STEPS), np.float32)], "got 4 x 16 x 24"),
        ("int8", [np.full((4, 1, BANDS, STEPS), np.nan, np.float32)], "NaN or infinity"),
        ("dynamic", [np.zeros((4, 1, BANDS, STEPS), np.float32)], "takes no calibration windows"),
    ],
)
def test_options_that_do_not_fit_are_refused(quantize, calibration, message, exact):
    with pytest.raises(ConversionError, match=message):
        quantize_onnx(exact, quantize, calibration)


def test_what_is_no_onnx_file_is_refused(exact):
    with pytest.raises(ConversionError, match="no ONNX file"):
        quantize_onnx(b"hello", "fp16")
    with pytest.raises(ConversionError):
        quantize_onnx(exact[: len(exact) // 2], "fp16")
    with pytest.raises(ConversionError, match="TFLite"):
        quantize_onnx(b"\x1c\0\0\0TFL3" + bytes(40), "fp16")
