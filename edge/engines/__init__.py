"""Inference engines behind one protocol, chosen by the model file's kind."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_genre.choices import ONNX_ENGINES, TFLITE_ENGINES
from edge_genre.engines.litert import LiteRT
from edge_genre.errors import EngineError, ModelError
from edge_genre.model.file import ModelFile
from edge_genre.softmax import softmax


class Runtime(Protocol):
    """One model in one engine: tensors in, tensors out, in the shapes and types of the file."""

    name: str
    device: str
    input_shape: tuple[int | None, ...]  # None: any size
    n_classes: int | None

    def infer(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run one batch-of-one input of ``input_shape``; quantization is handled inside."""


class Engine:
    """Features in, probabilities out.

    Parameters
    ----------
    model : the file to run
    shape : shape of one window's features
    output : what the model's outputs are, as in `edge_genre.model.file.ModelInfo`
    threads : for the engine's own operators
    engine, device : one of `ENGINES` and of `DEVICES` in `edge_genre.choices`; the best engine
        that is installed where it is left out. A device other than ``"cpu"`` takes ONNX files, and
        ``"gpu"`` is the first kind of GPU that ONNX Runtime was built for

    Raises
    ------
    ModelError
        The model does not load, or takes features of another shape.
    EngineError
        No engine for this kind of model is installed, or not the one asked for, or the engine
        cannot use the device.
    """

    def __init__(
        self,
        model: ModelFile,
        *,
        shape: tuple[int, ...],
        output: str,
        threads: int = 1,
        engine: str | None = None,
        device: str = "cpu",
    ) -> None:
        if threads < 1:
            raise EngineError(f"threads is {threads}, expected 1 or more")
        self._runtime = _load(model, threads, engine, device)
        self.name = self._runtime.name
        self.device = self._runtime.device
        self.threads = threads
        self.n_classes = self._runtime.n_classes
        self.input_shape = _input_shape(self._runtime.input_shape, shape, model)
        self.takes_batches = self._runtime.input_shape[0] is None
        self._to_probabilities = _OUTPUTS[output]

    def run(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify one window.

        Parameters
        ----------
        features : float32 [shape=spec.shape]

        Returns
        -------
        float32 [shape=(n_classes,)], which sum to 1

        Raises
        ------
        EngineError
            The engine failed, or its result is not finite.
        """
        (row,) = self.run_batch(features[None])
        return row  # type: ignore[no-any-return]

    def run_batch(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify several windows at once, where `takes_batches` says so.

        Parameters
        ----------
        windows : float32 [shape=(n, *spec.shape)]

        Returns
        -------
        float32 [shape=(n, n_classes)]; raises as `run` does
        """
        n = len(windows)
        shape = self.input_shape if n == 1 else (n, *self.input_shape[1:])
        outputs = self._runtime.infer(windows.reshape(shape))
        result = self._to_probabilities(outputs.reshape(n, -1))
        if not np.isfinite(result).all():
            raise EngineError(f"{self.name} returned NaN or infinity: {result.tolist()}")
        return result


def engines_of(kind: str) -> tuple[str, ...]:
    """Engines that run files of a kind, best first."""
    return TFLITE_ENGINES if kind == "tflite" else ONNX_ENGINES


def _load(model: ModelFile, threads: int, engine: str | None, device: str) -> Runtime:
    path, engines = str(model.path), engines_of(model.kind)
    if engine is not None and engine not in engines:
        raise EngineError(f"{path}: is run by {' or '.join(engines)}, not by {engine}")
    if model.kind == "tflite":
        if device != "cpu":
            raise EngineError(f"{path}: TFLite files run on the CPU; for a GPU, take the ONNX file")
        return LiteRT(model.content, threads, path, engines=(engine,) if engine else engines)
    from edge_genre.engines.onnx_runtime import OnnxRuntime

    return OnnxRuntime(model.content, threads, path, device)


def fitted(model: tuple[int | None, ...], features: tuple[int, ...]) -> tuple[int, ...] | None:
    """Features' shape with the model's own axes of length 1 (batch, channel); None if none fits.

    Parameters
    ----------
    model : what the model takes; None for any length
    features : what the front end gives
    """
    longer = [size for size in model if size != 1]
    sizes = [size for size in features if size != 1]
    if len(longer) != len(sizes) or any(
        size not in (None, found) for size, found in zip(longer, sizes, strict=True)
    ):
        return None
    left = iter(sizes)
    return tuple(1 if size == 1 else next(left) for size in model)


def _input_shape(
    model_shape: tuple[int | None, ...], features: tuple[int, ...], model: ModelFile
) -> tuple[int, ...]:
    axes = tuple(1 if index == 0 and n is None else n for index, n in enumerate(model_shape))
    shape = fitted(axes, features)
    if shape is not None:
        return shape
    wanted = " x ".join("any" if size is None else str(size) for size in model_shape)
    given = " x ".join(map(str, features))
    raise ModelError(
        f"{model.path}: the model takes {wanted}, but its front end gives {given}: "
        "the front-end spec is not the one it was trained with"
    )


def _probabilities(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    # Quantized outputs add up to 1 only roughly.
    total = outputs.sum(axis=-1, keepdims=True)
    total[total == 0] = 1
    return np.asarray(outputs / total, np.float32)


# The softmax of log-probabilities is the probabilities.
_OUTPUTS = {
    "probabilities": _probabilities,
    "logits": softmax,
    "log_probabilities": softmax,
}
