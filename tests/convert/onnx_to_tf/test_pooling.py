"""Pooling, as TFLite, compared with ONNX Runtime."""

from __future__ import annotations

import pytest

from tests.support.onnx_graphs import assert_same, graph

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
