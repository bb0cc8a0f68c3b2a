"""Which layers of a converted model drift most from the exact one.

Both are run with all that passes between their layers kept, and their layers are matched by name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Container, Hashable, Iterable, Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_genre.errors import ConversionError
from edge_genre.host.quiet import quiet_libraries
from edge_genre.model.container import kind_of, split

# Values of each layer and window that are compared: a seeded choice where there are more.
_SAMPLE = 8192
# These change how a tensor is kept, not what it is: what they lose counts to what is before them.
_FORMATS = {"QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear"}
_LOOPS = {"WHILE", "Loop", "Scan"}
_INPUT = "the input"
# What converters call the output, whichever layer gives it.
_OUTPUTS = re.compile(r"(Identity|StatefulPartitionedCall|output)(_?\d+)?")
# What frameworks put between a layer's name and its operator's.
_INNER = {"batchnorm", "Tensordot", "einsum", "moments"}


@dataclass(frozen=True)
class LayerDrift:
    """One layer's output in both models.

    Parameters
    ----------
    name : of the layer, as the exact model has it
    operator : what the candidate has for it
    error : how far its outputs are off: of each, the root mean square over the windows relative to
        its standard deviation, 1 at most; averaged over all that are not constant
    growth : what this layer adds: its error less the largest of the layers that it reads
    """

    name: str
    operator: str
    error: float
    growth: float

    def __str__(self) -> str:
        return f"{self.name} ({self.operator}): off by {100 * self.error:.2g} % of its spread"


def layer_drift(
    exact: bytes | Mapping[str, NDArray[np.float32]],
    candidate: bytes,
    windows: NDArray[np.float32],
) -> list[LayerDrift]:
    """Compare what every layer of two forms of one model gives.

    Parameters
    ----------
    exact : a TFLite or ONNX file in fp32; or what the source's layers give for the windows, by
        their names and in their order, float32 [shape=(n, ...)]
    candidate : a TFLite or ONNX file
    windows : what to run on, float32 [shape=(n, ...)]: two at least, some ten are enough

    Returns
    -------
    The layers that both have, the one that adds most first; the input among them if the candidate
    quantizes it

    Raises
    ------
    ConversionError
        A file does not run on the windows, they are too few, or the two have no layer in common.
    """
    if len(windows) < 2:
        raise ConversionError(f"comparing layers takes 2 windows or more, got {len(windows)}")
    found = _layers(candidate, windows)
    expected = (
        _given(exact, windows, {_by_name(layer) for layer in found})
        if isinstance(exact, Mapping)
        else _layers(exact, windows)
    )
    matches = _matches(expected, found)
    entering: dict[int, float] = {}
    drifts: dict[int, LayerDrift] = {}
    for index, layer in enumerate(found):
        # From layers without a counterpart, the error of those before them passes on.
        entering[index] = max(
            (drifts[i].error if i in drifts else entering[i] for i in layer.inputs), default=0.0
        )
        if index in matches:
            error = _error(matches[index].values, layer.values)
            growth = error - entering[index]
            drifts[index] = LayerDrift(matches[index].name, layer.operator, error, growth)
    if len(drifts) < 2:  # the input is always there
        raise ConversionError("the two models have no layers in common that could be compared")
    # An input that the file does not quantize is no layer.
    listed = [drift for drift in drifts.values() if drift.operator != _INPUT]
    return sorted(listed, key=lambda drift: -drift.growth)


def _error(exact: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """See `LayerDrift`.

    Each output has a spread of its own: with one for all, an output that is much larger than the
    others, and ruins them when they share a scale with it, would hide what it does to them.
    """
    spread = exact.std(axis=0)
    used = spread > 1e-6 * np.abs(exact).max()
    if not used.any():
        return 0.0
    off = np.sqrt(np.square(found - exact)[:, used].mean(axis=0)) / spread[used]
    return float(np.minimum(np.nan_to_num(off, nan=1.0), 1.0).mean())


class _Layer(NamedTuple):
    """One operator and what it gave."""

    tensor: str  # the name of its output in the file
    name: str
    operator: str
    inputs: tuple[int, ...]  # positions of the layers that it reads
    shape: tuple[int, ...]  # of its output for one window, without axes of length 1
    values: NDArray[np.float32]  # a sample of them [shape=(windows, n)]; empty for what is no float


def _matches(expected: list[_Layer], found: list[_Layer]) -> dict[int, _Layer]:
    """For positions in `found`, the same layer in `expected`.

    By the names of tensors first; what is left by the names of layers, where both have as many of
    the same name and shape, in their order.
    """
    # Where one has a loop that the other has written out, the numbers that a converter gave to
    # tensors ("strided_slice_8") mean different things.
    alike = _has_loop(expected) == _has_loop(found)
    matched: dict[int, int] = {}
    for key, chosen in ((_by_tensor, _comparable), (_by_name, _last_of_layer))[not alike :]:
        partners = _grouped(expected, chosen(expected), key, set(matched.values()))
        for name, indices in _grouped(found, chosen(found), key, set(matched)).items():
            if len(partners.get(name, ())) == len(indices):
                matched.update(zip(indices, partners[name], strict=True))
    return {index: expected[match] for index, match in matched.items()}


def _grouped(
    layers: list[_Layer],
    chosen: Iterable[int],
    key: Callable[[_Layer], Hashable],
    taken: set[int],
) -> dict[Hashable, list[int]]:
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index in chosen:
        if index not in taken:
            groups[key(layers[index])].append(index)
    return groups


def _comparable(layers: list[_Layer]) -> list[int]:
    return [
        index
        for index, layer in enumerate(layers)
        if layer.values.size and (layer.operator not in _FORMATS or layer.tensor == _INPUT)
    ]


def _last_of_layer(layers: list[_Layer]) -> list[int]:
    """Of several operators that a layer became, the last one gives what the layer gives."""
    return sorted({layers[index].name: index for index in _comparable(layers)}.values())


def _has_loop(layers: list[_Layer]) -> bool:
    return any(layer.operator in _LOOPS for layer in layers)


def _by_tensor(layer: _Layer) -> Hashable:
    # The TFLite converter joins the names of what it fused, and numbers what has the same name.
    return re.sub(r"(?<![_\d])\d+$", "", layer.tensor.split(";")[0]), layer.shape


def _by_name(layer: _Layer) -> Hashable:
    # Keras numbers layers once more when they are traced: conv2d_1 becomes conv2d_1_2.
    return re.sub(r"(_\d+)+$", "", layer.name), layer.shape


def _layer_name(path: str) -> str:
    """The layer in a name such as ``model/conv2d_3/Relu;model/conv2d_3/BiasAdd``."""
    path = path.split(";")[0].split(":")[0].removesuffix("_output_0")
    *scopes, last = [part for part in path.split("/") if part] or [path]
    while len(scopes) > 1 and scopes[-1] in _INNER:
        scopes.pop()
    return scopes[-1] if scopes else last


def _given(
    layers: Mapping[str, NDArray[np.float32]],
    windows: NDArray[np.float32],
    wanted: Container[Hashable],
) -> list[_Layer]:
    """The source's layers, with channels where the file has them: last in TFLite, first in ONNX."""
    given = []
    for name, values in ({_INPUT: windows} | dict(layers)).items():
        if len(values) != len(windows):
            raise ConversionError(
                f"layer {name!r} is given for {len(values)} windows, expected {len(windows)}"
            )
        orders = [
            _Layer(
                name,
                name,
                "",
                (),
                _shape(ordered[0]),
                np.stack([_sample(each) for each in ordered]),
            )
            for ordered in (values, np.moveaxis(values, -1, 1), np.moveaxis(values, 1, -1))
        ]
        given.append(next((layer for layer in orders if _by_name(layer) in wanted), orders[0]))
    return given


def _shape(values: NDArray[Any]) -> tuple[int, ...]:
    return tuple(size for size in values.shape if size != 1)


def _sample(values: NDArray[Any]) -> NDArray[np.float32]:
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


# Runs one window and gives the tensors asked for, None for what is no float.
_Run = Callable[[NDArray[np.float32], list[Any]], Iterable[NDArray[Any] | None]]


def _layers(content: bytes, windows: NDArray[np.float32]) -> list[_Layer]:
    """The operators of a file that depend on its input, in the order in which they run."""
    try:
        graph, _ = split(content)
        with quiet_libraries():
            nodes, source, names, run = (_onnx if kind_of(graph) == "onnx" else _tflite)(graph)
            return _watched(_dependent(nodes, source), source, names, run, windows)
    except Exception as error:  # the engines raise many kinds, without a common base
        line = shorten(str(error) or type(error).__name__, 300)
        raise ConversionError(f"the model cannot be run layer by layer: {line}") from error


def _dependent(nodes: list[_Node], source: Hashable) -> list[_Node]:
    """Without those that prepare weights."""
    reached, left = {source}, []
    for node in nodes:
        if not reached.isdisjoint(node.inputs):
            reached.update(node.outputs)
            left.append(node)
    return left


def _watched(
    nodes: list[_Node],
    source: Hashable,
    names: Mapping[Any, str],
    run: _Run,
    windows: NDArray[np.float32],
) -> list[_Layer]:
    readers: dict[Hashable, list[_Node]] = defaultdict(list)
    for node in nodes:
        for tensor in node.inputs:
            readers[tensor].append(node)

    def as_read(node: _Node) -> tuple[Hashable, str]:
        """The output of a node as it gets to those that read it, and what did this to it.

        The first output says what a layer gives.
        """
        tensor, operator = node.outputs[0], node.operator
        while readers[tensor] and all(reader.operator in _FORMATS for reader in readers[tensor]):
            if operator == _INPUT:
                operator = readers[tensor][0].operator
            tensor = readers[tensor][0].outputs[0]
        return tensor, operator

    nodes = [_Node(_INPUT, (), (source,), _INPUT), *nodes]
    read = [as_read(node) for node in nodes]
    rows: list[list[NDArray[np.float32]]] = [[] for _ in nodes]
    shapes: list[tuple[int, ...]] = [()] * len(nodes)
    for window in windows:
        for index, values in enumerate(run(window, [tensor for tensor, _ in read])):
            if values is not None:
                rows[index].append(_sample(values))
                shapes[index] = _shape(values)
    producers = {tensor: index for index, node in enumerate(nodes) for tensor in node.outputs}
    layers: list[_Layer] = []
    for index, (node, (_, operator)) in enumerate(zip(nodes, read, strict=True)):
        inputs = tuple(producers[tensor] for tensor in node.inputs if tensor in producers)
        tensor = _INPUT if node.operator == _INPUT else names[node.outputs[0]]
        name = _layer_name(node.name)
        if inputs and _OUTPUTS.fullmatch(name):
            name = layers[inputs[0]].name
        values = np.stack(rows[index]) if rows[index] else np.empty((0, 0), np.float32)
        layers.append(_Layer(tensor, name, operator, inputs, shapes[index], values))
    return layers


def _onnx(graph: bytes) -> tuple[list[_Node], Hashable, Mapping[Any, str], _Run]:
    import onnxruntime

    model = onnx.load_from_string(graph)
    constants = {tensor.name for tensor in model.graph.initializer}
    source = next(value for value in model.graph.input if value.name not in constants)
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

    def run(window: NDArray[np.float32], outputs: list[Any]) -> Iterable[NDArray[Any] | None]:
        given = {source.name: window[np.newaxis]}
        made = list(dict.fromkeys(name for name in outputs if name not in given))
        values = given | dict(zip(made, session.run(made, given), strict=True))
        return (values[name] if values[name].dtype.kind == "f" else None for name in outputs)

    return nodes, source.name, names, run


def _tflite(graph: bytes) -> tuple[list[_Node], Hashable, Mapping[Any, str], _Run]:
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
    (source,) = interpreter.get_input_details()

    def run(window: NDArray[np.float32], outputs: list[Any]) -> Iterable[NDArray[Any] | None]:
        values = _quantized(window.reshape(source["shape"]), source)
        interpreter.set_tensor(source["index"], values)
        interpreter.invoke()
        for index in outputs:
            yield _dequantized(interpreter.get_tensor(index), details[index])

    return nodes, int(source["index"]), names, run


def _quantized(values: NDArray[np.float32], detail: Mapping[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(detail["dtype"])
    if dtype.kind == "f":
        return np.asarray(values, dtype)
    scale, zero = detail["quantization"]
    limits = np.iinfo(dtype)
    steps = np.clip(np.rint(values / scale) + zero, limits.min, limits.max)
    return np.asarray(steps, dtype)


def _dequantized(values: NDArray[Any], detail: Mapping[str, Any]) -> NDArray[Any] | None:
    if values.dtype.kind == "f":
        return values
    scale, zero = detail["quantization"]
    if not scale:
        return None
    return np.asarray((values.astype(np.float32) - zero) * scale, np.float32)
