"""What several modules ask of an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import onnx

# Nodes that pass on what they are given, as far as its values go.
_PASSING_ON = {
    *("Identity", "Dropout", "Cast", "QuantizeLinear", "DequantizeLinear"),
    *("Reshape", "Flatten", "Squeeze", "Unsqueeze"),
}


def input_values(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs of a graph that are no weights, which old files list among them."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """Names that a node reads, with those that a loop's body takes from around it."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from reads(inner)


def keep_outputs(graph: onnx.GraphProto, names: Sequence[str]) -> None:
    """Leave a graph only these outputs, in this order, and what makes them; in place."""
    given = {value.name: value for value in graph.output}
    needed, nodes = set(names), []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            needed.update(reads(node))
            nodes.append(node)
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    replaced: tuple[tuple[Any, list[Any]], ...] = (
        (graph.output, [given[name] for name in names]),
        (graph.node, nodes[::-1]),
        (graph.initializer, weights),
    )
    for field, values in replaced:
        del field[:]
        field.extend(values)


def last_operator(graph: onnx.GraphProto) -> onnx.NodeProto | None:
    """The node that makes the first output, before nodes that only pass it on."""
    producers = {name: node for node in graph.node for name in node.output}
    node = producers.get(graph.output[0].name) if graph.output else None
    while node is not None and node.op_type in _PASSING_ON:
        node = producers.get(node.input[0])
    return node
