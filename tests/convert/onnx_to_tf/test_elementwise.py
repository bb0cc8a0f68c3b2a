"""Operators that compute element by element, as TFLite, compared with ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from tests.support.onnx_graphs import assert_same, graph, random

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


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(("opset", "axis"), [(17, 1), (17, -1), (17, 2), (11, 1), (11, 2)])
@pytest.mark.parametrize("shape", [(1, 4, 3, 5), (1, 4, 6, 1)])
def test_softmax(kind, opset, axis, shape, run_onnx):
    model = graph(
        ("Conv", "x w", "c"), (kind, "c", "y", {"axis": axis}),
        shape=shape, opset=opset, w=random(4, 4, 1, 1),
    )  # fmt: skip
    assert_same(model, run_onnx)
