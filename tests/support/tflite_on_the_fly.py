"""The models of `tests.support.models_on_the_fly` as TFLite, written without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_genre.convert.tflite import flatbuffer
from tests.support.models_on_the_fly import LABELS, SPEC, weights

_LAST = {"logits": "", "probabilities": "SOFTMAX", "log_probabilities": "LOG_SOFTMAX"}


def tflite_graph(
    shape: Sequence[int] | Mapping[str, Sequence[int]] = SPEC.shape,
    *,
    output: str = "probabilities",
    n_classes: int = len(LABELS),
    many: bool = False,
    explanation: str = "",
) -> bytes:
    """See `tests.support.models_on_the_fly.onnx_graph`; shapes are without the batch axis.

    Tensors are called as TensorFlow calls those of a signature.
    """
    shapes = shape if isinstance(shape, Mapping) else {"x": shape}
    types = flatbuffer.schema()
    model, subgraph = types.ModelT(), types.SubGraphT()
    model.version, model.subgraphs, model.operatorCodes = 3, [subgraph], []
    model.buffers = [types.BufferT()]
    subgraph.tensors, subgraph.operators = [], []

    def tensor(name: str, sizes: Sequence[int], values: Any = None) -> int:
        whole = values is not None and values.dtype == np.int32
        dtype = types.TensorType.INT32 if whole else types.TensorType.FLOAT32
        return flatbuffer.add_tensor(model, subgraph, name, sizes, dtype, values)

    def emit(
        code: str, inputs: list[int], name: str, sizes: Sequence[int], **options: object
    ) -> int:
        found = tensor(name, sizes)
        number = getattr(types.BuiltinOperator, code)
        operator = flatbuffer.new_operator(model, number, inputs, [found])
        for kind, values in options.items():
            operator.builtinOptionsType = getattr(types.BuiltinOptions, kind)
            operator.builtinOptions = getattr(types, f"{kind}T")()
            for key, value in values.items():
                setattr(operator.builtinOptions, key, value)
        subgraph.operators.append(operator)
        return found

    taken = [tensor(f"serving_default_{name}:0", (1, *sizes)) for name, sizes in shapes.items()]
    row = (1, n_classes)
    logits = -1
    for name, features, sizes in zip(shapes, taken, shapes.values(), strict=True):
        matrix = weights(sizes, n_classes).T.copy()
        flat = np.array([1, matrix.shape[1]], np.int32)
        inputs = [features, tensor(f"flat_{name}", (2,), flat)]
        flattened = emit("RESHAPE", inputs, f"row_{name}", (1, matrix.shape[1]))
        bias = tensor(f"b_{name}", (n_classes,), np.zeros(n_classes, np.float32))
        inputs = [flattened, tensor(f"w_{name}", matrix.shape, matrix), bias]
        part = emit("FULLY_CONNECTED", inputs, f"logits_{name}", row, FullyConnectedOptions={})
        logits = part if logits < 0 else emit("ADD", [logits, part], "sum", row, AddOptions={})
    last = "LOGISTIC" if many and output == "probabilities" else _LAST[output]
    if last:
        options = {"SoftmaxOptions": {"beta": 1.0}} if last == "SOFTMAX" else {}
        logits = emit(last, [logits], "StatefulPartitionedCall:0", row, **options)
    outputs = [logits]
    if explanation:
        sizes = (1, *next(iter(shapes.values())))
        axis = tensor("axis", (1,), np.array([len(sizes) - 1], np.int32))
        inputs = [taken[0], axis]
        outputs.append(emit("MEAN", inputs, f"{explanation}:0", sizes[:-1], ReducerOptions={}))
    subgraph.inputs, subgraph.outputs = np.array(taken, np.int32), np.array(outputs, np.int32)
    return flatbuffer.pack(model)
