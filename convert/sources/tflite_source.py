"""TFLite files as sources: to describe them, or to make ONNX of them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.batches import in_batches
from edge_genre.convert.sources.versions import versions
from edge_genre.convert.tflite.flatbuffer import (
    add_tensor,
    builtin,
    new_operator,
    operators,
    pack,
    parse,
    schema,
)
from edge_genre.engines.litert import LiteRT
from edge_genre.errors import ConversionError, one_line
from edge_genre.host.quiet import quiet_libraries
from edge_genre.model.container import split
from edge_genre.model.file import ModelInfo, read

OPSET = 17

_TYPES = {code: name for name, code in vars(schema().TensorType).items() if name.isupper()}
_INTEGERS = {"INT2", "INT4", "INT8", "UINT8", "INT16"}
_WEIGHTS = _INTEGERS | {"FLOAT16", "FLOAT32"}


class TFLiteSource:
    """A TFLite graph in LiteRT; see `edge_genre.convert.sources.TrainedModel`."""

    kind = "tflite"

    def __init__(self, path: Path) -> None:
        file = read(path)
        self.info: ModelInfo | None = file.info
        self._graph, _ = split(file.content)
        self._engine = LiteRT(self._graph, 1, str(path))
        (self._input,) = self._engine.inputs
        shape = self._input.shape
        # Without a batch axis the first length is one of the window's.
        self.input_shape: tuple[int | None, ...] = shape[1:] if shape[0] == 1 else shape
        tensors = list(_tensors(self._graph))
        self.quantization = _quantization(tensors)
        self.parameters = sum(size for size, kind, _ in tensors if kind in _WEIGHTS)
        self.versions = versions("ai-edge-litert", "tensorflow", "tf2onnx", "onnx")

    def predict(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        return in_batches(self._run, windows, shape=self.input_shape, batch=1)

    def tflite(
        self,
        *,
        quantize: str = "fp32",
        calibration: NDArray[np.float32] | None = None,
        target: str = "litert",
        integer_io: bool = False,
        probabilities: bool = False,
    ) -> bytes:
        if quantize != self.quantization:
            raise ConversionError(
                f"is {self.quantization} and cannot be quantized again: convert the model that it "
                f"was made from to {quantize}"
            )
        if target != "litert" or integer_io:
            raise ConversionError(
                "is given back as it is: leave --target and --integer-io out, or convert the model "
                "that it was made from"
            )
        return self._graph

    def onnx(self) -> bytes:
        import onnx
        import tf2onnx

        if self.quantization in ("dynamic", "int8"):
            raise ConversionError(
                f"is {self.quantization}, of which ONNX Runtime makes something else than LiteRT: "
                "convert the model that it was made from"
            )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.tflite")
            path.write_bytes(_with_flat_inputs(self._graph))
            try:
                with quiet_libraries(), _quiet_logs():
                    model, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET)
                # tf2onnx writes what it does not know under TFLite's name; the checker finds it.
                onnx.checker.check_model(model, full_check=True)
            except Exception as error:  # tf2onnx and onnx raise many kinds, without a common base
                raise ConversionError(
                    f"does not convert to ONNX: {one_line(error, 300)}"
                ) from error
        return bytes(model.SerializeToString())

    def _run(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        shape = [size or 1 for size in self._input.shape]
        (answer,) = self._engine.infer([window.reshape(shape)], [0])
        return answer[np.newaxis]


def _with_flat_inputs(graph: bytes) -> bytes:
    """The same graph with a RESHAPE before each FULLY_CONNECTED that flattens its input itself.

    tf2onnx 1.17 loses the bias of such a layer without a word: it puts two inputs, the flat one and
    the weights, in the place of the three (tflite_handlers/tfl_math.py).
    """
    codes, model, changed = schema().BuiltinOperator, parse(graph), False
    for subgraph in model.subgraphs:
        ordered = []
        for operator in operators(subgraph):
            code = builtin(model.operatorCodes[operator.opcodeIndex])
            if code == codes.FULLY_CONNECTED and not operator.builtinOptions.keepNumDims:
                source, weights = (subgraph.tensors[index] for index in operator.inputs[:2])
                features = int(weights.shape[1])
                shape = [int(np.prod(source.shape)) // features, features]
                if len(source.shape) != 2:
                    flat = add_tensor(model, subgraph, "flat", shape, source.type)
                    values = np.array([-1, features], np.int32)
                    wanted = add_tensor(
                        model, subgraph, "flat_shape", [2], schema().TensorType.INT32, values
                    )
                    inputs = [int(operator.inputs[0]), wanted]
                    ordered.append(new_operator(model, codes.RESHAPE, inputs, [flat]))
                    operator.inputs, changed = [flat, *operator.inputs[1:]], True
            ordered.append(operator)
        subgraph.operators = ordered
    return pack(model) if changed else graph


def _tensors(graph: bytes) -> Iterator[tuple[int, str, bool]]:
    """Size and type of each tensor, and whether it is constant."""
    model = parse(graph)
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            buffer = model.buffers[tensor.buffer]
            # Of large models the data stands behind the flatbuffer, at an offset.
            constant = buffer.data is not None or buffer.offset > 1
            shape = () if tensor.shape is None else tensor.shape
            yield int(np.prod(shape)) if constant else 0, _TYPES[tensor.type], constant


def _quantization(tensors: list[tuple[int, str, bool]]) -> str:
    """``"fp32"``, ``"fp16"``, ``"dynamic"`` or ``"int8"``, by what weights and activations are."""
    weights = {kind for _, kind, constant in tensors if constant}
    activations = {kind for _, kind, constant in tensors if not constant}
    if activations & _INTEGERS:
        return "int8"
    if weights & _INTEGERS:
        return "dynamic"
    return "fp16" if "FLOAT16" in weights else "fp32"


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """tf2onnx reports each step."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)
