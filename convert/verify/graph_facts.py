"""What is in a graph: operators, shapes, and what the fast path of its engine leaves out."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_genre.convert.tflite.flatbuffer import builtin, operators, pack, parse, schema
from edge_genre.errors import ConversionError, one_line
from edge_genre.host.quiet import quiet_libraries
from edge_genre.host.record import Record
from edge_genre.model.container import kind_of, split

_WITH_WEIGHTS = frozenset(
    "CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV FULLY_CONNECTED "
    "Conv ConvTranspose Gemm MatMul GRU LSTM RNN".split()
)
# Over which sizes an operator adds up products for each value that it gives, by the shapes of its
# input and of its weights: [out, height, width, in], [1, height, width, channels], [out, in].
_SUMS: dict[str, Callable[[list[int], list[int]], list[int]]] = {
    "CONV_2D": lambda _, weights: weights[1:],
    "DEPTHWISE_CONV_2D": lambda _, weights: weights[1:3],
    "FULLY_CONNECTED": lambda _, weights: weights[-1:],
    "BATCH_MATMUL": lambda rows, _: rows[-1:],
}
_ONNX_DOMAINS = ("", "ai.onnx")
_Tensor = tuple[str, tuple[int | str, ...]]


@dataclass(frozen=True)
class GraphFacts(Record):
    """One graph.

    Parameters
    ----------
    operators : how many of each, in all subgraphs
    versions : of each TFLite operator, the newest that is used; empty for ONNX
    custom : operators that are not the format's own (Flex, for one)
    input, output : type and shape
    outside_xnnpack : operators that LiteRT runs without its fast kernels, and how many, in all
        subgraphs; empty for ONNX, and for a graph with custom operators, which does not load
    layers : convolutions, dense layers and ONNX's recurrent ones; steps that are written out count
        one by one
    in_8_bits : how many of the layers compute in 8 bits
    parameters : numbers that the file holds as weights and biases, each stored one once
    """

    operators: dict[str, int]
    versions: dict[str, int]
    custom: tuple[str, ...]
    input: _Tensor
    output: _Tensor
    outside_xnnpack: dict[str, int]
    layers: int
    in_8_bits: int
    parameters: int


def graph_facts(content: bytes) -> GraphFacts:
    """Look into a TFLite or ONNX file.

    Raises
    ------
    ModelError
        It is neither.
    ConversionError
        It is damaged, or its engine refuses it.
    """
    graph, _ = split(content)
    return _of_onnx(graph) if kind_of(graph) == "onnx" else _of_tflite(graph)


def multiply_accumulates(content: bytes) -> int | None:
    """Multiplications of one run of a TFLite file that are added up; None with loops in it.

    Raises
    ------
    ModelError, ConversionError
        It is no TFLite file, or a damaged one.
    """
    graph, _ = split(content)
    model = parse(graph)
    if len(model.subgraphs) > 1:  # how often a loop runs is not written in the graph
        return None
    names = [operator_name(code) for code in model.operatorCodes]
    (subgraph,) = model.subgraphs

    def shape(tensor: int) -> list[int]:
        return [int(size) for size in subgraph.tensors[tensor].shape]

    total = 0
    for op in operators(subgraph):
        sums = _SUMS.get(names[op.opcodeIndex])
        if sums:
            left, right, out = map(shape, (op.inputs[0], op.inputs[1], op.outputs[0]))
            total += math.prod(out) * math.prod(sums(left, right))
    return total


def _of_tflite(graph: bytes) -> GraphFacts:
    model = parse(graph)
    names = [operator_name(code) for code in model.operatorCodes]
    types = {value: name.lower() for name, value in vars(schema().TensorType).items()}
    counts = Counter(names[op.opcodeIndex] for each in model.subgraphs for op in operators(each))
    versions: dict[str, int] = {}
    for name, code in zip(names, model.operatorCodes, strict=True):
        versions[name] = max(int(code.version), versions.get(name, 0))
    main = model.subgraphs[0]

    def tensor(index: int) -> _Tensor:
        found = main.tensors[index]
        shape = found.shape if found.shape is not None else ()
        return types[found.type], tuple(int(size) for size in shape)

    # With weights in 8 bits, inputs are made so before they meet.
    weighted = [
        types[each.tensors[op.inputs[1]].type]
        for each in model.subgraphs
        for op in operators(each)
        if names[op.opcodeIndex] in _WITH_WEIGHTS
    ]
    custom = {operator_name(code) for code in model.operatorCodes if code.customCode}
    return GraphFacts(
        operators=dict(sorted(counts.items())),
        versions=dict(sorted(versions.items())),
        custom=tuple(sorted(custom)),
        input=tensor(main.inputs[0]),
        output=tensor(main.outputs[0]),
        outside_xnnpack={} if custom else _outside_xnnpack(graph, model),
        layers=len(weighted),
        in_8_bits=weighted.count("int8"),
        parameters=_stored(model, types),
    )


def _stored(model: Any, types: dict[int, str]) -> int:
    """Weights and biases of a TFLite graph; what only gives shapes and axes does not count."""
    sizes = {}
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            held = model.buffers[tensor.buffer].data is not None
            # Whole numbers are shapes, but for the biases of 8-bit layers, which have a scale.
            quantized = tensor.quantization is not None and tensor.quantization.scale is not None
            if held and (types[tensor.type].startswith("float") or quantized):
                sizes[tensor.buffer] = math.prod(int(n) for n in tensor.shape)
    return sum(sizes.values())


def _outside_xnnpack(graph: bytes, model: Any) -> dict[str, int]:
    """Ask LiteRT about each subgraph.

    It lists the nodes of the first one only, so that each other one, the body of a loop, has to
    become the first.
    """
    left = Counter(_outside_delegates(graph))
    for index in range(1, len(model.subgraphs)):
        left.update(_outside_delegates(_with_first(model, index)))
    return dict(sorted(left.items()))


def _outside_delegates(graph: bytes) -> Iterator[str]:
    """Operators of the first subgraph that no delegate has taken over.

    The interpreter lists the graph's own nodes and, after them, the delegates' nodes, each of which
    takes the place of everything between its inputs and its outputs.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        with quiet_libraries():
            interpreter = Interpreter(model_content=graph, num_threads=1)
            interpreter.allocate_tensors()
            nodes = interpreter._get_ops_details()
    except (ValueError, RuntimeError) as error:
        raise ConversionError(f"LiteRT does not load the graph: {one_line(error, 300)}") from error
    own = [node for node in nodes if node["op_name"] != "DELEGATE"]
    producers = {int(t): index for index, node in enumerate(own) for t in _present(node["outputs"])}
    inside: set[int] = set()
    for delegate in nodes[len(own) :]:
        borders = {int(t) for t in delegate["inputs"]}
        reached = [int(t) for t in delegate["outputs"]]
        while reached:
            tensor = reached.pop()
            index = producers.get(tensor)
            if tensor in borders or index is None or index in inside:
                continue
            inside.add(index)
            reached += _present(own[index]["inputs"])
    return (node["op_name"] for index, node in enumerate(own) if index not in inside)


def _present(tensors: Any) -> list[int]:
    """Without -1, which stands for an input or output that is left out."""
    return [int(tensor) for tensor in tensors if tensor >= 0]


def _with_first(model: Any, index: int) -> bytes:
    """The same graph with another subgraph in the first place."""
    model = copy.deepcopy(model)
    places = {0: index, index: 0}
    for subgraph in model.subgraphs:
        for node in operators(subgraph):
            options = vars(node.builtinOptions) if node.builtinOptions else {}
            for name, value in options.items():
                if name.endswith("SubgraphIndex"):
                    setattr(node.builtinOptions, name, places.get(value, value))
    first, other = model.subgraphs[0], model.subgraphs[index]
    model.subgraphs[0], model.subgraphs[index] = other, first
    model.signatureDefs = []  # they name the inputs of the old first one
    return pack(model)


def _of_onnx(graph: bytes) -> GraphFacts:
    import onnx

    from edge_genre.convert.onnx.quantize import onnx_graphs

    try:
        model = onnx.load_from_string(graph)
        if not model.graph.output:
            raise ValueError("it holds no graph")
    except Exception as error:  # protobuf's own, of which there are several
        raise ConversionError(f"the ONNX graph is damaged: {one_line(error, 300)}") from error
    nodes = [node for each in onnx_graphs(model.graph) for node in each.node]

    def tensor(value: onnx.ValueInfoProto) -> _Tensor:
        found = value.type.tensor_type
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(found.elem_type)).name
        return dtype, tuple(size.dim_param or int(size.dim_value) for size in found.shape.dim)

    weighted = [node for node in nodes if node.op_type in _WITH_WEIGHTS]
    dequantized = {
        output for node in nodes if node.op_type == "DequantizeLinear" for output in node.output
    }
    constants = {each.name for each in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    return GraphFacts(
        operators=dict(sorted(Counter(node.op_type for node in nodes).items())),
        versions={},
        custom=tuple(sorted({node.op_type for node in nodes if node.domain not in _ONNX_DOMAINS})),
        input=tensor(inputs[0]),
        output=tensor(model.graph.output[0]),
        outside_xnnpack={},
        layers=len(weighted),
        in_8_bits=sum(dequantized.issuperset(node.input[:2]) for node in weighted),
        parameters=sum(
            math.prod(each.dims)
            for part in onnx_graphs(model.graph)
            for each in part.initializer
            if each.data_type != onnx.TensorProto.INT64  # shapes and axes
        ),
    )


def operator_name(code: Any) -> str:
    """An operator code of a TFLite graph in words, such as ``CONV_2D``."""
    if code.customCode:
        return str(code.customCode.decode())
    number = builtin(code)
    names = {value: name for name, value in vars(schema().BuiltinOperator).items()}
    return str(names.get(number, number))
