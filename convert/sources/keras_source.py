"""Keras models: ``.keras`` archives, and the HDF5 files that came before them."""

from __future__ import annotations

import functools
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

import edge_genre.models.networks.songnet  # noqa: F401 - registers SongNet's layers
from edge_genre.convert.batches import Outputs, in_batches
from edge_genre.convert.outputs.activations import of_function
from edge_genre.convert.sources.python_file import classes, run_file
from edge_genre.convert.sources.versions import versions
from edge_genre.convert.tensors import TensorSpec, with_lengths
from edge_genre.convert.tflite.keras_models import (
    called,
    copy_model,
    input_names,
    output_names,
    packed,
    require_convertible,
)
from edge_genre.errors import ConversionError, one_line
from edge_genre.models.networks.published_songnet import PublishedAttention

# What SongNet's attention is called where it was trained.
_ATTENTION = "Attention AttentionLayer AttentionPooling TemporalAttention SimpleAttention".split()
# What every layer's configuration has; the attention has nothing else.
_COMMON = {"name", "trainable", "dtype", "autocast", "activity_regularizer"}
# Options that Keras 2 wrote and Keras 3 does not know, with the value that changes nothing.
_GONE = {"time_major": False, "groups": 1}
_HAD_GROUPS = {"DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"}
# What makes probabilities of a model's answer.
_ACTIVATIONS = {
    "softmax": keras.layers.Softmax,
    "sigmoid": functools.partial(keras.layers.Activation, "sigmoid"),
    "exponential": functools.partial(keras.layers.Activation, "exponential"),
}

Config = dict[str, Any]


class KerasSource:
    """A Keras model for inference; see `edge_genre.convert.sources.TrainedModel`.

    Parameters
    ----------
    path : the file
    kind : ``"keras"`` or ``"h5"``, which of the two formats it has
    custom : a Python file with the model's own layers
    inputs : fix the lengths that the model leaves free
    outputs : those that are wanted
    """

    quantization = None
    info = None

    def __init__(
        self,
        path: Path,
        *,
        kind: str,
        custom: str | Path | None,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[str],
    ) -> None:
        self.kind = kind
        own = {} if custom is None else _layers_of(custom)
        # Keras goes by the suffix.
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, f"model.{kind}")
            shutil.copyfile(path, copy)
            config = _h5_config(copy) if kind == "h5" else _archive_config(copy)
            _refuse_code(config)
            model = _load(copy, _with_attention(config, own))
        if getattr(model, "inputs", None):
            found = _inputs(model)
            self.inputs = with_lengths(found, inputs)
            if self.inputs != found:
                model = _rebuilt(model, self.inputs)
        if not any(None in each.shape for each in _inputs(model)):
            require_convertible(model)
        self._outputs = tuple(outputs) or output_names(model)
        self._model = _giving(model, self._outputs)
        self._batch = model.inputs[0].shape[0]
        self.parameters = int(model.count_params())
        self.versions = versions("keras", "tensorflow", "tf2onnx", "onnx")

    def predict(self, *windows: NDArray[np.float32]) -> Outputs:
        return in_batches(self._run, windows, inputs=self.inputs, batch=self._batch)

    def activation(self) -> str | None:
        specs = [
            tf.TensorSpec((1, *(size or 1 for size in tensor.shape[1:])), tensor.dtype)
            for tensor in self._model.inputs
        ]
        function = tf.function(lambda *tensors: called(self._model, *tensors), autograph=False)
        return of_function(function.get_concrete_function(*specs))

    def tflite(self, *, activation: str | None = None, **options: Any) -> bytes:
        from edge_genre.convert.tflite.writer import keras_to_tflite

        model = self._model
        if activation is not None:
            first, *others = model.outputs
            output = _ACTIVATIONS[activation](name="probabilities")(first)
            model = keras.Model(model.inputs, [output, *others], name=model.name)
        return keras_to_tflite(model, outputs=self._outputs, **options)

    def onnx(self) -> bytes:
        from edge_genre.convert.onnx.writer import keras_to_onnx

        return keras_to_onnx(self._model, outputs=self._outputs)

    def _run(self, *windows: NDArray[np.float32]) -> dict[str, Any]:
        found = keras.tree.flatten(self._model.predict_on_batch(packed(self._model, windows)))
        return dict(zip(self._outputs, found, strict=True))


def _layers_of(custom: str | Path) -> dict[str, type]:
    found = classes(run_file(custom), keras.layers.Layer)
    if not found:
        raise ConversionError(f"{custom} has no subclass of keras.layers.Layer")
    return found


def _archive_config(path: Path) -> Config:
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    except ValueError as error:
        raise ConversionError(f"its config.json is not JSON: {one_line(error, 300)}") from None


def _h5_config(path: Path) -> Config:
    """The configuration in an HDF5 file, from which options that Keras 3 refuses are taken out."""
    try:
        with h5py.File(path, "r+") as file:
            text = file.attrs.get("model_config")
            if text is None:
                what = "weights only" if _has_datasets(file) else "no Keras model"
                raise ConversionError(
                    f"is an HDF5 file with {what}: save the whole model with model.save"
                )
            config = json.loads(text)
            if _modernise(config):
                file.attrs["model_config"] = json.dumps(config)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise ConversionError(f"is a damaged HDF5 file: {one_line(error, 300)}") from None
    return config


def _has_datasets(file: h5py.File) -> bool:
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if hasattr(item, "dtype") else None)
    return bool(found)


def _modernise(config: Config) -> bool:
    changed = False
    for node in _objects(config):
        class_name, layer = node["class_name"], node["config"]
        for option, value in _GONE.items():
            if option == "groups" and class_name not in _HAD_GROUPS:
                continue
            if layer.get(option, ...) == value:
                del layer[option]
                changed = True
    return changed


def _objects(config: Any) -> Iterator[Config]:
    """All layers and other objects, nested ones included: ``class_name``, ``config`` and more."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str) and isinstance(config.get("config"), dict):
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def _refuse_code(config: Config) -> None:
    """Keras refuses code in archives; here it is refused in both formats, and said in one way."""
    for node in _objects(config):
        class_name, layer = node["class_name"], node["config"]
        # A function of one's own is there by its name; a Python lambda as compiled code.
        if class_name in ("Lambda", "__lambda__") and not isinstance(layer.get("function"), str):
            raise ConversionError(
                f"layer {layer.get('name', class_name)!r} is a Lambda with Python code in it, "
                "which is not run: put a layer of a class of its own there, and give its file "
                "with --custom"
            )


def _with_attention(config: Config, own: dict[str, type]) -> dict[str, type]:
    """The layers that the file may name: those given, and SongNet's attention if it is used."""
    layers = dict(own)
    for node in _objects(config):
        # A decorated class has its package in front, as in Custom>Attention.
        names = {node["class_name"], node.get("registered_name") or node["class_name"]}
        # Keras has another layer of the name Attention, whose configuration is longer.
        if node["config"].keys() <= _COMMON and any(_bare(name) in _ATTENTION for name in names):
            for name in names:
                # Archives keep a layer's weights under the name of its class.
                layers.setdefault(name, type(_bare(name), (PublishedAttention,), {}))
    return layers


def _bare(name: str) -> str:
    return name.rpartition(">")[2]


def _load(path: Path, custom: dict[str, type]) -> keras.Model:
    try:
        return keras.models.load_model(path, custom_objects=custom, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds, without a common base
        text = str(error)
        unknown = re.search(r"locate class '(\w+)'|Unknown (?:layer|object)[^']*'(\w+)'", text)
        if unknown:
            raise ConversionError(
                f"has a layer of class {unknown[1] or unknown[2]!r}, which is not Keras's own: "
                "give the Python file that defines it with --custom FILE"
            ) from error
        hint = ""
        if any(issubclass(layer, PublishedAttention) for layer in custom.values()):
            hint = "; its attention was read as SongNet's: if it is another, give it with --custom"
        raise ConversionError(f"Keras cannot load it: {one_line(error, 300)}{hint}") from error


def _inputs(model: keras.Model) -> tuple[TensorSpec, ...]:
    """What a model takes; nothing where it is not built."""
    tensors = getattr(model, "inputs", None) or []
    return tuple(
        TensorSpec(name, tuple(tensor.shape[1:]))
        for name, tensor in zip(input_names(model) if tensors else (), tensors, strict=True)
    )


def _giving(model: keras.Model, outputs: Sequence[str]) -> keras.Model:
    """The part of a model that makes some of its outputs."""
    tensors = dict(zip(output_names(model), model.outputs, strict=True))
    if tuple(tensors) == tuple(outputs):
        return model
    return keras.Model(model.inputs, [tensors[name] for name in outputs], name=model.name)


def _rebuilt(model: keras.Model, inputs: Sequence[TensorSpec]) -> keras.Model:
    """The same model on windows of fixed lengths."""
    shape = " and ".join(str(each.shape) for each in inputs)
    windows = [
        keras.Input(each.shape, batch_size=tensor.shape[0], dtype=tensor.dtype, name=each.name)
        for each, tensor in zip(inputs, model.inputs, strict=True)
    ]
    try:
        # Keras wants the tensors as the model has them, alone, in a list or in a dictionary.
        tensors = packed(model, windows)
        fixed = keras.models.clone_model(copy_model(model), input_tensors=tensors)
        fixed.set_weights(model.get_weights())
    except (TypeError, ValueError) as error:
        raise ConversionError(
            f"cannot take windows of shape {shape}: {one_line(error, 300)}"
        ) from error
    return fixed
