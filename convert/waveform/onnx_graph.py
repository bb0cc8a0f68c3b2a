"""A front end and an ONNX classifier as one ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_genre.convert.waveform.ends import ends
from edge_genre.convert.waveform.graph import Writer
from edge_genre.engines import fitted
from edge_genre.errors import ConversionError, one_line
from edge_genre.frontend import FrontEndSpec
from edge_genre.frontend.graph import Value
from edge_genre.task import Task

INPUT, OUTPUT = "samples", "probabilities"
_PREFIX = "front_end/"
_OLDEST = 13  # opset: the first with the operators in the form that is used here
_AXES_AS_INPUT = 18
# By their names in `edge_genre.task.Task.operator`.
_OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "softmax": ("Softmax", {"axis": -1}),
    "sigmoid": ("Sigmoid", {}),
    "exponential": ("Exp", {}),
}


class OnnxWriter(Writer):
    """Collects nodes and initializers."""

    def __init__(self, opset: int) -> None:
        super().__init__()
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._opset = opset
        self._stored: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def constant(self, values: Any) -> Value:
        array = np.asarray(values, np.float32)
        return Value(self._store(array), array.shape)

    def emit(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node, and return the name of its output."""
        name = f"{_PREFIX}{operator}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def _store(self, array: NDArray[Any]) -> str:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._stored:
            self._stored[key] = name = f"{_PREFIX}table{len(self._stored)}"
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return self._stored[key]

    def _whole(self, values: Sequence[int]) -> str:
        return self._store(np.array(values, np.int64))

    def _pad(self, value: Value, pads: list[tuple[int, int]], reflect: bool) -> str:
        sizes = self._whole([*(before for before, _ in pads), *(after for _, after in pads)])
        return self.emit("Pad", [value.key, sizes], mode="reflect" if reflect else "constant")

    def _slice(self, value: Value, begin: Sequence[int], shape: Sequence[int]) -> str:
        cut = [axis for axis, size in enumerate(shape) if size != value.shape[axis]]
        starts = self._whole([begin[axis] for axis in cut])
        ends = self._whole([begin[axis] + shape[axis] for axis in cut])
        return self.emit("Slice", [value.key, starts, ends, self._whole(cut)])

    def _reshape(self, value: Value, shape: tuple[int, ...]) -> str:
        return self.emit("Reshape", [value.key, self._whole(shape)])

    def _transpose(self, value: Value, order: tuple[int, ...]) -> str:
        return self.emit("Transpose", [value.key], perm=list(order))

    def _concat(self, values: Sequence[Value], axis: int, shape: tuple[int, ...]) -> str:
        return self.emit("Concat", [value.key for value in values], axis=axis)

    def _reduce(self, what: str, value: Value, axis: int, shape: tuple[int, ...]) -> str:
        operator = {"max": "ReduceMax", "min": "ReduceMin", "mean": "ReduceMean"}[what]
        if self._opset < _AXES_AS_INPUT:
            return self.emit(operator, [value.key], axes=[axis], keepdims=1)
        return self.emit(operator, [value.key, self._whole([axis])], keepdims=1)

    def _dense(self, value: Value, weights: NDArray[np.float32], shape: tuple[int, ...]) -> str:
        return self.emit("MatMul", [value.key, self._store(weights)])

    def _elementwise(self, what: str, values: Sequence[Value], shape: tuple[int, ...]) -> str:
        operator = {
            "add": "Add",
            "subtract": "Sub",
            "multiply": "Mul",
            "divide": "Div",
            "maximum": "Max",
            "root": "Sqrt",
            "log": "Log",
            "exp": "Exp",
        }[what]
        return self.emit(operator, [value.key for value in values])


def onnx_with_front_end(
    graph: bytes, front_ends: Mapping[str, FrontEndSpec], output: str, task: Task
) -> bytes:
    """See `edge_genre.convert.waveform.with_front_end`."""
    try:
        model = onnx.load_from_string(graph)
    except Exception as error:  # protobuf's own, of which there are several
        raise ConversionError(f"the ONNX graph is damaged: {one_line(error, 300)}") from error
    inner = model.graph
    stored = {each.name for each in inner.initializer}
    inputs = [each for each in inner.input if each.name not in stored]
    names, outputs = ([each.name for each in side] for side in (inputs, inner.output))
    found = ends("ONNX", names, outputs, front_ends, task.explanations)
    opset = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if opset < _OLDEST:
        raise ConversionError(f"the ONNX graph has opset {opset}, {_OLDEST} or newer expected")
    writer = OnnxWriter(opset)
    samples, probabilities = (_unused(inner, name) for name in (INPUT, OUTPUT))
    window = found.front_ends[0].window_samples
    for taken, spec in zip(inputs, found.front_ends, strict=True):
        shape = _fitted(taken, spec)
        features = spec.graph(writer, Value(samples, (1, window)))
        writer.nodes.append(
            helper.make_node("Reshape", [features.key, writer._whole(shape)], [taken.name])
        )
    before = len(writer.nodes)
    given = inner.output[found.answer]
    sizes = _sizes(given)
    result, operator = given.name, task.operator(output)
    if operator is not None:
        name, attributes = _OPERATORS[operator]
        result = writer.emit(name, [result], **attributes)
    elif task.exclusive and _rounded(inner, result) and isinstance(sizes[-1], int):
        result = writer.scaled_to_one(Value(result, tuple(sizes))).key
    nodes = [*writer.nodes[:before], *inner.node, *writer.nodes[before:]]
    if result != given.name:
        nodes.append(helper.make_node("Identity", [result], [probabilities]))
        result = probabilities
    others = [inner.output[number] for number in found.explanations.values()]
    kept = [each for each in inner.input if each.name in stored]
    for field, values in (
        (inner.node, nodes),
        (inner.input, [_floats(samples, [1, window]), *kept]),
        (inner.output, [_floats(result, sizes), *(_floats(o.name, _sizes(o)) for o in others)]),
    ):
        del field[:]
        field.extend(values)
    inner.initializer.extend(writer.initializers)
    del inner.value_info[:]  # shapes that were inferred for a free batch
    return bytes(model.SerializeToString())


def _fitted(taken: Any, spec: FrontEndSpec) -> tuple[int, ...]:
    """The shape in which an input takes features."""
    sizes = [each.dim_value or None for each in taken.type.tensor_type.shape.dim]
    shape = fitted((1, *sizes[1:]), spec.shape)
    if shape is None:
        wanted = " x ".join("any" if size is None else str(size) for size in sizes)
        raise ConversionError(
            f"the model takes {wanted}, but its front end gives {' x '.join(map(str, spec.shape))}"
        )
    return shape


def _floats(name: str, sizes: list[Any]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes or None)


def _sizes(tensor: Any) -> list[Any]:
    """The shape of an output for one window; none where it is not known."""
    sizes = [each.dim_value or each.dim_param or None for each in tensor.type.tensor_type.shape.dim]
    return [1, *sizes[1:]] if sizes else []


def _rounded(graph: Any, name: str) -> bool:
    """Whether a tensor of floats comes out of 8 bits."""
    return any(name in node.output and node.op_type == "DequantizeLinear" for node in graph.node)


def _unused(graph: Any, name: str) -> str:
    """A name, changed if the graph has one like it."""
    used = {each.name for each in (*graph.input, *graph.initializer)}
    used.update(output for node in graph.node for output in node.output)
    return f"{_PREFIX}{name}" if name in used else name
