"""Keras models and TensorFlow functions as TFLite files."""

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from edge_genre.choices import QUANTIZATIONS, TARGETS
from edge_genre.convert.quantization.mixed_precision import Edges
from edge_genre.convert.tensors import INPUT, OUTPUT, Arrays
from edge_genre.convert.tflite import quantize as tflite_quantize
from edge_genre.convert.tflite.flatbuffer import compact, named_ends
from edge_genre.convert.tflite.keras_models import called, ends, require_convertible
from edge_genre.convert.tflite.recurrent import MAX_UNROLLED_STEPS
from edge_genre.convert.tflite.written_out import write_out_recurrent
from edge_genre.errors import ConversionError, one_line

# What makes probabilities of a model's answer.
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "softmax": tf.nn.softmax,
    "sigmoid": tf.math.sigmoid,
    "exponential": tf.math.exp,
}


def keras_to_tflite(
    model: keras.Model,
    *,
    outputs: Sequence[str] | None = None,
    quantize: str = "fp32",
    calibration: Arrays | None = None,
    edges: Edges | None = None,
    target: str = "litert",
    integer_io: bool = False,
) -> bytes:
    """Convert a Keras model to a TFLite file with built-in operators only.

    The file takes one window at a time, float32 of shape (1, ...), and gives float32, whatever
    the quantization inside. Of several inputs or outputs its tensors have the names of the
    model's, in the model's order. Recurrent layers of up to 64 steps are written out (see
    ``written_out``); longer ones become a WHILE loop, except for int8 and for TFLite Micro, where
    every length is written out and long ones make a large file.

    Parameters
    ----------
    model : built functional or sequential model; it is left as it was.
    outputs : names of its outputs; its own if left out.
    quantize : "fp32"; "fp16", weights stored in half precision; "dynamic", weights in 8 bits
        and activations quantized as they come; "int8", weights and activations in 8 bits.
    calibration : windows as the model sees them on the device, float32 of shape (windows, ...)
        for each input; some hundred of all genres are enough. int8 needs them: their range becomes
        that of the activations. Where they show that activations do not bear 8 bits, layers
        compute in float with weights in 8 bits: as few leading ones as possible of int8, all of
        dynamic, which without windows is taken to bear them. Not for fp32 and fp16.
    edges : of labels that each hold or not, from which outputs of the file on they do; without
        them, the greatest output is the answer.
    target : the engine that is to run the file: "litert"; "tflite-runtime", its last release,
        2.14; "micro", TFLite Micro, which takes fp32 and int8 only.
    integer_io : int8 input and output tensors, for int8 only.

    Returns
    -------
    The file's bytes.

    Raises
    ------
    ConversionError
        the model, or the combination of model and options, cannot be converted.
    """
    require_convertible(model)
    require_options(quantize, target, integer_io=integer_io)
    everything = must_write_out(quantize, target)
    written_out = write_out_recurrent(model, None if everything else MAX_UNROLLED_STEPS)
    inputs, given = ends(model, outputs)
    return function_to_tflite(
        tf.function(
            lambda *features: called(written_out, *features),
            input_signature=[
                # A free batch axis brings in operators that TFLite has not.
                tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name=name)
                for tensor, name in zip(model.inputs, inputs, strict=True)
            ],
            # There is no Python control flow to translate, and autograph would rewrite errors.
            autograph=False,
        ),
        name=model.name,
        inputs=inputs,
        outputs=given,
        quantize=quantize,
        calibration=calibration,
        edges=edges,
        target=target,
        integer_io=integer_io,
    )


def function_to_tflite(
    function: Any,
    *,
    name: str,
    inputs: Sequence[str] = (INPUT,),
    outputs: Sequence[str] = (OUTPUT,),
    quantize: str = "fp32",
    calibration: Arrays | None = None,
    edges: Edges | None = None,
    target: str = "litert",
    integer_io: bool = False,
    activation: str | None = None,
) -> bytes:
    """Convert a TensorFlow function to a TFLite file with built-in operators only.

    Parameters
    ----------
    function : ``tf.function`` with an input signature, or a concrete function, from inputs of
        shape (1, ...), float32, to outputs. Its variables become constants.
    name : of the model, for messages.
    inputs, outputs : the names of its arguments and of what it gives, in their order; where there
        is more than one of either, the file's tensors are called so.
    activation : one of ``ACTIVATIONS``, applied to the first output, so that 8 bits have all
        their steps between 0 and 1. A softmax makes probabilities of log-probabilities, too.
    quantize, calibration, edges, target, integer_io : see ``keras_to_tflite``.

    Raises
    ------
    ConversionError
        the function, or the combination of function and options, cannot be converted.
    """
    require_options(quantize, target, integer_io=integer_io)
    concrete = _frozen(function, name, len(inputs), activation)
    windows = _checked_calibration(concrete.inputs, quantize, calibration)
    if must_write_out(quantize, target) and _has_loop(concrete):
        # The calibrator does not survive a loop: it ends the process with a segmentation fault.
        raise ConversionError(
            f"model {name!r} holds a loop that cannot be written out, which "
            + ("int8 cannot calibrate" if quantize == "int8" else "TFLite Micro cannot run")
            + ": use quantize='dynamic', or GRU, LSTM or SimpleRNN layers"
        )

    def converted(quantize: str, *, only_calibrated: bool = False) -> bytes:
        # Options leak from one conversion to the next: a fresh converter each time.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
        _set_options(converter, quantize, target, windows, integer_io=integer_io)
        converter._experimental_calibrate_only = only_calibrated
        with _quiet():
            graph = tflite_quantize.without_stored_zeros(bytes(converter.convert()))
        return named_ends(graph, inputs, outputs) if len(inputs) + len(outputs) > 2 else graph

    try:
        if quantize == "fp16":
            return tflite_quantize.weights_in_half(converted("fp32"))
        if quantize == "int8" and target != "micro" and not integer_io:
            calibrated = converted(quantize, only_calibrated=True)
            with _quiet():
                return tflite_quantize.int8(
                    calibrated, windows, edges, per_channel_dense=target == "litert"
                )
        graph = converted(quantize)
        if quantize == "dynamic" and len(windows[0]):
            graph = tflite_quantize.dynamic(graph, converted("fp32"), windows, edges)
        return compact(graph)
    except ConversionError:
        raise
    except Exception as error:  # TensorFlow raises many kinds, without a common base
        raise ConversionError(
            f"model {name!r} does not convert to TFLite {quantize} with built-in operators: "
            f"{one_line(error, 300)}"
        ) from error


def _set_options(
    converter: Any, quantize: str, target: str, windows: Arrays, *, integer_io: bool
) -> None:
    if quantize != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "dynamic" or target != "litert":
        # tflite-runtime 2.14, the engine for 32-bit Arm, does not load dense layers quantized
        # per channel in this mode. Per tensor the file is smaller, and parity no worse.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if quantize == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: (
            [window[np.newaxis] for window in each] for each in zip(*windows, strict=True)
        )
        if integer_io:
            converter.inference_input_type = converter.inference_output_type = tf.int8


def require_options(quantize: str, target: str, *, integer_io: bool) -> None:
    """Refuse options, and combinations of them, that no file can have.

    Raises
    ------
    ConversionError
        one is unknown, or they exclude each other.
    """
    for value, allowed, what in (
        (quantize, QUANTIZATIONS, "quantization"),
        (target, TARGETS, "target"),
    ):
        if value not in allowed:
            raise ConversionError(f"got {what} {value!r}; expected one of {', '.join(allowed)}")
    if integer_io and quantize != "int8":
        raise ConversionError(f"integer inputs and outputs go with int8 only, not {quantize}")
    if target == "micro" and quantize not in ("fp32", "int8"):
        raise ConversionError(f"TFLite Micro runs fp32 and int8 files, not {quantize} ones")


def must_write_out(quantize: str, target: str) -> bool:
    """Whether recurrent layers of any length have to be written out.

    int8 cannot be calibrated over a loop, and TFLite Micro hangs in one.
    """
    return quantize == "int8" or target == "micro"


def _frozen(function: Any, name: str, n_inputs: int, activation: str | None) -> Any:
    """The function traced, with its variables as constants."""
    try:
        if not hasattr(function, "structured_outputs"):
            function = function.get_concrete_function()
        if activation is not None:
            specs = [
                tf.TensorSpec(tensor.shape, tf.float32, name=tensor.op.name)
                for tensor in function.inputs[:n_inputs]
            ]
            function = tf.function(_activated(function, ACTIVATIONS[activation]))
            function = function.get_concrete_function(*specs)
        # Unfrozen variables convert, and then fail in the interpreter or give NaN.
        concrete = convert_variables_to_constants_v2(function, lower_control_flow=False)
    except ConversionError:
        raise
    except Exception as error:
        raise ConversionError(f"model {name!r} cannot be traced: {one_line(error, 300)}") from error
    return concrete


def _activated(function: Any, activation: Callable[[Any], Any]) -> Callable[..., list[Any]]:
    """The same function with an activation behind its first output."""

    def call(*features: Any) -> list[Any]:
        first, *others = tf.nest.flatten(function(*features))
        return [activation(first), *others]

    return call


def _checked_calibration(
    inputs: Sequence[Any], quantize: str, calibration: Arrays | None
) -> list[np.ndarray]:
    """The calibration windows as float32: int8 needs them, dynamic may have them."""
    shapes = [tuple(tensor.shape[1:]) for tensor in inputs]
    if quantize in ("fp32", "fp16") and calibration is not None:
        raise ConversionError(f"quantization {quantize!r} takes no calibration windows")
    if quantize != "int8" and calibration is None:
        return [np.empty((0, *shape), np.float32) for shape in shapes]
    given = () if calibration is None else calibration
    if [each.shape[1:] for each in given] != shapes or not all(map(len, given)):
        expected = " and ".join(f"(windows, {', '.join(map(str, shape))})" for shape in shapes)
        found = " and ".join(f"shape {each.shape}" for each in given) or "none"
        raise ConversionError(
            f"{quantize} needs calibration windows of shape {expected}; got {found}"
        )
    if not all(np.isfinite(each).all() for each in given):
        raise ConversionError("the calibration windows hold NaN or infinity: remove those windows")
    return [each.astype(np.float32) for each in given]


def _has_loop(concrete: Any) -> bool:
    """Whether TensorFlow's graph has a while loop, in functions too."""
    graph = concrete.graph.as_graph_def()
    bodies = chain([graph.node], (body.node_def for body in graph.library.function))
    return any(node.op in ("While", "StatelessWhile") for node in chain.from_iterable(bodies))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep TensorFlow's reports from stdout, which belongs to the caller's results."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
