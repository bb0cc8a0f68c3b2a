"""Smaller forms of an ONNX file, of standard operators alone.

- ``fp16``: weights are stored in half precision and cast back before use. A CPU computes in single
  precision anyhow, so that only the file gets smaller.
- ``dynamic``: weights are stored in 8 bits, a scale for each channel, and multiplied out before
  use. ONNX Runtime does that once, when it loads the file, so that speed is that of fp32. Its own
  dynamic quantization, which computes in 8 bits, costs agreement (a convolution has one scale for
  all its input channels, whatever they are), is not faster, and leaves GRU and LSTM as they are.
- ``int8``: activations are in 8 bits too (QDQ), with ranges from calibration windows; recurrent
  layers and softmax stay in float. Layers near the input see features of different ranges under
  one scale and are the first that lose accuracy: as few of the leading ones as agreement on the
  calibration windows asks for stay as in ``dynamic``, and so does the last. Not always faster than
  fp32.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_genre.choices import QUANTIZATIONS
from edge_genre.convert.onnx.graph import input_values
from edge_genre.convert.quantization.mixed_precision import (
    TRIED,
    Edges,
    agrees,
    at_most,
    fewest,
)
from edge_genre.convert.quantization.rounding import SMALL, in_half, in_steps
from edge_genre.convert.tensors import Arrays, written
from edge_genre.errors import ConversionError, ModelError, one_line
from edge_genre.model.container import kind_of, split

# With weights of a bit less, two products fit into the 16 bits that processors without VNNI add
# them up in; with all 8 bits they overflow there, and the file gives nonsense.
_REDUCED_STEPS = 64
_IN_8_BITS = ("Conv", "Gemm", "MatMul")
# These take and give the same 8 bits, where what is before them gives any.
_PASSING_ON = ("Relu", "MaxPool")
_RANGED = 128  # windows at most, for ranges

_Smaller = Callable[[str, NDArray[np.float32]], tuple[list[TensorProto], list[onnx.NodeProto]]]


def quantize_onnx(
    content: bytes,
    quantize: str,
    calibration: Arrays | None = None,
    *,
    edges: Edges | None = None,
) -> bytes:
    """Make a smaller form of an fp32 ONNX file.

    Parameters
    ----------
    content : the file
    quantize : ``"fp32"`` (as it is), ``"fp16"``, ``"dynamic"`` or ``"int8"``, see above
    calibration : for int8, and only for it: windows as the model sees them, for each input of the
        graph in its order, float32 [shape=(n, ...)], without a batch axis
    edges : of labels that each hold or not, from which outputs on they do

    Returns
    -------
    The new file's bytes, without edge-genre's texts

    Raises
    ------
    ConversionError
        The file cannot be quantized, or windows are missing or unexpected.
    """
    if quantize not in QUANTIZATIONS:
        expected = ", ".join(QUANTIZATIONS)
        raise ConversionError(f"got ONNX quantization {quantize!r}; expected one of {expected}")
    if quantize != "int8" and calibration is not None:
        raise ConversionError(f"ONNX {quantize} takes no calibration windows")
    try:
        graph, _ = split(content)
        if kind_of(graph) != "onnx":
            raise ConversionError("got a TFLite file to quantize, expected ONNX")
        model = onnx.load_from_string(graph)
        for each in onnx_graphs(model.graph):
            _constants_to_initializers(each)
        if quantize == "int8":
            model = _int8(model, _checked(calibration, model), edges)
        elif quantize == "dynamic":
            _store(model, _eight_bits(model))
        elif quantize == "fp16":
            _store(model, _half(model))
        if quantize != "fp32":
            onnx.checker.check_model(model, full_check=True)
    except ModelError as error:
        raise ConversionError(f"no ONNX file to quantize: {error}") from error
    except ConversionError:
        raise
    except Exception as error:  # onnx and its quantizer raise many kinds, without a common base
        raise ConversionError(
            f"the ONNX file cannot be quantized to {quantize}: {one_line(error, 300)}"
        ) from error
    return graph if quantize == "fp32" else bytes(model.SerializeToString())


def _checked(calibration: Arrays | None, model: onnx.ModelProto) -> Arrays:
    shapes = [
        [size.dim_value or None for size in value.type.tensor_type.shape.dim][1:]
        for value in input_values(model.graph)
    ]
    given = () if calibration is None else calibration
    if len(given) != len(shapes) or not all(map(_fits, given, shapes)):
        wanted = " and ".join(f"n x {written(shape)}" for shape in shapes)
        found = " and ".join(written(each.shape) for each in given) or "none"
        raise ConversionError(f"ONNX int8 needs calibration windows of shape {wanted}; got {found}")
    if not all(np.isfinite(each).all() for each in given):
        raise ConversionError("the calibration windows hold NaN or infinity: remove those windows")
    return [np.asarray(each, np.float32) for each in given]


def _fits(windows: NDArray[np.float32], shape: Sequence[int | None]) -> bool:
    sizes = windows.shape[1:]
    return bool(len(windows)) and len(sizes) == len(shape) and all(map(_same, shape, sizes))


def _same(wanted: int | None, found: int) -> bool:
    return wanted in (None, found)


def _int8(model: onnx.ModelProto, calibration: Arrays, edges: Edges | None) -> onnx.ModelProto:
    """Quantize all layers but the last and as few leading ones as agreement asks for."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder:
        exact, prepared = Path(folder, "exact.onnx"), Path(folder, "prepared.onnx")
        # By way of a file: handed the model itself, the preparation loses its weights.
        onnx.save(model, exact)
        # Symbolic shapes are for transformers, and would need one more package.
        quant_pre_process(exact, prepared, skip_symbolic_shape=True)
        model = onnx.load(prepared)
        # The last one stays: its few outputs decide, and 256 steps are coarse for them.
        layers = [node.name for node in model.graph.node if node.op_type in _IN_8_BITS]
        layers = layers[:-1] or layers
        tried, ranged = at_most(calibration, TRIED), at_most(calibration, _RANGED)
        expected = _outputs(model, tried)

        def attempt(leading: int) -> onnx.ModelProto:
            copy = onnx.ModelProto()
            copy.CopyFrom(model)
            copy = _activations_in_8_bits(copy, layers[leading:], ranged, Path(folder))
            return _store(copy, _eight_bits(copy))

        def is_like(candidate: onnx.ModelProto) -> bool:
            return agrees(expected, _outputs(candidate, tried), edges)

        # One layer computes in 8 bits, whether that agrees or not: else it would be no int8.
        return fewest(attempt, is_like, max(len(layers) - 1, 0))


def _activations_in_8_bits(
    model: onnx.ModelProto,
    layers: Sequence[str],
    calibration: Arrays,
    folder: Path,
) -> onnx.ModelProto:
    from onnxruntime import quantization

    _store(model, _rounded(model), within=layers)
    exact, quantized = folder / "rounded.onnx", folder / "quantized.onnx"
    onnx.save(model, exact)
    with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress there
        quantization.quantize_static(
            exact,
            quantized,
            _reader(model, calibration),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=[*_IN_8_BITS, *_PASSING_ON],
            nodes_to_quantize=_with_those_behind(model, layers),
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            # A single loud sample would make the steps coarse for all others.
            calibrate_method=quantization.CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": 99.99},
        )
    return onnx.load(quantized)


def _with_those_behind(model: onnx.ModelProto, layers: Sequence[str]) -> list[str]:
    """Names of the layers and of the ReLUs and poolings that read nothing else.

    A layer's output in 8 bits then has its steps where the ReLU leaves something.
    """
    chosen, given = set(layers), set[str]()
    for node in model.graph.node:
        if node.op_type in _PASSING_ON and node.input[0] in given:
            chosen.add(node.name)
        if node.name in chosen:
            given.update(node.output)
    return sorted(chosen)


def _reader(model: onnx.ModelProto, calibration: Arrays) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._windows = _given(model, calibration)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._windows, None)

    return Reader()


def _outputs(model: onnx.ModelProto, windows: Arrays) -> NDArray[np.float32]:
    """What it gives for each window."""
    from onnxruntime import InferenceSession

    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = [session.run(None, given)[0].ravel() for given in _given(model, windows)]
    return np.asarray(rows, np.float32)


def _given(model: onnx.ModelProto, windows: Arrays) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Windows one by one, by the names of the graph's inputs."""
    names = [value.name for value in input_values(model.graph)]
    for each in zip(*windows, strict=True):
        yield {name: window[np.newaxis] for name, window in zip(names, each, strict=True)}


def _store(
    model: onnx.ModelProto, smaller: _Smaller, *, within: Sequence[str] | None = None
) -> onnx.ModelProto:
    """Put another form in the place of each large float weight, and what undoes it behind.

    Parameters
    ----------
    model : changed in place
    smaller : from name and values to new tensors and to the nodes that make the old one of them;
        no tensors, to leave it as it is
    within : weights of the nodes of these names only
    """
    chosen = None
    if within is not None:
        nodes = (node for graph in onnx_graphs(model.graph) for node in graph.node)
        chosen = {name for node in nodes if node.name in within for name in node.input}
    for graph in onnx_graphs(model.graph):
        kept, undo = [], []
        for tensor in graph.initializer:
            large = tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= SMALL
            tensors: list[TensorProto] = []
            if large and (chosen is None or tensor.name in chosen):
                tensors, operators = smaller(tensor.name, numpy_helper.to_array(tensor))
                undo += operators
            kept += tensors or [tensor]
        made = {name for node in undo for name in node.output}
        replaced: tuple[tuple[Any, list[Any]], ...] = (
            (graph.initializer, kept),
            (graph.node, [*undo, *graph.node]),
            # Old files repeat their weights among the inputs.
            (graph.input, [value for value in graph.input if value.name not in made]),
        )
        for field, values in replaced:
            del field[:]
            field.extend(values)
    return model


def onnx_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and those inside of it, the bodies of its loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from onnx_graphs(attribute.g)


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    nodes = []
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = node.attribute[0].t
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _half(model: onnx.ModelProto) -> _Smaller:
    kernels = _kernels(model)

    def smaller(
        name: str, values: NDArray[np.float32]
    ) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
        halves = in_half(values, kernel=name in kernels)
        cast = helper.make_node("Cast", [f"{name}_fp16"], [name], to=TensorProto.FLOAT)
        return [numpy_helper.from_array(halves, f"{name}_fp16")], [cast]

    return smaller


def _eight_bits(model: onnx.ModelProto) -> _Smaller:
    """8 bits and a scale for each channel; weights of which no channels are known stay."""
    axes, kernels = _channel_axes(model), _kernels(model)

    def smaller(
        name: str, values: NDArray[np.float32]
    ) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
        if name not in axes:
            return [], []
        steps, scale = in_steps(values, axes[name], kernel=name in kernels)
        tensors = [
            numpy_helper.from_array(steps.astype(np.int8), f"{name}_int8"),
            numpy_helper.from_array(scale, f"{name}_scale"),
        ]
        # Not DequantizeLinear: ONNX Runtime would leave that in place, and repeat it every time.
        nodes = [
            helper.make_node("Cast", [f"{name}_int8"], [f"{name}_steps"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_steps", f"{name}_scale"], [name]),
        ]
        return tensors, nodes

    return smaller


def _rounded(model: onnx.ModelProto) -> _Smaller:
    """Values that ONNX Runtime's quantizer will find on its own grid and not round again."""
    axes, kernels = _channel_axes(model), _kernels(model)

    def smaller(
        name: str, values: NDArray[np.float32]
    ) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
        if name not in axes:
            return [], []
        steps, scale = in_steps(values, axes[name], _REDUCED_STEPS, kernel=name in kernels)
        return [numpy_helper.from_array(steps * scale, name)], []

    return smaller


def _kernels(model: onnx.ModelProto) -> set[str]:
    """The weights of convolutions."""
    nodes = (node for graph in onnx_graphs(model.graph) for node in graph.node)
    return {node.input[1] for node in nodes if node.op_type in ("Conv", "ConvTranspose")}


def _channel_axes(model: onnx.ModelProto) -> dict[str, int]:
    """Along which axis of a weight its output channels are, by its name."""
    axes = {}
    ranks = {
        tensor.name: len(tensor.dims)
        for graph in onnx_graphs(model.graph)
        for tensor in graph.initializer
    }
    for node in (node for graph in onnx_graphs(model.graph) for node in graph.node):
        flags = {attribute.name: attribute.i for attribute in node.attribute}
        for index, name in enumerate(node.input[:3]):
            axis = {
                ("Conv", 1): 0,
                ("ConvTranspose", 1): 1,
                ("Gemm", 1): 0 if flags.get("transB") else 1,
                ("MatMul", 1): ranks.get(name, 0) - 1,
                # Directions, gates x units, inputs.
                **{(recurrent, i): 1 for recurrent in ("GRU", "LSTM", "RNN") for i in (1, 2)},
            }.get((node.op_type, index))
            if axis is not None and name in ranks:
                axes[name] = axis
    return axes
