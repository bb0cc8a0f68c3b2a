"""Keras models as ONNX files.

tf2onnx turns a Keras GRU into a Loop over dozens of small operators. The file written here has
ONNX's own GRU operator instead: the model is cut before and after each GRU, tf2onnx converts what
is left, and the operators are put into the gaps.
"""

from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import Any, Literal, get_args

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx import helper, numpy_helper

from edge_genre.errors import ConversionError

from .gru import is_standard
from .keras_models import copy_model, require_convertible

Quantization = Literal["fp32", "dynamic"]

# 17 is old enough for every engine since ONNX Runtime 1.12 and has all that these models need.
OPSET = 17
INPUT, OUTPUT = "features", "output"


def keras_to_onnx(model: keras.Model, *, quantize: Quantization = "fp32") -> bytes:
    """Convert a Keras model to an ONNX file.

    Its input "features" and its output "output" are float32 with a free batch axis first. Standard
    GRU layers (see ``gru.is_standard``) become GRU operators; other recurrent layers become loops.

    Parameters
    ----------
    model : built functional or sequential model with one input and one output; it is left
        as it was.
    quantize : "fp32"; "dynamic", weights of matrix products and convolutions in 8 bits and
        their inputs quantized as they come (ONNX Runtime leaves GRU weights as they are).

    Returns
    -------
    The file's bytes.

    Raises
    ------
    ConversionError
        the model cannot be converted.
    """
    if quantize not in get_args(Quantization):
        expected = ", ".join(get_args(Quantization))
        raise ConversionError(f"got ONNX quantization {quantize!r}; expected one of {expected}")
    require_convertible(model)
    around, gaps = _cut(model)
    try:
        proto = _convert_around(around, gaps)
        _insert_grus(proto.graph, [gap.gru for gap in gaps])
        # tf2onnx writes what it does not know under TensorFlow's name; the checker finds it.
        onnx.checker.check_model(proto, full_check=True)
    except ConversionError:
        raise
    except Exception as error:  # tf2onnx and onnx raise many kinds, without a common base
        raise ConversionError(
            f"model {model.name!r} does not convert to ONNX: {shorten(str(error), 300)}"
        ) from error
    if quantize == "dynamic":
        proto = _quantize_dynamic(proto)
    return bytes(proto.SerializeToString())


class _Gap(keras.layers.Layer):
    """Stands where a GRU was while what is around it is converted: ends one part, starts another.

    Parameters
    ----------
    gru : the layer that was there, with its weights.
    leaving : set before the call, what it gives.
    entering : set by the call, what it was given.
    """

    def __init__(self, gru: keras.layers.GRU) -> None:
        super().__init__(name=gru.name, dtype=gru.dtype_policy)
        self.gru = gru
        self.leaving: tf.Tensor | None = None
        self.entering: tf.Tensor | None = None

    def compute_output_shape(
        self, shape: tuple[int | None, ...], *arguments: object
    ) -> tuple[int | None, ...]:
        return tuple(self.gru.compute_output_shape(shape))

    # The other arguments are those of the GRU's call, which the copied graph repeats.
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
    """Copy a model with a gap in place of each standard GRU."""
    gaps: list[_Gap] = []

    def gap(layer: keras.layers.Layer) -> _Gap | None:
        if not is_standard(layer):
            return None
        gaps.append(_Gap(layer))
        return gaps[-1]

    return copy_model(copy_model(model), gap), gaps


def _convert_around(model: keras.Model, gaps: list[_Gap]) -> onnx.ModelProto:
    """Convert all but the GRUs: what enters one is an output, what leaves one is an input."""

    def call(features: tf.Tensor, *leaving: tf.Tensor) -> dict[str, tf.Tensor]:
        for gap, tensor in zip(gaps, leaving, strict=True):
            gap.leaving = tensor
        output = model(features, training=False)
        entering = {_entering(index): gap.entering for index, gap in enumerate(gaps)}
        return {OUTPUT: output, **entering}

    window = model.inputs[0]
    signature = [
        tf.TensorSpec(window.shape, window.dtype, name=INPUT),
        *(
            tf.TensorSpec(gap.gru.output.shape, gap.gru.output.dtype, name=_leaving(index))
            for index, gap in enumerate(gaps)
        ),
    ]
    # There is no Python control flow to translate, and autograph would rewrite errors.
    function = tf.function(call, autograph=False)
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    proto.graph.name = model.name
    return proto


def _insert_grus(graph: onnx.GraphProto, grus: list[keras.layers.GRU]) -> None:
    """Close the gaps that ``_convert_around`` left, in place."""
    nodes = list(graph.node)
    for index, gru in enumerate(grus):
        gru_nodes, weights = _gru_operator(gru, _entering(index), _leaving(index))
        nodes += gru_nodes
        graph.initializer.extend(weights)
    ordered = _sorted(nodes)
    inputs = [value for value in graph.input if value.name == INPUT]
    outputs = [value for value in graph.output if value.name == OUTPUT]
    for field, values in ((graph.node, ordered), (graph.input, inputs), (graph.output, outputs)):
        del field[:]
        field.extend(values)


def _gru_operator(
    gru: keras.layers.GRU, entering: str, leaving: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """One Keras GRU as ONNX's operator: nodes and weights.

    ONNX keeps the gates in the same order (z, r, h) but the weights transposed, with an axis of
    directions first, and time before batch.
    Source: the ONNX operator specification, GRU-14.
    """
    kernel, recurrent_kernel, bias = gru.get_weights()
    name = leaving.removesuffix("_out")
    arrays = {
        f"{name}_W": kernel.T[np.newaxis],
        f"{name}_R": recurrent_kernel.T[np.newaxis],
        f"{name}_B": bias.reshape(1, -1),  # all of the input's, then all of the recurrent ones
        # Of the sequence (steps, directions, batch, units), or the last state without its steps.
        f"{name}_axis": np.array([1 if gru.return_sequences else 0], np.int64),
    }
    weights = [
        numpy_helper.from_array(np.ascontiguousarray(array), key) for key, array in arrays.items()
    ]
    results = [f"{name}_Y"] if gru.return_sequences else ["", f"{name}_Y"]
    squeezed = f"{name}_steps" if gru.return_sequences else leaving
    nodes = [
        helper.make_node("Transpose", [entering], [f"{name}_X"], perm=[1, 0, 2]),
        helper.make_node(
            "GRU",
            [f"{name}_X", f"{name}_W", f"{name}_R", f"{name}_B"],
            results,
            name=gru.name,
            hidden_size=gru.units,
            linear_before_reset=1,
        ),
        helper.make_node("Squeeze", [f"{name}_Y", f"{name}_axis"], [squeezed]),
    ]
    if gru.return_sequences:
        nodes.append(helper.make_node("Transpose", [squeezed], [leaving], perm=[1, 0, 2]))
    return nodes, weights


def _sorted(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Nodes in an order in which each follows those whose results it reads, as ONNX wants them."""
    producers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needs = {
        index: {producers[name] for name in _reads(node) if name in producers}
        for index, node in enumerate(nodes)
    }
    return [nodes[index] for index in TopologicalSorter(needs).static_order()]


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Names that a node reads, with those that a loop's body takes from around it."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _reads(inner)


def _quantize_dynamic(proto: onnx.ModelProto) -> onnx.ModelProto:
    # Here, for it takes a second to import and fp32 does without.
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder:
        names = ("exact.onnx", "prepared.onnx", "quantized.onnx")
        exact, prepared, quantized = (Path(folder, name) for name in names)
        # By way of a file: handed the model itself, the preparation loses its weights.
        onnx.save(proto, exact)
        # Symbolic shapes are for transformers, and would need one more package.
        quant_pre_process(exact, prepared, skip_symbolic_shape=True)
        # Unsigned weights: ONNX Runtime's kernels for signed ones are several times slower.
        quantize_dynamic(prepared, quantized, weight_type=QuantType.QUInt8)
        return onnx.load(quantized)


def _entering(index: int) -> str:
    return f"gru{index}_in"


def _leaving(index: int) -> str:
    return f"gru{index}_out"
