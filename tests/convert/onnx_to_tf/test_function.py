"""ONNX graphs as TFLite files, each compared with ONNX Runtime or PyTorch."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from onnx import TensorProto, helper, numpy_helper

from edge_genre.convert.onnx.writer import keras_to_onnx
from edge_genre.convert.onnx_to_tf.function import onnx_to_tflite
from edge_genre.convert.verify.graph_facts import graph_facts
from edge_genre.errors import ConversionError
from tests.support.requirements import require_package

ARCHITECTURES = Path(__file__).parents[1] / "architectures"
FORMATS = ("fp32", "fp16", "dynamic", "int8")

Run = Callable[[bytes, np.ndarray], np.ndarray]


def graph(
    *nodes: tuple[Any, ...],
    shape: tuple[int | str, ...],
    opset: int = 17,
    **constants: Any,
) -> onnx.ModelProto:
    """A graph from "x" to "y"; a node is (kind, inputs, outputs, attributes)."""
    made = [
        helper.make_node(kind, names.split(" "), outputs.split(), **dict(*attributes))
        for kind, names, outputs, *attributes in nodes
    ]
    weights = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    body = helper.make_graph(made, "tested", inputs, [output], weights)
    # The intermediate representation that ONNX Runtime of that time reads.
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_same(
    model: onnx.ModelProto, run_onnx: Run, *, tolerance: float = 1e-5
) -> dict[str, int]:
    """Convert, compare with ONNX Runtime, and return the operators."""
    lengths = [length.dim_value for length in model.graph.input[0].type.tensor_type.shape.dim]
    windows = random(4, *lengths[1:], seed=7)
    content = onnx_to_tflite(model)
    exact = model.SerializeToString()
    expected = np.concatenate([run_onnx(exact, window[np.newaxis]) for window in windows])
    # The batch axis need not come first at the end: whole outputs, one a window.
    outputs = [run_whole(content, window) for window in windows]
    np.testing.assert_allclose(np.concatenate(outputs), expected, atol=tolerance, rtol=1e-5)
    facts = graph_facts(content)
    assert not facts.custom
    return facts.operators


def run_whole(content: bytes, window: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], window[np.newaxis])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


ELEMENTWISE = [
    *((kind, {}) for kind in "Abs Ceil Cos Erf Exp Floor HardSwish Neg Reciprocal Relu".split()),
    *((kind, {}) for kind in "Round Sigmoid Sign Sin Softplus Softsign Tanh".split()),
    *((kind, {}) for kind in "Elu Celu Selu LeakyRelu HardSigmoid Identity Dropout".split()),
    ("Elu", {"alpha": 0.5}),
    ("LeakyRelu", {"alpha": 0.2}),
    ("HardSigmoid", {"alpha": 1 / 6}),
]


@pytest.mark.parametrize("shape", [(1, 7), (1, 3, 4, 5)])
@pytest.mark.parametrize(("kind", "attributes"), ELEMENTWISE)
def test_elementwise(kind, attributes, shape, run_onnx):
    model = graph((kind, "x", "y", attributes), shape=shape)
    assert_same(model, run_onnx)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate, run_onnx):
    model = graph(("Gelu", "x", "y", {"approximate": approximate}), shape=(1, 40), opset=20)
    assert_same(model, run_onnx, tolerance=1e-6)


def test_roots_and_logarithms(run_onnx):
    model = graph(
        ("Abs", "x", "a"), ("Sqrt", "a", "b"), ("Add", "b one", "c"), ("Log", "c", "y"),
        shape=(1, 5), one=np.float32(1),
    )  # fmt: skip
    assert_same(model, run_onnx)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 1.7])
def test_powers(exponent, run_onnx):
    model = graph(("Abs", "x", "a"), ("Pow", "a p", "y"), shape=(1, 5), p=np.float32(exponent))
    assert_same(model, run_onnx)


CHANNELS = random(3, 1, 1, seed=3)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "PRelu"])
@pytest.mark.parametrize("other", [CHANNELS, random(5, seed=4), np.float32(0.3)])
def test_two_operands_behind_a_convolution(kind, other, run_onnx):
    """The convolution makes the value channels-last; the constant is in ONNX's order."""
    model = graph(
        ("Conv", "x w", "c"), (kind, "c k", "d"), ("Add", "d x", "y"),
        shape=(1, 3, 4, 5), w=random(3, 3, 1, 1), k=other,
    )  # fmt: skip
    assert_same(model, run_onnx)


@pytest.mark.parametrize(
    "comparison", ["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"]
)
def test_choices(comparison, run_onnx):
    model = graph(
        (comparison, "x zero", "c"), ("Not", "c", "n"), ("Where", "n x k", "d"),
        ("Cast", "c", "e", {"to": TensorProto.FLOAT}), ("Add", "d e", "y"),
        shape=(1, 3, 5), zero=np.float32(0.1), k=random(5),
    )  # fmt: skip
    assert_same(model, run_onnx)


@pytest.mark.parametrize(("low", "high"), [(0, 6), (0, None), (-0.5, 0.5), (None, 0.2)])
def test_clip(low, high, run_onnx):
    bounds = {name: np.float32(v) for name, v in (("a", low), ("b", high)) if v is not None}
    names = f"x {'a' if low is not None else ''} {'b' if high is not None else ''}".rstrip()
    assert_same(graph(("Clip", names, "y"), shape=(1, 9), **bounds), run_onnx)


CONVOLUTIONS = [
    {},
    {"pads": [1, 1, 1, 1]},
    {"pads": [1, 1, 1, 1], "strides": [2, 2]},
    {"pads": [0, 2, 1, 0]},
    {"strides": [2, 1]},
    {"dilations": [2, 1], "pads": [2, 1, 2, 1]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
]


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_convolutions_of_pictures(options, groups, run_onnx):
    model = graph(
        ("Conv", "x w b", "y", {"group": groups, **options}),
        shape=(1, 6, 10, 9), w=random(12, 6 // groups, 3, 3), b=random(12),
    )  # fmt: skip
    assert_same(model, run_onnx)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("options", [{}, {"pads": [2, 2], "strides": [2]}, {"dilations": [3]}])
def test_convolutions_of_sequences(options, groups, run_onnx):
    model = graph(
        ("Conv", "x w", "y", {"group": groups, **options}),
        shape=(1, 4, 20), w=random(4, 4 // groups, 5),
    )  # fmt: skip
    assert_same(model, run_onnx)


def normalisation(channels: int) -> dict[str, np.ndarray]:
    """Constants of a batch normalisation with gammas of both signs."""
    names = {
        name: random(channels, seed=seed) for seed, name in enumerate("gamma beta mean".split())
    }
    return {**names, "variance": np.abs(random(channels, seed=5)) + 0.5}


NORM = "gamma beta mean variance"


@pytest.mark.parametrize(
    "between",
    [
        [],
        [("MaxPool", "n", "p", {"kernel_shape": [2, 2]})],
        [("AveragePool", "n", "p", {"kernel_shape": [2, 2]})],
        [("GlobalAveragePool", "n", "p")],
        [("ReduceMax", "n", "p", {"axes": [3]})],
    ],
)
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 1, 0]])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_normalisation_before_a_convolution(between, pads, groups, run_onnx):
    """It goes into the weights where nothing is padded, past pools where they keep the order."""
    model = graph(
        ("Relu", "x", "r"), ("BatchNormalization", f"r {NORM}", "n" if between else "p"),
        *between, ("Conv", "p w b", "y", {"pads": pads, "group": groups}),
        shape=(1, 4, 6, 6), w=random(6, 4 // groups, 1, 1), b=random(6), **normalisation(4),
    )  # fmt: skip
    assert_same(model, run_onnx)


def test_a_normalisation_is_taken_in_by_the_next_dense_layer(run_onnx):
    model = graph(
        ("Conv", "x w", "c"), ("Relu", "c", "r"), ("BatchNormalization", f"r {NORM}", "n"),
        ("GlobalAveragePool", "n", "p"), ("Flatten", "p", "f"),
        ("Gemm", "f dense bias", "y", {"transB": 1, "alpha": 0.5, "beta": 2.0}),
        shape=(1, 2, 5, 5), w=random(4, 2, 3, 3), dense=random(3, 4), bias=random(3),
        **normalisation(4),
    )  # fmt: skip
    assert not {"MUL", "ADD"} & assert_same(model, run_onnx).keys()


def test_a_normalisation_read_twice(run_onnx):
    model = graph(
        ("BatchNormalization", f"x {NORM}", "n"), ("MatMul", "n dense", "d"), ("Add", "d n", "y"),
        shape=(1, 4), dense=random(4, 4), **normalisation(4),
    )  # fmt: skip
    assert_same(model, run_onnx)


@pytest.mark.parametrize("kind", ["InstanceNormalization", "LayerNormalization"])
def test_normalisations_of_a_window(kind, run_onnx):
    size = 4 if kind == "InstanceNormalization" else 6
    model = graph(
        (kind, "x g b", "y", {"epsilon": 1e-3}),
        shape=(1, 4, 5, 6),
        g=random(size),
        b=random(size, seed=1),
    )
    assert_same(model, run_onnx)


POOLS = [
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [2, 3], "strides": [2, 2], "pads": [0, 1, 1, 0]},
    {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [3, 2], "strides": [3, 2], "auto_pad": "SAME_UPPER"},
]


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("options", POOLS)
def test_pools_of_pictures(kind, options, run_onnx):
    assert_same(graph((kind, "x", "y", options), shape=(1, 3, 10, 9)), run_onnx)


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_pools_of_sequences(kind, run_onnx):
    options = {"kernel_shape": [4], "strides": [2], "pads": [1, 2]}
    assert_same(graph((kind, "x", "y", options), shape=(1, 3, 21)), run_onnx)


def test_averages_that_count_the_padding(run_onnx):
    options = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    assert_same(graph(("AveragePool", "x", "y", options), shape=(1, 3, 6, 5)), run_onnx)


REDUCTIONS = "L1 L2 Max Mean Min Prod Sum SumSquare".split()


@pytest.mark.parametrize("kind", REDUCTIONS)
@pytest.mark.parametrize("axes", [[1], [2], [-1, -2], [1, 3], [0, 2]])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reductions_behind_a_convolution(kind, axes, keepdims, run_onnx):
    operand = kind == "Sum"  # the one of these that takes axes as an operand in opset 17
    model = graph(
        ("Conv", "x w", "c"),
        (f"Reduce{kind}", "c axes" if operand else "c", "y",
         {"keepdims": keepdims, **({} if operand else {"axes": axes})}),
        shape=(1, 2, 3, 4), w=random(3, 2, 1, 1), **({"axes": np.array(axes)} if operand else {}),
    )  # fmt: skip
    assert_same(model, run_onnx)


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(("opset", "axis"), [(17, 1), (17, -1), (17, 2), (11, 1), (11, 2)])
@pytest.mark.parametrize("shape", [(1, 4, 3, 5), (1, 4, 6, 1)])
def test_softmax(kind, opset, axis, shape, run_onnx):
    model = graph(
        ("Conv", "x w", "c"), (kind, "c", "y", {"axis": axis}),
        shape=shape, opset=opset, w=random(4, 4, 1, 1),
    )  # fmt: skip
    assert_same(model, run_onnx)


SHAPES = [
    [("Transpose", "c", "y", {"perm": [0, 2, 3, 1]})],
    [("Transpose", "c", "y", {"perm": [3, 0, 2, 1]})],
    [("Transpose", "c", "t", {"perm": [0, 2, 3, 1]}),
     ("Transpose", "t", "u", {"perm": [0, 3, 1, 2]}), ("Relu", "u", "y")],
    [("Reshape", "c flat", "y")],
    [("Reshape", "c halves", "y")],
    [("Flatten", "c", "y", {"axis": 2})],
    [("Unsqueeze", "c second", "u"), ("Squeeze", "u second", "y")],
    [("Concat", "c x c", "y", {"axis": 1})],
    [("Concat", "c x", "y", {"axis": -1})],
    [("Split", "c", "a b", {"axis": 1}), ("Mul", "a b", "y")],
    [("Split", "c parts", "a b", {"axis": 3}), ("Concat", "b a", "y", {"axis": 3})],
    [("Slice", "c from to axes steps", "y")],
    [("Slice", "c last first axes back", "y")],
    [("Gather", "c second", "y", {"axis": 1})],
    [("Gather", "c minus", "y", {"axis": 2})],
    [("Gather", "c some", "y", {"axis": 3})],
    [("Pad", "c pads", "y")],
    [("Pad", "c pads half", "y")],
    [("Pad", "c pads", "y", {"mode": "reflect"})],
    [("Pad", "c pads", "y", {"mode": "edge"})],
    [("Tile", "c times", "y")],
    [("ReduceMean", "c", "m", {"axes": [2], "keepdims": 1}), ("Expand", "m wide", "y")],
    [("Shape", "c", "s"), ("Gather", "s second", "n"), ("Cast", "n", "f", {"to": 1}),
     ("Div", "c f", "y")],
]  # fmt: skip
SHAPE_CONSTANTS = {
    "flat": [0, -1], "halves": [0, 2, 2, -1], "second": [1], "parts": [2, 4], "minus": -1,
    "from": [1, -3], "to": [9223372036854775807, -1], "axes": [1, 3], "steps": [2, 1],
    "last": [-1, 4], "first": [-9223372036854775807, 0], "back": [-1, -2], "some": [3, 0, -1],
    "pads": [0, 1, 0, 1, 0, 0, 1, 1], "times": [1, 2, 1, 3], "wide": [1, 4, 5, 6],
}  # fmt: skip


@pytest.mark.parametrize("nodes", SHAPES, ids=lambda nodes: "-".join(n[0] for n in nodes))
def test_shapes_behind_a_convolution(nodes, run_onnx):
    used = {name for node in nodes for name in node[1].split()}
    constants = {k: np.array(v) for k, v in SHAPE_CONSTANTS.items() if k in used}
    if "half" in used:
        constants["half"] = np.float32(0.5)
    model = graph(
        ("Conv", "x w", "c"), *nodes, shape=(1, 4, 5, 6), w=random(4, 4, 1, 1), **constants
    )
    assert_same(model, run_onnx)


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


@pytest.mark.parametrize(
    ("left", "right"), [((1, 3, 4), (4, 5)), ((1, 3, 4), (1, 4, 2)), ((1, 2, 3, 4), (2, 4, 3))]
)
def test_matrix_products(left, right, run_onnx):
    model = graph(("MatMul", "x w", "y"), shape=left, w=random(*right))
    assert_same(model, run_onnx)


def test_attention(run_onnx):
    """Products of two values that both depend on the input."""
    model = graph(
        ("MatMul", "x q", "a"), ("MatMul", "x k", "b"),
        ("Transpose", "b", "t", {"perm": [0, 2, 1]}),
        ("MatMul", "a t", "s"), ("Softmax", "s", "p", {"axis": -1}), ("MatMul", "p x", "y"),
        shape=(1, 7, 4), q=random(4, 4), k=random(4, 4, seed=1),
    )  # fmt: skip
    assert_same(model, run_onnx)


@pytest.mark.parametrize("steps", [6, 70])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("result", ["all", "last"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("GRU", {"linear_before_reset": 0}),
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {"activations": ["HardSigmoid", "Softsign"]}),
        ("LSTM", {}),
        ("LSTM", {"activations": ["Sigmoid", "Relu", "Tanh"]}),
    ],
)
def test_recurrent(kind, options, result, direction, steps, run_onnx):
    """Written out or in a loop, with a first state."""
    units, gates, n = 3, 3 if kind == "GRU" else 4, 2 if direction == "bidirectional" else 1
    options = dict(options)
    if "activations" in options:
        options["activations"] = options["activations"] * n
    first = " h" if kind == "GRU" else " h c"
    constants = {
        "w": random(n, gates * units, 4), "r": random(n, gates * units, units, seed=1),
        "b": random(n, 2 * gates * units, seed=2), "h": random(n, 1, units, seed=3),
    }  # fmt: skip
    if kind == "LSTM":
        constants["c"] = random(n, 1, units, seed=4)
    model = graph(
        ("Transpose", "x", "t", {"perm": [1, 0, 2]}),
        (kind, f"t w r b {first}", "s l",
         {"hidden_size": units, "direction": direction, **options}),
        ("Transpose", "s", "y", {"perm": [2, 0, 1, 3]}) if result == "all"
        else ("Transpose", "l", "y", {"perm": [1, 0, 2]}),
        shape=(1, steps, 4), **constants,
    )  # fmt: skip
    operators = assert_same(model, run_onnx)
    assert ("WHILE" in operators) == (steps > 64)


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
        content = onnx_to_tflite(model, probabilities=True)
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
        calibration = random(16, *shape, seed=1) if quantize == "int8" else None
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
