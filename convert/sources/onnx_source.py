"""ONNX files as sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper

from edge_genre.convert.batches import free_lengths_fixed, in_batches
from edge_genre.convert.sources.versions import versions
from edge_genre.errors import ConversionError, one_line
from edge_genre.model.container import split
from edge_genre.model.file import ModelInfo, read

_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}
_WEIGHTS = _FLOATS | {TensorProto.INT8, TensorProto.UINT8, TensorProto.BFLOAT16}


class OnnxSource:
    """An ONNX graph in ONNX Runtime; see `edge_genre.convert.sources.TrainedModel`."""

    kind = "onnx"
    quantization = None

    def __init__(self, path: Path, *, input_shape: tuple[int, ...] | None) -> None:
        file = read(path)
        self.info: ModelInfo | None = file.info
        self._graph, _ = split(file.content)
        model = _parsed(self._graph, path.parent)
        if _has_external_data(self._graph):
            self._graph = model.SerializeToString()
        source, shape = _input(model)
        self._dtype = helper.tensor_dtype_to_np_dtype(source.type.tensor_type.elem_type)
        # Without a batch axis the first length is one of the window's.
        self._is_batched = len(shape) > 1 and _is_batch_axis(model, shape[0])
        self._batch = shape[0] if self._is_batched else 1
        own = shape[1:] if self._is_batched else shape
        self.input_shape = free_lengths_fixed(own, input_shape)
        self.parameters = sum(
            int(np.prod(weight.dims))
            for weight in model.graph.initializer
            if weight.data_type in _WEIGHTS
        )
        self.versions = versions("onnx", "onnxruntime")
        self._session = _session(self._graph)
        self._name = source.name

    def predict(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        return in_batches(self._run, windows, shape=self.input_shape, batch=self._batch)

    def tflite(self, **options: Any) -> bytes:
        model = onnx.load_from_string(self._graph)
        source, _ = _input(model)
        dims = source.type.tensor_type.shape.dim
        lengths = dims[1:] if self._is_batched else dims
        for dim, size in zip(lengths, self.input_shape, strict=True):
            if size is not None:
                dim.dim_value = size
        return graph_to_tflite(model.SerializeToString(), **options)

    def onnx(self) -> bytes:
        return self._graph

    def _run(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        features = windows if self._is_batched else windows[0]
        (output,) = self._session.run(None, {self._name: features.astype(self._dtype)})
        return output if self._is_batched else np.reshape(output, (1, -1))


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


def _input(model: onnx.ModelProto) -> tuple[onnx.ValueInfoProto, tuple[int | None, ...]]:
    """The graph's one input and its shape, None for a free length."""
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    outputs = model.graph.output
    if len(inputs) != 1 or len(outputs) != 1:
        raise ConversionError(
            f"has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each: cut out "
            "the part that classifies (onnx.utils.extract_model)"
        )
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type not in _FLOATS:
        found = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise ConversionError(f"takes {found} numbers, expected float: use the unquantized model")
    if not tensor.shape.dim:
        raise ConversionError("does not say the shape of its input: export it with one")
    return inputs[0], tuple(dim.dim_value or None for dim in tensor.shape.dim)


def _is_batch_axis(model: onnx.ModelProto, size: int | None) -> bool:
    """Whether the input's first axis counts windows: free, 1, or as long as the output's."""
    dims = model.graph.output[0].type.tensor_type.shape.dim
    return size in (None, 1) or (len(dims) > 1 and dims[0].dim_value == size)


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only, and those arrive as exceptions too
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        raise ConversionError(f"ONNX Runtime cannot load it: {one_line(error, 300)}") from error
