"""Runs a model layer by layer: what each operator of a file gives for windows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_genre.convert.onnx.graph import input_values
from edge_genre.convert.tensors import Arrays
from edge_genre.engines.quantization import dequantize, quantize
from edge_genre.errors import ConversionError, one_line
from edge_genre.host.quiet import quiet_libraries
from edge_genre.model.container import kind_of, split

INPUT = "the input"
# These change how a tensor is kept, not what it is: what they lose counts to what is before them.
FORMATS = {"QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear"}
# Values of each layer and window that are compared: a seeded choice where there are more.
_SAMPLE = 8192
# What converters call the output, whichever layer gives it.
_OUTPUTS = re.compile(r"(Identity|StatefulPartitionedCall|output)(_?\d+)?")
# What frameworks put between a layer's name and its operator's.
_INNER = {"batchnorm", "Tensordot", "einsum", "moments"}


class Layer(NamedTuple):
    """One operator and what it gave."""

    tensor: str  # the name of its output in the file
    name: str
    operator: str
    inputs: tuple[int, ...]  # positions of the layers that it reads
    shape: tuple[int, ...]  # of its output for one window, without axes of length 1
    values: NDArray[np.float32]  # a sample of them [shape=(windows, n)]; empty for what is no float


def shape_of(values: NDArray[Any]) -> tuple[int, ...]:
    """Without axes of length 1."""
    return tuple(size for size in values.shape if size != 1)


def sample(values: NDArray[Any]) -> NDArray[np.float32]:
    """The same choice from all tensors of a size, whatever axes of length 1 they have."""
    flat = np.asarray(values, np.float32).ravel()
    if flat.size <= _SAMPLE:
        return flat.copy()
    return flat[np.random.default_rng(flat.size).integers(flat.size, size=_SAMPLE)]


class _Node(NamedTuple):
    """An operator of a graph, whose tensors are names or numbers."""

    operator: str
    inputs: tuple[Hashable, ...]
    outputs: tuple[Hashable, ...]
    name: str


# Runs one window, an array an input, and gives the tensors asked for, None for what is no float.
_Run = Callable[[Arrays, list[Any]], Iterable[NDArray[Any] | None]]


def layers_of(content: bytes, windows: Arrays) -> list[Layer]:
    """The operators of a file that depend on its inputs, in the order in which they run."""
    try:
        graph, _ = split(content)
        with quiet_libraries():
            nodes, sources, names, run = (_onnx if kind_of(graph) == "onnx" else _tflite)(graph)
            return _watched(_dependent(nodes, sources), sources, names, run, windows)
    except Exception as error:  # the engines raise many kinds, without a common base
        line = one_line(error, 300)
        raise ConversionError(f"the model cannot be run layer by layer: {line}") from error


def _dependent(nodes: list[_Node], sources: Sequence[Hashable]) -> list[_Node]:
    """Without those that prepare weights."""
    reached, left = set(sources), []
    for node in nodes:
        if not reached.isdisjoint(node.inputs):
            reached.update(node.outputs)
            left.append(node)
    return left


def _watched(
    nodes: list[_Node],
    sources: Sequence[Hashable],
    names: Mapping[Any, str],
    run: _Run,
    windows: Arrays,
) -> list[Layer]:
    readers: dict[Hashable, list[_Node]] = defaultdict(list)
    for node in nodes:
        for tensor in node.inputs:
            readers[tensor].append(node)

    def as_read(node: _Node) -> tuple[Hashable, str]:
        """The output of a node as it gets to those that read it, and what did this to it.

        The first output says what a layer gives.
        """
        tensor, operator = node.outputs[0], node.operator
        while readers[tensor] and all(reader.operator in FORMATS for reader in readers[tensor]):
            if operator == INPUT:
                operator = readers[tensor][0].operator
            tensor = readers[tensor][0].outputs[0]
        return tensor, operator

    nodes = [*(_Node(INPUT, (), (source,), INPUT) for source in sources), *nodes]
    read = [as_read(node) for node in nodes]
    rows: list[list[NDArray[np.float32]]] = [[] for _ in nodes]
    shapes: list[tuple[int, ...]] = [()] * len(nodes)
    for window in zip(*windows, strict=True):
        for index, values in enumerate(run(window, [tensor for tensor, _ in read])):
            if values is not None:
                rows[index].append(sample(values))
                shapes[index] = shape_of(values)
    producers = {tensor: index for index, node in enumerate(nodes) for tensor in node.outputs}
    layers: list[Layer] = []
    for index, (node, (_, operator)) in enumerate(zip(nodes, read, strict=True)):
        inputs = tuple(producers[tensor] for tensor in node.inputs if tensor in producers)
        tensor = INPUT if node.operator == INPUT else names[node.outputs[0]]
        name = _layer_name(node.name)
        if inputs and _OUTPUTS.fullmatch(name):
            name = layers[inputs[0]].name
        values = np.stack(rows[index]) if rows[index] else np.empty((0, 0), np.float32)
        layers.append(Layer(tensor, name, operator, inputs, shapes[index], values))
    return layers


def _onnx(graph: bytes) -> tuple[list[_Node], list[str], Mapping[Any, str], _Run]:
    import onnxruntime

    model = onnx.load_from_string(graph)
    sources = [value.name for value in input_values(model.graph)]
    nodes = [
        _Node(
            node.op_type,
            tuple(filter(None, node.input)),
            tuple(filter(None, node.output)),
            node.name if "/" in node.name else next(filter(None, node.output)),
        )
        for node in model.graph.node
    ]
    names = {str(tensor): str(tensor) for node in nodes for tensor in node.outputs}
    given = {value.name for value in model.graph.output}
    # Without a type: ONNX Runtime finds it out.
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def run(window: Arrays, outputs: list[Any]) -> Iterable[NDArray[Any] | None]:
        given = {name: each[np.newaxis] for name, each in zip(sources, window, strict=True)}
        made = list(dict.fromkeys(name for name in outputs if name not in given))
        values = given | dict(zip(made, session.run(made, given), strict=True))
        return (values[name] if values[name].dtype.kind == "f" else None for name in outputs)

    return nodes, sources, names, run


def _tflite(graph: bytes) -> tuple[list[_Node], list[int], Mapping[Any, str], _Run]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=graph,
        num_threads=1,
        experimental_preserve_all_tensors=True,
        # A delegate does not keep what is inside it.
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    details = {int(detail["index"]): detail for detail in interpreter.get_tensor_details()}
    names = {index: str(detail["name"]) for index, detail in details.items()}
    nodes = []
    for each in interpreter._get_ops_details():
        # -1 stands for what is left out.
        inputs, outputs = (
            tuple(int(index) for index in each[side] if index >= 0)
            for side in ("inputs", "outputs")
        )
        nodes.append(_Node(each["op_name"], inputs, outputs, names[outputs[0]]))
    sources = interpreter.get_input_details()

    def run(window: Arrays, outputs: list[Any]) -> Iterable[NDArray[Any] | None]:
        for each, source in zip(window, sources, strict=True):
            shaped = each.reshape(source["shape"])
            values = quantize(shaped, source["dtype"], *source["quantization"])
            interpreter.set_tensor(source["index"], values)
        interpreter.invoke()
        for index in outputs:
            values, (scale, zero_point) = (
                interpreter.get_tensor(index),
                details[index]["quantization"],
            )
            # Whole numbers without a scale are shapes, axes and the like.
            known = values.dtype.kind == "f" or scale
            yield dequantize(values, scale, zero_point) if known else None

    return nodes, [int(source["index"]) for source in sources], names, run


def _layer_name(path: str) -> str:
    """The layer in a name such as ``model/conv2d_3/Relu;model/conv2d_3/BiasAdd``."""
    path = path.split(";")[0].split(":")[0].removesuffix("_output_0")
    *scopes, last = [part for part in path.split("/") if part] or [path]
    while len(scopes) > 1 and scopes[-1] in _INNER:
        scopes.pop()
    return scopes[-1] if scopes else last
