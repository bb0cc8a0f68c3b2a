"""TFLite files as sources: to describe them, or to make ONNX of them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.batches import Outputs, in_batches
from edge_genre.convert.outputs.activations import of_tflite
from edge_genre.convert.sources.versions import versions
from edge_genre.convert.tensors import Arrays, TensorSpec
from edge_genre.convert.tflite.flatbuffer import (
    add_tensor,
    builtin,
    named_ends,
    new_operator,
    operators,
    pack,
    parse,
    schema,
)
from edge_genre.engines.litert import LiteRT
from edge_genre.engines.tensor import bare_name
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

    def __init__(self, path: Path, *, outputs: Sequence[str]) -> None:
        file = read(path)
        self.info: ModelInfo | None = file.info
        self._graph = _plainly_named(split(file.content)[0], outputs)
        self._engine = LiteRT(self._graph, 1, str(path))
        # Without a batch axis the first length is one of the window's.
        self.inputs = tuple(
            TensorSpec(each.name, each.shape[1:] if each.shape[:1] == (1,) else each.shape)
            for each in self._engine.inputs
        )
        tensors = list(_tensors(self._graph))
        self.quantization = _quantization(tensors)
        self.parameters = sum(size for size, kind, _ in tensors if kind in _WEIGHTS)
        self.versions = versions("ai-edge-litert", "tensorflow", "tf2onnx", "onnx")

    def predict(self, *windows: NDArray[np.float32]) -> Outputs:
        return in_batches(self._run, windows, inputs=self.inputs, batch=1)

    def activation(self) -> str | None:
        return of_tflite(self._graph)

    def tflite(
        self,
        *,
        quantize: str = "fp32",
        calibration: Arrays | None = None,
        edges: Sequence[float] | None = None,
        target: str = "litert",
        integer_io: bool = False,
        activation: str | None = None,
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

    def _run(self, *windows: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        arrays = [
            window.reshape([size or 1 for size in each.shape])
            for window, each in zip(windows, self._engine.inputs, strict=True)
        ]
        found = self._engine.infer(arrays, range(len(self._engine.outputs)))
        return {
            each.name: output[np.newaxis]
            for each, output in zip(self._engine.outputs, found, strict=True)
        }


def _plainly_named(graph: bytes, outputs: Sequence[str]) -> bytes:
    """The same graph, of several inputs or outputs by the names of its signature.

    Parameters
    ----------
    outputs : those to keep; all if left out
    """
    model = parse(graph)
    subgraph = model.subgraphs[0]
    if len(subgraph.inputs) + len(subgraph.outputs) == 2:
        return graph
    signatures = model.signatureDefs or []
    named = {
        int(each.tensorIndex): each.name.decode()
        for signature in signatures[:1]
        for each in (*signature.inputs, *signature.outputs)
    }
    taken, given = (
        {named.get(int(i)) or bare_name(subgraph.tensors[i].name.decode()): int(i) for i in ends}
        for ends in (subgraph.inputs, subgraph.outputs)
    )
    if len(taken) < len(subgraph.inputs) or len(given) < len(subgraph.outputs):
        raise ConversionError("has two inputs or two outputs of one name: give it a signature")
    kept = list(outputs or given)
    subgraph.outputs = np.array([given[name] for name in kept], np.int32)
    return named_ends(pack(model), list(taken), kept)


def _with_flat_inputs(graph: bytes) -> bytes:
    """The same graph with a RESHAPE before each FULLY_CONNECTED that flattens its input itself.

    tf2onnx 1.17 loses the bias of such a layer without a word: it puts two inputs, the flat one and
    the weights, in the place of the three (tflite_handlers/tfl_math.py).
    """
    codes, model, changed = schema().BuiltinOperator, parse(graph), False
    for subgraph in model.subgraphs:
        ordered: list[Any] = []
        for operator in operators(subgraph):
            code = builtin(model.operatorCodes[operator.opcodeIndex])
            if code == codes.FULLY_CONNECTED and not operator.builtinOptions.keepNumDims:
                source, weights = (subgraph.tensors[index] for index in operator.inputs[:2])
                features = int(weights.shape[1])
                shape = [int(np.prod(source.shape)) // features, features]
                if len(source.shape) != 2:
                    # tf2onnx takes tensors of one name for one tensor.
                    name = f"flat{len(ordered)}"
                    flat = add_tensor(model, subgraph, name, shape, source.type)
                    values = np.array([-1, features], np.int32)
                    wanted = add_tensor(
                        model, subgraph, f"{name}_shape", [2], schema().TensorType.INT32, values
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
