"""TFLite graphs as objects that can be read and changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.errors import ConversionError, one_line
from edge_genre.model.container import kind_of


def schema() -> Any:
    """The classes of the TFLite schema; ai_edge_litert is imported when they are asked for."""
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


def parse(graph: bytes) -> Any:
    """Read a TFLite graph.

    Parameters
    ----------
    graph : a TFLite flatbuffer, without edge-genre's texts

    Returns
    -------
    A `ModelT` of the schema

    Raises
    ------
    ConversionError
        It is no TFLite graph, or a damaged one.
    """
    if kind_of(graph) != "tflite":
        raise ConversionError("an ONNX file, expected TFLite")
    types = schema()
    try:
        model = types.ModelT.InitFromObj(types.Model.GetRootAsModel(graph, 0))
        if not model.subgraphs or not len(model.subgraphs[0].outputs):
            raise ValueError("it holds no graph")
        for buffer in model.buffers:
            if buffer.offset > 1:  # behind the flatbuffer, as in files beyond 2 GB
                buffer.data = np.frombuffer(graph, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0
    except Exception as error:  # flatbuffers checks nothing: anything may come of a damaged file
        raise ConversionError(f"the TFLite graph is damaged: {one_line(error, 300)}") from error
    return model


def pack(model: Any) -> bytes:
    """Write a `ModelT` as a TFLite graph, equal vectors once.

    Each channel has a zero point of 8 bytes, which is 0 for weights: of a small int8 network they
    are a fifth of the file.
    """
    import flatbuffers

    class Sharing(flatbuffers.Builder):
        def __init__(self) -> None:
            super().__init__(1 << 16)
            self._written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: NDArray[Any]) -> int:  # noqa: N802 - the builder's name
            key = (x.dtype.str, x.tobytes())
            if key not in self._written:
                self._written[key] = super().CreateNumpyVector(x)
            return self._written[key]

    builder = Sharing()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def compact(graph: bytes) -> bytes:
    """Write a TFLite graph anew, equal vectors once; see `parse` for what it raises."""
    return pack(parse(graph))


def named_ends(graph: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Call the inputs and outputs of a TFLite graph so, in their order; see `parse` for errors.

    Engines know them by the names of their tensors, which TensorFlow makes of its own
    (``StatefulPartitionedCall:1``). Signatures, which name them once more, are left out.
    """
    model = parse(graph)
    subgraph = model.subgraphs[0]
    for indices, names in ((subgraph.inputs, inputs), (subgraph.outputs, outputs)):
        for index, name in zip(indices, names, strict=True):
            subgraph.tensors[index].name = name.encode()
    model.signatureDefs = []
    return pack(model)


def operators(subgraph: Any) -> list[Any]:
    """The operators of a subgraph, in the order in which they run."""
    return subgraph.operators or []  # None for the body of a loop that does nothing


def builtin(code: Any) -> int:
    """The number of an operator code, one of the schema's `BuiltinOperator`."""
    # Numbers beyond 127 stand in the newer field alone.
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def add_tensor(
    model: Any, subgraph: Any, name: str, shape: Any, dtype: int, values: NDArray[Any] | None = None
) -> int:
    """Add a tensor, constant if values are given, and return its number in the subgraph."""
    types = schema()
    tensor = types.TensorT()
    tensor.name, tensor.shape, tensor.type = name.encode(), [int(size) for size in shape], dtype
    tensor.buffer = 0  # the empty one, of what is computed
    if values is not None:
        buffer = types.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        tensor.buffer = len(model.buffers)
        model.buffers.append(buffer)
    subgraph.tensors.append(tensor)
    return len(subgraph.tensors) - 1


def constant(model: Any, tensor: Any) -> NDArray[Any] | None:
    """The values of a tensor of floats that is stored in the file; None of any other."""
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type != schema().TensorType.FLOAT32:
        return None
    return np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)


def new_operator(
    model: Any, code: int, inputs: list[int], outputs: list[int], *, version: int = 1
) -> Any:
    """Make a builtin operator without options, to be put among those of a subgraph."""
    types = schema()
    operator = types.OperatorT()
    operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    known = [
        index
        for index, each in enumerate(model.operatorCodes)
        if not each.customCode and builtin(each) == code
    ]
    if known:
        operator.opcodeIndex = known[0]
        model.operatorCodes[known[0]].version = max(version, model.operatorCodes[known[0]].version)
    else:
        added = types.OperatorCodeT()
        added.builtinCode, added.deprecatedBuiltinCode = code, min(code, 127)
        added.version = version
        model.operatorCodes.append(added)
        operator.opcodeIndex = len(model.operatorCodes) - 1
    return operator
