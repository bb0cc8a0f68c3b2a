"""ONNX files as sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper

from edge_genre.convert.batches import Outputs, in_batches
from edge_genre.convert.onnx.graph import input_values, keep_outputs
from edge_genre.convert.outputs.activations import of_onnx
from edge_genre.convert.sources.versions import versions
from edge_genre.convert.tensors import TensorSpec, with_lengths
from edge_genre.errors import ConversionError, one_line
from edge_genre.model.container import split
from edge_genre.model.file import ModelInfo, read

_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}
_WEIGHTS = _FLOATS | {TensorProto.INT8, TensorProto.UINT8, TensorProto.BFLOAT16}


class OnnxSource:
    """An ONNX graph in ONNX Runtime; see `edge_genre.convert.sources.TrainedModel`."""

    kind = "onnx"
    quantization = None

    def __init__(self, path: Path, *, inputs: Sequence[TensorSpec], outputs: Sequence[str]) -> None:
        file = read(path)
        self.info: ModelInfo | None = file.info
        self._graph, _ = split(file.content)
        model = _parsed(self._graph, path.parent)
        if _has_external_data(self._graph):
            self._graph = model.SerializeToString()
        values = _inputs(model)
        if outputs and list(outputs) != [value.name for value in model.graph.output]:
            keep_outputs(model.graph, outputs)
            self._graph = model.SerializeToString()
        self._outputs = [value.name for value in model.graph.output]
        self._dtypes = [
            helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type) for value in values
        ]
        shapes = [_shape(value) for value in values]
        # Without a batch axis the first length is one of the window's.
        self._is_batched = all(
            len(shape) > 1 and _is_batch_axis(model, shape[0]) for shape in shapes
        )
        self._batch = shapes[0][0] if self._is_batched else 1
        own = [
            TensorSpec(value.name, shape[1:] if self._is_batched else shape)
            for value, shape in zip(values, shapes, strict=True)
        ]
        self.inputs = with_lengths(own, inputs)
        self.parameters = sum(
            int(np.prod(weight.dims))
            for weight in model.graph.initializer
            if weight.data_type in _WEIGHTS
        )
        self.versions = versions("onnx", "onnxruntime")
        self._session = _session(self._graph)

    def predict(self, *windows: NDArray[np.float32]) -> Outputs:
        return in_batches(self._run, windows, inputs=self.inputs, batch=self._batch)

    def activation(self) -> str | None:
        return of_onnx(onnx.load_from_string(self._graph))

    def tflite(self, **options: Any) -> bytes:
        model = onnx.load_from_string(self._graph)
        for value, each in zip(_inputs(model), self.inputs, strict=True):
            dims = value.type.tensor_type.shape.dim
            lengths = dims[1:] if self._is_batched else dims
            for dim, size in zip(lengths, each.shape, strict=True):
                if size is not None:
                    dim.dim_value = size
        return graph_to_tflite(model.SerializeToString(), **options)

    def onnx(self) -> bytes:
        return self._graph

    def _run(self, *windows: NDArray[np.float32]) -> dict[str, Any]:
        given = {
            each.name: (window if self._is_batched else window[0]).astype(dtype)
            for each, window, dtype in zip(self.inputs, windows, self._dtypes, strict=True)
        }
        outputs = self._session.run(self._outputs, given)
        if not self._is_batched:
            outputs = [np.reshape(output, (1, -1)) for output in outputs]
        return dict(zip(self._outputs, outputs, strict=True))


def graph_to_tflite(content: bytes, **options: Any) -> bytes:
    """Convert an ONNX graph to TFLite; see `onnx_to_tf.function.onnx_to_tflite`."""
    from edge_genre.convert.onnx_to_tf.function import onnx_to_tflite

    return onnx_to_tflite(onnx.load_from_string(content), **options)


def _parsed(graph: bytes, folder: Path) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(graph)
    except Exception as error:  # protobuf's and onnx's own kinds
        raise ConversionError(f"is a damaged ONNX file: {one_line(error, 300)}") from error
    try:
        # PyTorch writes the weights into a file beside the graph.
        external_data_helper.load_external_data_for_model(model, str(folder))
    except Exception as error:  # missing files, and paths that lead out of the folder
        raise ConversionError(
            f"has its weights in another file, which cannot be read: {one_line(error, 300)}"
        ) from error
    return model


def _has_external_data(graph: bytes) -> bool:
    model = onnx.load_from_string(graph)
    return any(map(external_data_helper.uses_external_data, model.graph.initializer))


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The graph's inputs, which are windows of floats."""
    inputs = input_values(model.graph)
    if not inputs or not model.graph.output:
        raise ConversionError(
            f"has {len(inputs)} inputs and {len(model.graph.output)} outputs, expected one of each "
            "at least"
        )
    for value in inputs:
        tensor = value.type.tensor_type
        if tensor.elem_type not in _FLOATS:
            found = TensorProto.DataType.Name(tensor.elem_type).lower()
            raise ConversionError(
                f"takes {found} numbers, expected float: use the unquantized model"
            )
        if not tensor.shape.dim:
            raise ConversionError("does not say the shape of its input: export it with one")
    return inputs


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Of a tensor, None for a free length."""
    return tuple(dim.dim_value or None for dim in value.type.tensor_type.shape.dim)


def _is_batch_axis(model: onnx.ModelProto, size: int | None) -> bool:
    """Whether an input's first axis counts windows: free, 1, or as long as an output's."""
    if size in (None, 1):
        return True
    shapes = map(_shape, model.graph.output)
    return any(len(shape) > 1 and shape[0] == size for shape in shapes)


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only, and those arrive as exceptions too
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        raise ConversionError(f"ONNX Runtime cannot load it: {one_line(error, 300)}") from error
