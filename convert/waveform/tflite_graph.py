"""A front end and a TFLite classifier as one TFLite graph, of built-in operators alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.tflite.flatbuffer import (
    add_tensor,
    builtin,
    new_operator,
    operators,
    pack,
    parse,
    schema,
)
from edge_genre.convert.waveform.ends import ends
from edge_genre.convert.waveform.graph import Writer
from edge_genre.engines import fitted
from edge_genre.errors import ConversionError
from edge_genre.frontend import FrontEndSpec
from edge_genre.frontend.graph import Value
from edge_genre.task import Task

INPUT, OUTPUT = "samples", "probabilities"
_PREFIX = "front_end/"
# By their names in `edge_genre.task.Task.operator`.
_OPERATORS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "softmax": ("SOFTMAX", "SoftmaxOptions", {"beta": 1.0}),
    "sigmoid": ("LOGISTIC", None, {}),
    "exponential": ("EXP", "ExpOptions", {}),
}


class TfliteWriter(Writer):
    """Adds operators behind one another, to be put in front of those of a subgraph."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.subgraph = model, model.subgraphs[0]
        self.operators: list[Any] = []
        self._types = schema()
        self._codes = self._types.BuiltinOperator

    def constant(self, values: Any) -> Value:
        array = np.asarray(values, np.float32)
        return Value(self._stored("table", array), array.shape)

    def tensor(self, name: str, shape: Sequence[int], dtype: int = 0, values: Any = None) -> int:
        """Add a tensor of the front end, of floats unless a type is given."""
        name = f"{_PREFIX}{name}{len(self.subgraph.tensors)}"
        return add_tensor(self.model, self.subgraph, name, shape, dtype, values)

    def emit(
        self,
        code: str,
        inputs: Sequence[int],
        output: int,
        options: str | None = None,
        *,
        version: int = 1,
        **values: Any,
    ) -> int:
        """Add an operator by its name in the schema, and return its output."""
        number = getattr(self._codes, code)
        op = new_operator(self.model, number, list(inputs), [output], version=version)
        if options is not None:
            op.builtinOptionsType = getattr(self._types.BuiltinOptions, options)
            op.builtinOptions = getattr(self._types, f"{options}T")()
            for name, value in values.items():
                assert hasattr(op.builtinOptions, name), name
                setattr(op.builtinOptions, name, value)
        self.operators.append(op)
        return output

    def _stored(self, name: str, array: NDArray[Any]) -> int:
        kind = self._types.TensorType.FLOAT32
        if array.dtype == np.int32:
            kind = self._types.TensorType.INT32
        return self.tensor(name, array.shape, kind, array)

    def _whole(self, values: Any) -> int:
        return self._stored("shape", np.asarray(values, np.int32))

    def _pad(self, value: Value, pads: list[tuple[int, int]], reflect: bool) -> int:
        shape = [before + n + after for n, (before, after) in zip(value.shape, pads, strict=True)]
        inputs, output = [value.key, self._whole(pads)], self.tensor("pad", shape)
        if reflect:
            mode = self._types.MirrorPadMode.REFLECT
            return self.emit("MIRROR_PAD", inputs, output, "MirrorPadOptions", mode=mode)
        return self.emit("PAD", inputs, output, "PadOptions")

    def _slice(self, value: Value, begin: Sequence[int], shape: Sequence[int]) -> int:
        inputs = [value.key, self._whole(begin), self._whole(shape)]
        return self.emit("SLICE", inputs, self.tensor("slice", shape), "SliceOptions")

    def _reshape(self, value: Value, shape: tuple[int, ...]) -> int:
        inputs, output = [value.key, self._whole(shape)], self.tensor("reshape", shape)
        return self.emit("RESHAPE", inputs, output, "ReshapeOptions", newShape=list(shape))

    def _transpose(self, value: Value, order: tuple[int, ...]) -> int:
        output = self.tensor("transpose", [value.shape[axis] for axis in order])
        return self.emit("TRANSPOSE", [value.key, self._whole(order)], output, "TransposeOptions")

    def _concat(self, values: Sequence[Value], axis: int, shape: tuple[int, ...]) -> int:
        inputs, output = [value.key for value in values], self.tensor("concat", shape)
        return self.emit("CONCATENATION", inputs, output, "ConcatenationOptions", axis=axis)

    def _reduce(self, what: str, value: Value, axis: int, shape: tuple[int, ...]) -> int:
        code = {"max": "REDUCE_MAX", "min": "REDUCE_MIN", "mean": "MEAN"}[what]
        inputs, output = [value.key, self._whole([axis])], self.tensor(what, shape)
        return self.emit(code, inputs, output, "ReducerOptions", keepDims=True)

    def _dense(self, value: Value, weights: NDArray[np.float32], shape: tuple[int, ...]) -> int:
        inputs = [value.key, self._stored("weights", weights.T), -1]
        return self.emit(
            "FULLY_CONNECTED",
            inputs,
            self.tensor("dense", shape),
            "FullyConnectedOptions",
            version=6,  # the first whose bias may be left out
            keepNumDims=len(shape) > 2,
        )

    def _elementwise(self, what: str, values: Sequence[Value], shape: tuple[int, ...]) -> int:
        code, options = {
            "add": ("ADD", "AddOptions"),
            "subtract": ("SUB", "SubOptions"),
            "multiply": ("MUL", "MulOptions"),
            "divide": ("DIV", "DivOptions"),
            "maximum": ("MAXIMUM", "MaximumMinimumOptions"),
            "root": ("SQRT", None),
            "log": ("LOG", None),
            "exp": ("EXP", "ExpOptions"),
        }[what]
        return self.emit(code, [value.key for value in values], self.tensor(what, shape), options)


def tflite_with_front_end(
    graph: bytes, front_ends: Mapping[str, FrontEndSpec], output: str, task: Task
) -> bytes:
    """See `edge_genre.convert.waveform.with_front_end`."""
    model = parse(graph)
    subgraph, types = model.subgraphs[0], schema().TensorType
    taken, given = (
        [subgraph.tensors[index].name.decode() for index in indices]
        for indices in (subgraph.inputs, subgraph.outputs)
    )
    found = ends("TFLite", taken, given, front_ends, task.explanations)
    for index, spec in zip(subgraph.inputs, found.front_ends, strict=True):
        _require_fit(subgraph.tensors[index], spec)
    writer = TfliteWriter(model)
    window = found.front_ends[0].window_samples
    samples = add_tensor(model, subgraph, INPUT, (1, window), types.FLOAT32)
    for index, spec in zip(map(int, subgraph.inputs), found.front_ends, strict=True):
        target = subgraph.tensors[index]
        target.shapeSignature = None  # of any length no longer
        features = spec.graph(writer, Value(samples, (1, window)))
        fitting = writer.reshape(features, [int(size) for size in target.shape])
        if target.type == types.FLOAT32:
            _replace_output(writer, fitting.key, index)
        else:
            writer.emit("QUANTIZE", [fitting.key], index, "QuantizeOptions")
    subgraph.operators = writer.operators + operators(subgraph)
    subgraph.inputs = np.array([samples], np.int32)

    behind = TfliteWriter(model)
    answer = int(subgraph.outputs[found.answer])
    result, operator = _in_float(behind, answer), task.operator(output)
    if operator is not None:
        code, options, values = _OPERATORS[operator]
        changed = behind.tensor(operator, result.shape)
        behind.emit(code, [result.key], changed, options, **values)
        result = Value(changed, result.shape)
    elif task.exclusive and (result.key != answer or _rounded(model, answer)):
        result = behind.scaled_to_one(result)
    outputs = [result.key]
    for name, number in found.explanations.items():
        outputs.append(_in_float(behind, int(subgraph.outputs[number])).key)
        subgraph.tensors[outputs[-1]].name = name.encode()
    subgraph.operators += behind.operators
    name = _PREFIX + OUTPUT if OUTPUT in found.explanations else OUTPUT
    subgraph.tensors[result.key].name = name.encode()
    subgraph.outputs = np.array(outputs, np.int32)

    # What names or describes the old input and output.
    model.signatureDefs = []
    model.metadata = [each for each in model.metadata or [] if each.name != b"TFLITE_METADATA"]
    model.description = None
    return pack(model)


def _require_fit(taken: Any, spec: FrontEndSpec) -> None:
    """Refuse an input that does not take a front end's features."""
    shape = tuple(int(size) for size in taken.shape)
    if fitted(shape, spec.shape) is None:
        raise ConversionError(
            f"the model takes {' x '.join(map(str, shape))}, but its front end gives "
            f"{' x '.join(map(str, spec.shape))}"
        )


def _in_float(writer: TfliteWriter, tensor: int) -> Value:
    """A tensor, made float32 if it is of whole numbers."""
    found = writer.subgraph.tensors[tensor]
    shape = tuple(int(size) for size in found.shape)
    if found.type != schema().TensorType.FLOAT32:
        output = writer.tensor("float", shape)
        tensor = writer.emit("DEQUANTIZE", [tensor], output, "DequantizeOptions")
    return Value(tensor, shape)


def _rounded(model: Any, tensor: int) -> bool:
    """Whether a tensor of floats comes out of 8 bits."""
    code = schema().BuiltinOperator.DEQUANTIZE
    return any(
        tensor in op.outputs and builtin(model.operatorCodes[op.opcodeIndex]) == code
        for op in operators(model.subgraphs[0])
    )


def _replace_output(writer: TfliteWriter, old: int, new: int) -> None:
    """Let the operator that gives one tensor give another one."""
    for op in writer.operators:
        if list(op.outputs) == [old]:
            op.outputs = np.array([new], np.int32)
