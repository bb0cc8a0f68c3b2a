"""Reductions over axes, as TFLite, compared with ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.onnx_graphs import assert_same, graph, random

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
