"""Operators that normalise, as TFLite, compared with ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.onnx_graphs import assert_same, graph, random


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
