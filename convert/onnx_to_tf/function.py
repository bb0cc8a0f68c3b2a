"""ONNX graphs as TensorFlow functions, and by way of these as TFLite files.

The graph is evaluated node by node while TensorFlow traces a function of one window. What depends
on weights and shapes alone is computed on the way, by ONNX's reference evaluator; all else becomes
TensorFlow operators that TFLite has built in (see ``operators``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edge_genre.convert.onnx.graph import input_values, last_operator
from edge_genre.convert.onnx_to_tf.operators import OPERATORS
from edge_genre.convert.onnx_to_tf.registry import Node
from edge_genre.convert.onnx_to_tf.values import Operand, Shape, Value, tensor_of
from edge_genre.convert.quantization.mixed_precision import Edges
from edge_genre.convert.tensors import INPUT, Arrays, names_in_files
from edge_genre.convert.tflite.recurrent import MAX_UNROLLED_STEPS
from edge_genre.convert.tflite.writer import (
    function_to_tflite,
    must_write_out,
    require_options,
)
from edge_genre.errors import ConversionError, one_line

# What older exporters wrote differs in more places than the operators here look at.
MIN_OPSET = 9


def onnx_to_tflite(
    model: onnx.ModelProto,
    *,
    quantize: str = "fp32",
    calibration: Arrays | None = None,
    edges: Edges | None = None,
    target: str = "litert",
    integer_io: bool = False,
    activation: str | None = None,
) -> bytes:
    """Convert an ONNX graph to a TFLite file with built-in operators only.

    Parameters
    ----------
    model : a graph with float32 inputs of fixed lengths behind the batch axis. Where it has several
        inputs or outputs, the file calls them as it does.
    quantize, calibration, edges, target, integer_io : see
        `edge_genre.convert.tflite.writer.keras_to_tflite`.
    activation : of the first output, likewise; a softmax is put in place of a final log-softmax,
        and a final softmax stays as it is.

    Returns
    -------
    The file's bytes.

    Raises
    ------
    ConversionError
        the graph, or the combination of graph and options, cannot be converted.
    """
    require_options(quantize, target, integer_io=integer_io)
    last = last_operator(model.graph)
    if activation == "softmax" and last is not None:
        if last.op_type == "LogSoftmax":
            model = _as_softmax(model, last)
        if last.op_type in ("Softmax", "LogSoftmax"):
            activation = None
    everything = must_write_out(quantize, target)
    return function_to_tflite(
        onnx_function(model, max_unrolled_steps=None if everything else MAX_UNROLLED_STEPS),
        name=model.graph.name,
        inputs=[value.name for value in input_values(model.graph)],
        outputs=[value.name for value in model.graph.output],
        quantize=quantize,
        calibration=calibration,
        edges=edges,
        target=target,
        integer_io=integer_io,
        activation=activation,
    )


def onnx_function(
    model: onnx.ModelProto, *, max_unrolled_steps: int | None = MAX_UNROLLED_STEPS
) -> Any:
    """Make a ``tf.function`` of an ONNX graph, its weights as constants.

    Parameters
    ----------
    model : a graph with float32 inputs of fixed lengths behind the batch axis.
    max_unrolled_steps : recurrent layers of more steps become while loops; None for none.

    Returns
    -------
    A function from an array of float32 (1, ...) for each input to the graph's outputs for that
    window.

    Raises
    ------
    ConversionError
        the graph has other inputs.
    """
    graph = model.graph
    sources = input_values(graph)
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    if opsets.get("", 1) < MIN_OPSET:
        raise ConversionError(
            f"ONNX graph {graph.name!r} is of opset {opsets.get('', 1)}; expected {MIN_OPSET} or "
            "later: export it again with opset 17"
        )

    def call(*windows: Any) -> list[Any]:
        values: dict[str, Operand] = {
            source.name: Value(window) for source, window in zip(sources, windows, strict=True)
        }
        _Evaluation(opsets, max_unrolled_steps).run(graph, values)
        return [tensor_of(values[output.name]) for output in graph.output]

    names = names_in_files([_argument(source.name) for source in sources], INPUT)
    signature = [
        tf.TensorSpec(_window_shape(source), tf.float32, name=name)
        for source, name in zip(sources, names, strict=True)
    ]
    # There is no Python control flow to translate, and autograph would rewrite errors.
    return tf.function(call, input_signature=signature, autograph=False)


class _Evaluation:
    """Runs a graph on values, node by node.

    Parameters
    ----------
    opsets : version of each domain of operators.
    max_unrolled_steps : see ``onnx_function``.
    """

    def __init__(self, opsets: dict[str, int], max_unrolled_steps: int | None) -> None:
        self._opsets = opsets
        self._max_unrolled_steps = max_unrolled_steps

    def run(self, graph: onnx.GraphProto, values: dict[str, Operand]) -> None:
        """Add the results of all nodes to the values."""
        for tensor in graph.initializer:
            values[tensor.name] = numpy_helper.to_array(tensor)
        readers = Counter(name for node in graph.node for name in node.input)
        readers.update(value.name for value in graph.output)
        for node in graph.node:
            missing = [name for name in node.input if name and name not in values]
            if missing:
                raise ConversionError(
                    f"ONNX node {_named(node)} reads {missing[0]!r}, which no node makes: the "
                    "graph is damaged"
                )
            operands = [values[name] if name else None for name in node.input]
            results = self._results(node, operands, values)
            for name, result in zip(node.output, results, strict=False):
                if name and result is not None:
                    values[name] = _shared(result) if readers[name] > 1 else result

    def _results(
        self, proto: onnx.NodeProto, operands: list[Operand | None], values: dict[str, Operand]
    ) -> Iterable[Operand | None]:
        node = Node(proto, self._opsets.get("", 1), self._max_unrolled_steps)
        constants = [operand for operand in operands if not isinstance(operand, Value)]
        try:
            if node.kind in ("Shape", "Size") and isinstance(operands[0], Value):
                return [_measured(node, operands[0].shape)]
            if node.kind == "If":
                return self._branch(node, operands[0], values)
            if len(constants) == len(operands):
                return self._folded(proto, constants)
            if proto.domain not in ("", "ai.onnx") or node.kind not in OPERATORS:
                raise ConversionError(
                    "this operator has no TFLite form here: express it in other operators (an "
                    "older opset often does), or convert to ONNX only"
                )
            results = OPERATORS[node.kind](node, *operands)
        except ConversionError as error:
            if str(error).startswith("ONNX node"):  # of a branch
                raise
            raise ConversionError(f"ONNX node {_named(proto)}: {error}") from error
        except Exception as error:  # TensorFlow and onnx raise many kinds, without a common base
            raise ConversionError(
                f"ONNX node {_named(proto)} cannot be converted: {one_line(error, 300)}"
            ) from error
        return results if isinstance(results, list) else [results]

    def _branch(
        self, node: Node, condition: Operand | None, values: dict[str, Operand]
    ) -> list[Operand]:
        if not isinstance(condition, np.ndarray):
            raise ConversionError("its branch depends on the input: export it without If")
        branch = node.attribute("then_branch" if condition.item() else "else_branch")
        inner = dict(values)
        self.run(branch, inner)
        return [inner[output.name] for output in branch.output]

    def _folded(
        self, proto: onnx.NodeProto, constants: list[np.ndarray | None]
    ) -> list[np.ndarray | None]:
        """Compute a node of constants."""
        # The same constant may be read twice, but has to be declared once.
        named = {
            name: constant
            for name, constant in zip(proto.input, constants, strict=True)
            if constant is not None
        }
        graph = helper.make_graph(
            [proto],
            "constants",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(constant.dtype), constant.shape
                )
                for name, constant in named.items()
            ],
            [onnx.ValueInfoProto(name=name) for name in proto.output if name],
        )
        imports = [helper.make_opsetid(domain, version) for domain, version in self._opsets.items()]
        model = helper.make_model(graph, opset_imports=imports)
        results = iter(ReferenceEvaluator(model).run(None, named))
        return [np.asarray(next(results)) if name else None for name in proto.output]


def _shared(result: Operand) -> Operand:
    """A result that is read twice: rescaled for one reader, it would be computed twice."""
    return replace(result, rescaled=None) if isinstance(result, Value) else result


def _measured(node: Node, shape: Shape) -> np.ndarray:
    """Result of Shape or Size."""
    if node.kind == "Size":
        return np.array(np.prod(shape), np.int64)
    return np.array(shape[node.attribute("start", 0) : node.attribute("end")], np.int64)


def _named(node: onnx.NodeProto) -> str:
    return f"{node.name or node.output[0]!r} ({node.op_type})"


def _argument(name: str) -> str:
    """A name that TensorFlow takes for an argument, whatever the file will call it."""
    return re.sub(r"\W", "_", name)


def _window_shape(source: onnx.ValueInfoProto) -> Shape:
    """The input's shape, with a batch of one."""
    kind = source.type.tensor_type
    if kind.elem_type != onnx.TensorProto.FLOAT:
        raise ConversionError(f"ONNX input {source.name!r} is not float32: export it as that")
    lengths = [length.dim_value for length in kind.shape.dim]
    if len(lengths) < 2 or lengths[0] > 1 or 0 in lengths[1:]:
        found = ", ".join(length.dim_param or str(length.dim_value) for length in kind.shape.dim)
        raise ConversionError(
            f"ONNX input {source.name!r} has shape ({found}); expected a batch axis, free or 1, "
            "and fixed lengths after it: export it with the window length it is to run on"
        )
    return (1, *lengths[1:])


def _as_softmax(model: onnx.ModelProto, last: onnx.NodeProto) -> onnx.ModelProto:
    """A copy of the model with a Softmax in place of its last LogSoftmax."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.output[0] == last.output[0]:
            node.op_type = "Softmax"
    return copy
