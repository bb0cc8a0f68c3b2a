"""Keras models as ONNX files.

tf2onnx turns a recurrent Keras layer into a Loop over dozens of small operators. The file written
here has ONNX's own GRU, LSTM and RNN operators instead: the model is cut before and after each such
layer, tf2onnx converts what is left, and the operators are put into the gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import TopologicalSorter
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx import helper, numpy_helper

from edge_genre.convert.onnx.graph import reads
from edge_genre.convert.tflite.keras_models import called, copy_model, ends, require_convertible
from edge_genre.convert.tflite.written_out import can_write_out
from edge_genre.errors import ConversionError, one_line

# 17 is old enough for every engine since ONNX Runtime 1.12 and has all that these models need.
OPSET = 17

# Operators of the layers; where the gates of each stand in Keras, in ONNX's order.
_OPERATORS: dict[type[keras.layers.Layer], tuple[str, tuple[int, ...]]] = {
    keras.layers.GRU: ("GRU", (0, 1, 2)),
    keras.layers.LSTM: ("LSTM", (0, 3, 1, 2)),  # i, f, c, o as i, o, f, c
    keras.layers.SimpleRNN: ("RNN", (0,)),
}
# Without parameters of their own, of which engines understand different things.
_ACTIVATIONS = {
    keras.activations.relu: "Relu",
    keras.activations.sigmoid: "Sigmoid",
    keras.activations.softplus: "Softplus",
    keras.activations.softsign: "Softsign",
    keras.activations.tanh: "Tanh",
}


def keras_to_onnx(model: keras.Model, *, outputs: Sequence[str] | None = None) -> bytes:
    """Convert a Keras model to an ONNX file in single precision.

    Its input "features" and its output "output" are float32 with a free batch axis first; several
    inputs have the names that the model's have, and so have several outputs. GRU, LSTM
    and simple recurrent layers, in one direction or both, become ONNX's operators; those with a
    first state, or activations that the operators do not have, become loops.

    Parameters
    ----------
    model : built functional or sequential model; it is left as it was.
    outputs : names of its outputs; its own if left out.

    Returns
    -------
    The file's bytes.

    Raises
    ------
    ConversionError
        the model cannot be converted.
    """
    require_convertible(model)
    inputs, given = ends(model, outputs)
    around, gaps = _cut(model)
    try:
        proto = _convert_around(around, gaps, inputs, given)
        _close(proto.graph, [gap.layer for gap in gaps], inputs, given)
        # tf2onnx writes what it does not know under TensorFlow's name; the checker finds it.
        onnx.checker.check_model(proto, full_check=True)
    except ConversionError:
        raise
    except Exception as error:  # tf2onnx and onnx raise many kinds, without a common base
        raise ConversionError(
            f"model {model.name!r} does not convert to ONNX: {one_line(error, 300)}"
        ) from error
    return bytes(proto.SerializeToString())


def has_operator(layer: keras.layers.Layer) -> bool:
    """Whether a called Keras layer is a recurrent one that ONNX has an operator for."""
    if not isinstance(layer, (*_OPERATORS, keras.layers.Bidirectional)):
        return False
    if not can_write_out(layer):
        return False
    directions = _directions(layer)
    first = directions[0]
    if first.go_backwards and (len(directions) > 1 or first.return_sequences):
        return False  # the operator gives its outputs in the other order
    return all(
        type(each) is type(first)
        and each.units == first.units
        and each.use_bias == first.use_bias
        and getattr(each, "reset_after", None) == getattr(first, "reset_after", None)
        and all(function in _ACTIVATIONS for function in _functions(each))
        for each in directions
    )


class _Gap(keras.layers.Layer):
    """Stands for a recurrent layer while what is around it is converted: an end and a start.

    Parameters
    ----------
    layer : the one that was there, with its weights.
    leaving : set before the call, what it gives.
    entering : set by the call, what it was given.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__(name=layer.name, dtype=layer.dtype_policy)
        self.layer = layer
        self.leaving: tf.Tensor | None = None
        self.entering: tf.Tensor | None = None

    def compute_output_shape(
        self, shape: tuple[int | None, ...], *arguments: object
    ) -> tuple[int | None, ...]:
        return tuple(self.layer.compute_output_shape(shape))

    # The other arguments are those of the layer's call, which the copied graph repeats.
    def call(
        self, inputs: Any, initial_state: Any = None, mask: Any = None, training: object = None
    ) -> Any:
        if initial_state is not None or mask is not None:
            raise ConversionError(f"layer {self.name!r} is exported without a first state or mask")
        if self.entering is not None:
            raise ConversionError(f"layer {self.name!r} is called twice: make it two layers")
        self.entering = inputs
        return self.leaving


def _cut(model: keras.Model) -> tuple[keras.Model, list[_Gap]]:
    """Copy a model with a gap in place of each layer that becomes an operator."""
    gaps: list[_Gap] = []

    def gap(layer: keras.layers.Layer) -> _Gap | None:
        if not has_operator(layer):
            return None
        gaps.append(_Gap(layer))
        return gaps[-1]

    return copy_model(copy_model(model), gap), gaps


def _convert_around(
    model: keras.Model, gaps: list[_Gap], inputs: Sequence[str], outputs: Sequence[str]
) -> onnx.ModelProto:
    """Convert what is around the gaps: what enters one is an output, what leaves is an input."""

    def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        features, leaving = tensors[: len(inputs)], tensors[len(inputs) :]
        for gap, tensor in zip(gaps, leaving, strict=True):
            gap.leaving = tensor
        given = dict(zip(outputs, called(model, *features), strict=True))
        entering = {_entering(index): gap.entering for index, gap in enumerate(gaps)}
        return {**given, **entering}

    signature = [
        *(
            tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
            for tensor, name in zip(model.inputs, inputs, strict=True)
        ),
        *(
            tf.TensorSpec(gap.layer.output.shape, gap.layer.output.dtype, name=_leaving(index))
            for index, gap in enumerate(gaps)
        ),
    ]
    # There is no Python control flow to translate, and autograph would rewrite errors.
    function = tf.function(call, autograph=False)
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    proto.graph.name = model.name
    return proto


def _close(
    graph: onnx.GraphProto,
    layers: list[keras.layers.Layer],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> None:
    """Fill the gaps that ``_convert_around`` left, in place."""
    nodes = list(graph.node)
    for index, layer in enumerate(layers):
        own, weights = _operator(layer, _entering(index), _leaving(index))
        nodes += own
        graph.initializer.extend(weights)
    ordered = _sorted(nodes)
    taken, given = (
        [{value.name: value for value in ends}[name] for name in names]
        for ends, names in ((graph.input, inputs), (graph.output, outputs))
    )
    for field, values in ((graph.node, ordered), (graph.input, taken), (graph.output, given)):
        del field[:]
        field.extend(values)


def _operator(
    layer: keras.layers.Layer, entering: str, leaving: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """One recurrent Keras layer as ONNX's operator: nodes and weights.

    ONNX has the weights transposed, with an axis of directions first, and time before batch.
    Source: the ONNX operator specification, GRU-14, LSTM-14 and RNN-14.
    """
    directions = _directions(layer)
    first, name = directions[0], leaving.removesuffix("_out")
    kind, order = _OPERATORS[type(first)]
    each = [_weights(direction, order) for direction in directions]
    arrays = {
        f"{name}_{letter}": np.stack(parts)
        for letter, parts in zip("WRB", zip(*each, strict=True), strict=False)
    }
    options: dict[str, Any] = {
        "hidden_size": first.units,
        "activations": [_ACTIVATIONS[f] for each in directions for f in _functions(each)],
        "direction": ("reverse" if first.go_backwards else "forward")
        if len(directions) == 1
        else "bidirectional",
    }
    if kind == "GRU":
        options["linear_before_reset"] = int(first.reset_after)
    # All states (steps, directions, batch, units), or the last one without its steps; with the
    # batch moved to the front, the directions are next to the units.
    results = [f"{name}_Y"] if first.return_sequences else ["", f"{name}_Y"]
    to_keras = [2, 0, 1, 3] if first.return_sequences else [1, 0, 2]
    merging, numbers, merge_options = _merging(layer)
    if numbers is not None:
        arrays[f"{name}_shape"] = np.array(numbers, np.int64)
    nodes = [
        helper.make_node("Transpose", [entering], [f"{name}_X"], perm=[1, 0, 2]),
        helper.make_node(
            kind,
            [f"{name}_X", *(f"{name}_{letter}" for letter in "WRB"[: len(each[0])])],
            results,
            name=layer.name,
            **options,
        ),
        helper.make_node("Transpose", [f"{name}_Y"], [f"{name}_states"], perm=to_keras),
        helper.make_node(
            merging,
            [f"{name}_states", *([] if numbers is None else [f"{name}_shape"])],
            [leaving],
            **merge_options,
        ),
    ]
    weights = [
        numpy_helper.from_array(np.ascontiguousarray(array), key) for key, array in arrays.items()
    ]
    return nodes, weights


def _directions(layer: keras.layers.Layer) -> list[Any]:
    if isinstance(layer, keras.layers.Bidirectional):
        return [layer.forward_layer, layer.backward_layer]
    return [layer]


def _functions(layer: Any) -> list[Any]:
    """Activations in ONNX's order: of the gates, the candidate and, for an LSTM, the output."""
    if isinstance(layer, keras.layers.SimpleRNN):
        return [layer.activation]
    outputs = [layer.activation] if isinstance(layer, keras.layers.LSTM) else []
    return [layer.recurrent_activation, layer.activation, *outputs]


def _weights(layer: Any, order: tuple[int, ...]) -> list[np.ndarray]:
    """Kernel, recurrent kernel and, if there is one, bias of one direction as ONNX has them."""
    kernel, recurrent_kernel, *biases = (
        np.concatenate([np.split(weight, len(order), axis=-1)[gate] for gate in order], axis=-1)
        for weight in layer.get_weights()
    )
    if not biases:
        return [kernel.T, recurrent_kernel.T]
    # Of the input, then of the recurrent product; most layers have the first alone.
    bias = np.atleast_2d(biases[0])
    both = np.concatenate([bias, np.zeros_like(bias)])[:2]
    return [kernel.T, recurrent_kernel.T, both.reshape(-1)]


def _merging(layer: keras.layers.Layer) -> tuple[str, list[int] | None, dict[str, Any]]:
    """What makes one of the directions, the last axis but one: operator, operand and attributes."""
    if not isinstance(layer, keras.layers.Bidirectional):
        return "Squeeze", [-2], {}
    if layer.merge_mode == "concat":
        return "Reshape", [0, 0, -1] if layer.forward_layer.return_sequences else [0, -1], {}
    if layer.merge_mode == "sum":
        return "ReduceSum", [-2], {"keepdims": 0}
    kind = {"ave": "ReduceMean", "mul": "ReduceProd"}[layer.merge_mode]
    return kind, None, {"axes": [-2], "keepdims": 0}


def _sorted(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Nodes in an order in which each follows those whose results it reads, as ONNX wants them."""
    producers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needs = {
        index: {producers[name] for name in reads(node) if name in producers}
        for index, node in enumerate(nodes)
    }
    return [nodes[index] for index in TopologicalSorter(needs).static_order()]


def _entering(index: int) -> str:
    return f"recurrent{index}_in"


def _leaving(index: int) -> str:
    return f"recurrent{index}_out"
