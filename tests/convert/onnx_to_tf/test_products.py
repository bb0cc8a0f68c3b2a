"""Dense layers, products of matrices and convolutions, as TFLite, compared with ONNX Runtime."""

from __future__ import annotations

import pytest

from tests.support.onnx_graphs import assert_same, graph, random

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


@pytest.mark.parametrize(
    ("left", "right"), [((1, 3, 4), (4, 5)), ((1, 3, 4), (1, 4, 2)), ((1, 2, 3, 4), (2, 4, 3))]
)
def test_matrix_products(left, right, run_onnx):
    model = graph(("MatMul", "x w", "y"), shape=left, w=random(*right))
    assert_same(model, run_onnx)
