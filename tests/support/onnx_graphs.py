"""ONNX graphs of a few operators, compared in TFLite and in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper, numpy_helper

from edge_genre.convert.onnx_to_tf.function import onnx_to_tflite
from edge_genre.convert.verify.graph_facts import graph_facts

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
