"""Recurrent operators, as TFLite, compared with ONNX Runtime."""

from __future__ import annotations

import pytest

from tests.support.onnx_graphs import assert_same, graph, random


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
