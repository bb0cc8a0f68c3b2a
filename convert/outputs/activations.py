"""The operator that a graph ends with, which often says what its outputs mean."""

from __future__ import annotations

from typing import Any

import onnx

from edge_genre.convert.onnx.graph import last_operator
from edge_genre.convert.tflite.flatbuffer import builtin, operators, parse, schema

SIGMOID, SOFTMAX, LOG_SOFTMAX = "sigmoid", "softmax", "log_softmax"

_ONNX = {"Sigmoid": SIGMOID, "Softmax": SOFTMAX, "LogSoftmax": LOG_SOFTMAX}
_TENSORFLOW = _ONNX
_TFLITE = {"LOGISTIC": SIGMOID, "SOFTMAX": SOFTMAX, "LOG_SOFTMAX": LOG_SOFTMAX}

# Operators that pass on what they are given, as far as its values go.
_TENSORFLOW_PASSING_ON = {"Identity", "Reshape", "Squeeze", "ExpandDims", "Cast"}
_TFLITE_PASSING_ON = {"DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CAST"}


def of_onnx(model: onnx.ModelProto) -> str | None:
    """What a graph's first output is made by: one of those above, or something else (None)."""
    node = last_operator(model.graph)
    return None if node is None else _ONNX.get(node.op_type)


def of_tflite(graph: bytes) -> str | None:
    """The same of a TFLite graph.

    Raises
    ------
    ConversionError
        It is damaged.
    """
    model = parse(graph)
    main = model.subgraphs[0]
    names = {number: name for name, number in vars(schema().BuiltinOperator).items()}
    producers = {int(tensor): node for node in operators(main) for tensor in node.outputs}
    node = producers.get(int(main.outputs[0]))
    while node is not None:
        name = names.get(builtin(model.operatorCodes[node.opcodeIndex]), "")
        if name not in _TFLITE_PASSING_ON:
            return _TFLITE.get(name)
        node = producers.get(int(node.inputs[0]))
    return None


def of_function(concrete: Any) -> str | None:
    """The same of a concrete TensorFlow function."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    # Which also puts the functions that it calls in their places.
    graph = convert_variables_to_constants_v2(concrete, lower_control_flow=False).graph
    operator = graph.outputs[0].op
    while operator.type in _TENSORFLOW_PASSING_ON and operator.inputs:
        operator = operator.inputs[0].op
    return _TENSORFLOW.get(str(operator.type))
