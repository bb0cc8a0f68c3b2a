"""Operators that move values, as TFLite, compared with ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.onnx_graphs import assert_same, graph, random

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
