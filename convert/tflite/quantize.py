"""Smaller weights for TFLite graphs, where those of TensorFlow's converter lose too much.

Its two forms of 8 bits compute in 8 bits: ``dynamic`` gives each layer's input one scale when it
runs, ``int8`` one for all windows. Features from -600 to 1 under one scale lose those near 1, and
with them the genre. What is made here instead stores the weights in 8 bits and computes in float:

- ``dynamic``: all weights, with a DEQUANTIZE behind each. XNNPACK undoes it once, when it loads the
  file, so that speed and memory are those of fp32.
- ``int8``: the last and as few of the leading layers as agreement on the calibration windows asks
  for; all others compute in 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.quantization.mixed_precision import (
    TRIED,
    Edges,
    agrees,
    at_most,
    fewest,
)
from edge_genre.convert.quantization.rounding import SMALL, in_half, in_steps
from edge_genre.convert.tensors import Arrays
from edge_genre.convert.tflite.flatbuffer import (
    add_tensor,
    builtin,
    constant,
    new_operator,
    operators,
    pack,
    parse,
    schema,
)
from edge_genre.engines.litert import LiteRT
from edge_genre.errors import ModelError

_MANY = 1000  # operators: each attempt at so many takes 10 s, so that few are made

_Stored = tuple[Any, int, Any, int]  # values, type, scales or None, version of DEQUANTIZE
_Smaller = Callable[[NDArray[np.float32], int | None], _Stored | None]


def weights_in_half(graph: bytes) -> bytes:
    """Store float weights in half precision.

    TensorFlow does so too, and rounds without regard to what a convolution sums to.

    Raises
    ------
    ConversionError
        It is no TFLite graph, or a damaged one.
    """
    return _with_weights(graph, _half)


def weights_in_8_bits(graph: bytes) -> bytes:
    """Store the float weights of convolutions and dense layers in 8 bits.

    Raises
    ------
    ConversionError
        It is no TFLite graph, or a damaged one.
    """
    return _with_weights(graph, _eight_bits)


def without_stored_zeros(graph: bytes) -> bytes:
    """Let a loop's outputs begin as zeros that are made when they are needed, not stored.

    TensorFlow folds the empty array that a loop writes its steps to into a constant as large as all
    of them.

    Raises
    ------
    ConversionError
        It is no TFLite graph, or a damaged one.
    """
    model, types = parse(graph), schema()
    codes, main = types.BuiltinOperator, model.subgraphs[0]
    added = []
    for operator in operators(main):
        if builtin(model.operatorCodes[operator.opcodeIndex]) != codes.WHILE:
            continue
        inputs = [int(index) for index in operator.inputs]
        for place, index in enumerate(inputs):
            values = constant(model, main.tensors[index])
            if values is not None and values.size >= SMALL and not values.any():
                shape = np.array(values.shape, np.int32)
                dims = add_tensor(model, main, "dims", [len(shape)], types.TensorType.INT32, shape)
                zero = np.zeros(1, np.float32)
                value = add_tensor(model, main, "zero", [], types.TensorType.FLOAT32, zero)
                zeros = add_tensor(model, main, "zeros", shape, types.TensorType.FLOAT32)
                added.append(new_operator(model, codes.FILL, [dims, value], [zeros]))
                inputs[place] = zeros
        operator.inputs = np.array(inputs, np.int32)
    if not added:
        return graph
    main.operators = [*added, *operators(main)]
    _drop_unread(model)
    return pack(model)


def dynamic(converted: bytes, exact: bytes, windows: Arrays, edges: Edges | None = None) -> bytes:
    """Choose the form of ``dynamic`` that agrees.

    Parameters
    ----------
    converted : TensorFlow's form
    exact : fp32
    windows : real ones, for each input [shape=(n, ...)]
    edges : of labels that each hold or not, from which outputs on they do
    """
    tried = at_most(windows, TRIED)
    if agrees(_outputs(exact, tried), _outputs(converted, tried), edges):
        return converted
    return weights_in_8_bits(exact)


def int8(
    calibrated: bytes,
    windows: Arrays,
    edges: Edges | None = None,
    *,
    per_channel_dense: bool = True,
) -> bytes:
    """Compute in 8 bits but for the last and as few leading layers as agreement asks for.

    One layer always does, whether that agrees or not: without, it would be no int8.

    Parameters
    ----------
    calibrated : fp32, with the ranges of all its tensors
    windows : the calibration windows, for each input [shape=(n, ...)]
    edges : see `dynamic`
    per_channel_dense : a scale for each channel of dense layers too
    """
    from tensorflow.lite.python.convert import mlir_quantize

    options = {"disable_per_channel_for_dense_layers": not per_channel_dense}
    tried = at_most(windows, TRIED)
    expected = _outputs(calibrated, tried)
    model = parse(calibrated)
    main = model.subgraphs[0]
    nodes = operators(main)
    names = [main.tensors[node.outputs[0]].name.decode() for node in nodes]
    first_reader: dict[int, int] = {}  # the steps of a recurrent layer share their weights
    for place, node in enumerate(nodes):
        if _channel_axis(builtin(model.operatorCodes[node.opcodeIndex])) is not None:
            first_reader.setdefault(int(node.inputs[1]), place)
    layers = [*first_reader.values()]
    if len(nodes) > _MANY:
        layers = layers[:1] + layers[-2:]

    def attempt(leading: int) -> bytes:
        # What leads up to the first layer in 8 bits stays too: pooling, scaling, format. And the
        # last one with what follows: its few outputs decide, and 256 steps are coarse for them.
        left = {*names[: layers[leading]], *names[layers[-1] :]} if leading else None
        graph = mlir_quantize(calibrated, denylisted_nodes=left, **options)
        return weights_in_8_bits(bytes(graph)) if leading else bytes(graph)

    def is_like(graph: bytes) -> bool:
        try:
            found = _outputs(graph, tried)
        except ModelError:  # XNNPACK refuses some ratios of scales
            return False
        return agrees(expected, found, edges)

    return fewest(attempt, is_like, max(len(layers) - 2, 0))


def _with_weights(graph: bytes, smaller: _Smaller) -> bytes:
    """Put another form in the place of each large float weight, and a DEQUANTIZE behind it."""
    model = parse(graph)
    dequantize = schema().BuiltinOperator.DEQUANTIZE
    for subgraph in model.subgraphs:
        replaced: dict[int, int] = {}
        added = []
        for operator in operators(subgraph):
            axis = _channel_axis(builtin(model.operatorCodes[operator.opcodeIndex]))
            inputs = [int(index) for index in operator.inputs]
            for place, index in enumerate(inputs):
                values = constant(model, subgraph.tensors[index]) if index >= 0 else None
                if index not in replaced and values is not None and values.size >= SMALL:
                    stored = smaller(values, axis if place == 1 else None)
                    if stored is not None:
                        small, replaced[index] = _in_place_of(model, subgraph, index, stored)
                        node = [small], [replaced[index]]
                        added.append(new_operator(model, dequantize, *node, version=stored[3]))
            operator.inputs = np.array([replaced.get(i, i) for i in inputs], np.int32)
        subgraph.operators = [*added, *operators(subgraph)]
    _drop_unread(model)
    return pack(model)


def _in_place_of(model: Any, subgraph: Any, index: int, stored: _Stored) -> tuple[int, int]:
    """Add the tensor that is stored and the one that DEQUANTIZE makes of it."""
    values, dtype, scales, _ = stored
    weights = subgraph.tensors[index]
    # Short names: those of TensorFlow, which tell where each was folded from, take kilobytes.
    small = add_tensor(model, subgraph, f"w{index}", weights.shape, dtype, values)
    subgraph.tensors[small].quantization = scales
    weights.name = b""
    return small, add_tensor(model, subgraph, f"w{index}_float", weights.shape, weights.type)


def _half(values: NDArray[np.float32], axis: int | None) -> _Stored:
    if axis is None or values.ndim != 4:
        halves = in_half(values)
    else:
        halves = _channels_back(in_half(_channels_first(values, axis), kernel=True), axis)
    return halves, schema().TensorType.FLOAT16, None, 3


def _eight_bits(values: NDArray[np.float32], axis: int | None) -> _Stored | None:
    if axis is None:
        return None
    types = schema()
    steps, step = in_steps(_channels_first(values, axis), 0, kernel=values.ndim == 4)
    scales = types.QuantizationParametersT()
    scales.scale = step.ravel()
    scales.zeroPoint = np.zeros(step.size, np.int64)
    scales.quantizedDimension = axis
    return _channels_back(steps, axis).astype(np.int8), types.TensorType.INT8, scales, 5


def _channels_first(values: NDArray[Any], axis: int) -> NDArray[Any]:
    """(out, in, rows, columns) of a kernel, which is (out, rows, columns, in) in TFLite.

    A depthwise one is (1, rows, columns, out) there.
    """
    return np.moveaxis(values, (axis, 3 - axis), (0, 1)) if values.ndim == 4 else values


def _channels_back(values: NDArray[Any], axis: int) -> NDArray[Any]:
    return np.moveaxis(values, (0, 1), (axis, 3 - axis)) if values.ndim == 4 else values


def _channel_axis(code: int) -> int | None:
    codes = schema().BuiltinOperator
    axes: dict[int, int] = {
        codes.CONV_2D: 0,
        codes.FULLY_CONNECTED: 0,
        codes.DEPTHWISE_CONV_2D: 3,
    }
    return axes.get(code)


def _outputs(graph: bytes, windows: Arrays) -> NDArray[np.float32]:
    engine = LiteRT(graph, 1, "the converted model")
    rows = (
        engine.infer([window[np.newaxis] for window in each], [0])[0]
        for each in zip(*windows, strict=True)
    )
    return np.stack(list(rows))


def _drop_unread(model: Any) -> None:
    """Empty the buffers of weights that no operator reads any more."""
    read = set()
    for subgraph in model.subgraphs:
        indices = {int(i) for node in operators(subgraph) for i in (*node.inputs, *node.outputs)}
        indices |= {int(i) for i in (*subgraph.inputs, *subgraph.outputs)}
        read |= {subgraph.tensors[i].buffer for i in indices if i >= 0}
    for index, buffer in enumerate(model.buffers):
        named = {each.buffer for each in model.metadata or ()}
        if index not in read and index not in named:
            buffer.data = None
