"""TensorFlow SavedModel folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from edge_genre.convert.batches import Outputs, in_batches
from edge_genre.convert.outputs.activations import of_function
from edge_genre.convert.sources.versions import versions
from edge_genre.convert.tensors import INPUT, OUTPUT, TensorSpec, names_in_files, with_lengths
from edge_genre.errors import ConversionError, one_line

OPSET = 17

_ONE = "_of_one_window"


class SavedModelSource:
    """The serving signature of a SavedModel; see `edge_genre.convert.sources.TrainedModel`."""

    kind = "saved_model"
    quantization = None
    info = None

    def __init__(self, path: Path, *, inputs: Sequence[TensorSpec], outputs: Sequence[str]) -> None:
        self._name = path.name
        # The signature lives only as long as what it was loaded with.
        self._loaded, self._signature = _signature(path)
        own = _inputs(self._signature)
        self._outputs = tuple(outputs) or tuple(self._signature.structured_outputs)
        self._batch = own[0].shape[0]
        self.inputs = with_lengths([TensorSpec(each.name, each.shape[1:]) for each in own], inputs)
        # What its files call them.
        self._given = names_in_files([each.name for each in self.inputs], INPUT)
        self._gives = names_in_files(self._outputs, OUTPUT)
        self.parameters = sum(
            int(np.prod(variable.shape)) for variable in self._signature.variables
        )
        self.versions = versions("tensorflow", "tf2onnx", "onnx")

    def predict(self, *windows: NDArray[np.float32]) -> Outputs:
        def run(*batch: NDArray[np.float32]) -> dict[str, Any]:
            return dict(zip(self._outputs, self._call(*map(tf.constant, batch)), strict=True))

        return in_batches(run, windows, inputs=self.inputs, batch=self._batch)

    def activation(self) -> str | None:
        call = tf.function(self._call, autograph=False)
        return of_function(call.get_concrete_function(*self._specs(1)))

    def tflite(self, **options: Any) -> bytes:
        from edge_genre.convert.tflite.writer import function_to_tflite

        for each in self.inputs:
            if None in each.shape:
                raise ConversionError(
                    f"takes windows of shape {each.shape}: fix the length with --input-shape"
                )
        specs = self._specs(1)
        # The converter loses variables of loaded functions: the file then fails, or gives NaN.
        frozen = convert_variables_to_constants_v2(
            tf.function(self._call, autograph=False).get_concrete_function(*specs),
            lower_control_flow=False,
        )
        graph = _for_one_window(frozen.graph.as_graph_def())
        taken, given = ([each.name for each in ends] for ends in (frozen.inputs, frozen.outputs))

        def single(*windows: tf.Tensor) -> list[tf.Tensor]:
            return tf.graph_util.import_graph_def(
                graph,
                input_map=dict(zip(taken, windows, strict=True)),
                return_elements=given,
                name="",
            )

        return function_to_tflite(
            tf.function(single, input_signature=specs, autograph=False),
            name=self._name,
            inputs=self._given,
            outputs=self._gives,
            **options,
        )

    def onnx(self) -> bytes:
        import onnx
        import tf2onnx

        def call(*windows: tf.Tensor) -> dict[str, tf.Tensor]:
            return dict(zip(self._gives, self._call(*windows), strict=True))

        function, specs = tf.function(call, autograph=False), self._specs(self._batch)
        try:
            proto, _ = tf2onnx.convert.from_function(function, input_signature=specs, opset=OPSET)
            onnx.checker.check_model(proto, full_check=True)
        except Exception as error:  # tf2onnx and onnx raise many kinds, without a common base
            raise ConversionError(f"does not convert to ONNX: {one_line(error, 300)}") from error
        return bytes(proto.SerializeToString())

    def _call(self, *windows: tf.Tensor) -> list[tf.Tensor]:
        names = [each.name for each in self.inputs]
        found = self._signature(**dict(zip(names, windows, strict=True)))
        return [found[name] for name in self._outputs]

    def _specs(self, batch: int | None) -> list[tf.TensorSpec]:
        return [
            tf.TensorSpec((batch, *each.shape), tf.float32, name=name)
            for each, name in zip(self.inputs, self._given, strict=True)
        ]


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


def _inputs(signature: Any) -> list[TensorSpec]:
    """The signature's inputs, batch axis first."""
    _, inputs = signature.structured_input_signature
    if not inputs or not signature.structured_outputs:
        raise ConversionError("has no inputs or no outputs: export the part that classifies")
    for spec in inputs.values():
        if spec.dtype != tf.float32:
            raise ConversionError(f"takes {spec.dtype.name} numbers, expected float32")
        if spec.shape.rank is None or spec.shape.rank < 2:
            raise ConversionError(
                f"takes input of shape {spec.shape}, expected windows behind a batch axis"
            )
    return [TensorSpec(name, tuple(spec.shape)) for name, spec in inputs.items()]
