"""Keras models as TFLite files."""

import contextlib
import io
from itertools import chain
from textwrap import shorten
from typing import Literal, get_args

import keras
import numpy as np
import tensorflow as tf

from edge_genre.errors import ConversionError

from .gru import MAX_UNROLLED_STEPS, unroll_short_grus
from .keras_models import require_convertible

Quantization = Literal["fp32", "fp16", "dynamic", "int8"]


def keras_to_tflite(
    model: keras.Model,
    *,
    quantize: Quantization = "fp32",
    calibration: np.ndarray | None = None,
) -> bytes:
    """Convert a Keras model to a TFLite file with built-in operators only.

    The file takes one window at a time, float32 of shape (1, ...), and gives float32, whatever
    the quantization inside. GRUs of up to 64 steps are unrolled (see ``gru``); longer ones become
    a WHILE loop.

    Parameters
    ----------
    model : built functional or sequential model with one input and one output; it is left
        as it was.
    quantize : "fp32"; "fp16", weights stored in half precision; "dynamic", weights in 8 bits
        and activations quantized as they come; "int8", weights and activations in 8 bits.
    calibration : for int8, and only for it: windows as the model sees them on the device,
        float32 of shape (windows, ...); their range becomes that of the activations. Some
        hundred of all genres are enough.

    Returns
    -------
    The file's bytes.

    Raises
    ------
    ConversionError
        the model, or the combination of model, quantization and calibration,
        cannot be converted.
    """
    require_convertible(model)
    windows = _checked_calibration(model, quantize, calibration)
    single = _for_one_window(unroll_short_grus(model))
    if quantize == "int8" and _has_loop(single):
        # The calibrator does not survive a loop: it ends the process with a segmentation fault.
        raise ConversionError(
            f"model {model.name!r} has a recurrent layer that stays a loop (only standard GRUs of "
            f"up to {MAX_UNROLLED_STEPS} steps are unrolled), which int8 cannot calibrate: use "
            "quantize='dynamic'"
        )
    # Options leak from one conversion to the next: a fresh converter each time.
    converter = tf.lite.TFLiteConverter.from_keras_model(single)
    if quantize != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "dynamic":
        # tflite-runtime 2.14, the engine for 32-bit Arm, does not load dense layers quantized
        # per channel in this mode. Per tensor the file is smaller, and parity no worse.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if quantize == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([window[np.newaxis]] for window in windows)
    try:
        # Keras reports each export on stdout, which belongs to the caller's results.
        with contextlib.redirect_stdout(io.StringIO()):
            return bytes(converter.convert())
    except Exception as error:  # TensorFlow raises many kinds, without a common base
        raise ConversionError(
            f"model {model.name!r} does not convert to TFLite {quantize} with built-in operators: "
            f"{shorten(str(error), 300)}"
        ) from error


def _checked_calibration(
    model: keras.Model, quantize: Quantization, calibration: np.ndarray | None
) -> np.ndarray:
    """The calibration windows as float32, none unless int8 asks for them."""
    if quantize not in get_args(Quantization):
        expected = ", ".join(get_args(Quantization))
        raise ConversionError(f"got quantization {quantize!r}; expected one of {expected}")
    shape = tuple(model.inputs[0].shape[1:])
    if quantize != "int8":
        if calibration is not None:
            raise ConversionError(f"quantization {quantize!r} takes no calibration windows")
        return np.empty((0, *shape), np.float32)
    if calibration is None or len(calibration) == 0 or calibration.shape[1:] != shape:
        found = "none" if calibration is None else f"shape {calibration.shape}"
        raise ConversionError(
            f"int8 needs calibration windows of shape (windows, {', '.join(map(str, shape))}); "
            f"got {found}"
        )
    if not np.isfinite(calibration).all():
        raise ConversionError("the calibration windows hold NaN or infinity: remove those windows")
    return calibration.astype(np.float32)


def _for_one_window(model: keras.Model) -> keras.Model:
    """The same model with a batch axis of 1: a free one brings in operators TFLite has not."""
    window = keras.Input(model.inputs[0].shape[1:], batch_size=1, dtype=model.inputs[0].dtype)
    return keras.Model(window, model(window), name=model.name)


def _has_loop(model: keras.Model) -> bool:
    """Whether TensorFlow's graph of the model has a while loop, in functions too."""
    spec = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
    function = tf.function(lambda window: model(window, training=False))
    graph = function.get_concrete_function(spec).graph.as_graph_def()
    bodies = chain([graph.node], (body.node_def for body in graph.library.function))
    return any(node.op in ("While", "StatelessWhile") for node in chain.from_iterable(bodies))
