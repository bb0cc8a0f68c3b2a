"""TensorFlow SavedModel folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from edge_genre.convert.batches import free_lengths_fixed, in_batches
from edge_genre.convert.sources.versions import versions
from edge_genre.errors import ConversionError, one_line

OPSET = 17
INPUT, OUTPUT = "features", "output"

_ONE = "_of_one_window"


class SavedModelSource:
    """The serving signature of a SavedModel; see `edge_genre.convert.sources.TrainedModel`."""

    kind = "saved_model"
    quantization = None
    info = None

    def __init__(self, path: Path, *, input_shape: tuple[int, ...] | None) -> None:
        self._name = path.name
        # The signature lives only as long as what it was loaded with.
        self._loaded, self._signature = _signature(path)
        self._argument, shape = _one_input(self._signature)
        self._batch = shape[0]
        self.input_shape = free_lengths_fixed(shape[1:], input_shape)
        self.parameters = sum(
            int(np.prod(variable.shape)) for variable in self._signature.variables
        )
        self.versions = versions("tensorflow", "tf2onnx", "onnx")

    def predict(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        return in_batches(
            lambda batch: self._call(tf.constant(batch)).numpy(),
            windows,
            shape=self.input_shape,
            batch=self._batch,
        )

    def tflite(self, *, probabilities: bool = False, **options: Any) -> bytes:
        from edge_genre.convert.tflite.writer import function_to_tflite

        if None in self.input_shape:
            raise ConversionError(
                f"takes windows of shape {self.input_shape}: fix the length with --input-shape"
            )
        spec = tf.TensorSpec((1, *self.input_shape), tf.float32, name=INPUT)
        # The converter loses variables of loaded functions: the file then fails, or gives NaN.
        frozen = convert_variables_to_constants_v2(
            tf.function(self._call, autograph=False).get_concrete_function(spec),
            lower_control_flow=False,
        )
        graph = _for_one_window(frozen.graph.as_graph_def())
        names = [frozen.inputs[0].name, frozen.outputs[0].name]

        def single(window: tf.Tensor) -> tf.Tensor:
            (output,) = tf.graph_util.import_graph_def(
                graph, input_map={names[0]: window}, return_elements=names[1:], name=""
            )
            return tf.nn.softmax(output) if probabilities else output

        function = tf.function(single, input_signature=[spec], autograph=False)
        return function_to_tflite(function, name=self._name, **options)

    def onnx(self) -> bytes:
        import onnx
        import tf2onnx

        spec = tf.TensorSpec((self._batch, *self.input_shape), tf.float32, name=INPUT)
        function = tf.function(lambda window: {OUTPUT: self._call(window)}, autograph=False)
        try:
            proto, _ = tf2onnx.convert.from_function(function, input_signature=[spec], opset=OPSET)
            onnx.checker.check_model(proto, full_check=True)
        except Exception as error:  # tf2onnx and onnx raise many kinds, without a common base
            raise ConversionError(f"does not convert to ONNX: {one_line(error, 300)}") from error
        return bytes(proto.SerializeToString())

    def _call(self, windows: tf.Tensor) -> tf.Tensor:
        (output,) = self._signature(**{self._argument: windows}).values()
        return output


def _for_one_window(graph: Any) -> Any:
    """Fix the batch axis where a graph of one window still has it free: in its recurrent loops.

    They were traced for any batch, and keep it (-1) in the shapes of their lists of steps, for
    which TFLite has no operators. All other lengths are known by then.
    """
    functions = graph.library.function
    for function in functions:  # TensorFlow knows the unchanged ones by these names
        function.signature.name += _ONE
    for nodes in (graph.node, *(function.node_def for function in functions)):
        lists = [node for node in nodes if node.op.startswith("TensorList")]
        # A name inside a function goes on with an output's name and number.
        inputs = {name.partition(":")[0] for node in lists for name in node.input}
        for node in nodes:
            for value in node.attr.values():
                if value.func.name:
                    value.func.name += _ONE
            if node.op == "Const" and node.name in inputs:
                shape = tf.make_ndarray(node.attr["value"].tensor)
                if shape.dtype == np.int32 and shape.ndim == 1:
                    fixed = tf.make_tensor_proto(np.where(shape == -1, 1, shape), tf.int32)
                    node.attr["value"].tensor.CopyFrom(fixed)
            elif node.op in ("While", "StatelessWhile"):
                for shape in node.attr["output_shapes"].list.shape:
                    for dim in shape.dim:
                        dim.size = 1 if dim.size == -1 else dim.size
    return graph


def _signature(path: Path) -> tuple[Any, Any]:
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:  # TensorFlow raises many kinds, without a common base
        raise ConversionError(f"TensorFlow cannot load it: {one_line(error, 300)}") from error
    signatures = dict(loaded.signatures)
    if "serving_default" in signatures:
        return loaded, signatures["serving_default"]
    if len(signatures) != 1:
        found = ", ".join(signatures) or "none"
        raise ConversionError(
            f"has the signatures {found}; expected serving_default or a single one: save it with "
            "model.export"
        )
    return loaded, next(iter(signatures.values()))


def _one_input(signature: Any) -> tuple[str, tuple[int | None, ...]]:
    """Name and shape, batch axis first, of the signature's input."""
    _, inputs = signature.structured_input_signature
    outputs = signature.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ConversionError(
            f"has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each: export "
            "the part that classifies"
        )
    ((name, spec),) = inputs.items()
    if spec.dtype != tf.float32:
        raise ConversionError(f"takes {spec.dtype.name} numbers, expected float32")
    if spec.shape.rank is None or spec.shape.rank < 2:
        raise ConversionError(
            f"takes input of shape {spec.shape}, expected windows behind a batch axis"
        )
    return name, tuple(spec.shape)
