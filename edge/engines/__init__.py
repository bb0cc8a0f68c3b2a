"""Inference engines behind one protocol, chosen by the model file's kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_genre.choices import ONNX_ENGINES, TFLITE_ENGINES
from edge_genre.engines.litert import LiteRT
from edge_genre.engines.tensor import Tensor
from edge_genre.errors import EngineError, ModelError, one_line
from edge_genre.model.file import ModelFile
from edge_genre.task import GENRES, Task

Shape = tuple[int, ...]


class Runtime(Protocol):
    """One model in one engine: tensors in, tensors out, in the shapes and types of the file."""

    name: str
    device: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def infer(
        self, arrays: Sequence[NDArray[np.float32]], outputs: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Run one batch of one, an array an input, each of its input's shape.

        Returns some of the outputs by their numbers, flat; quantization is handled inside.
        """


class Engine:
    """Features in, probabilities out.

    Parameters
    ----------
    model : the file to run
    shape : shape of one window's features; of several inputs, their shapes by the names of the
        inputs
    output : what the model's outputs are, as in `edge_genre.model.file.ModelInfo`
    task : what they mean
    threads : for the engine's own operators
    engine, device : one of `ENGINES` and of `DEVICES` in `edge_genre.choices`; the best engine
        that is installed where it is left out. A device other than ``"cpu"`` takes ONNX files, and
        ``"gpu"`` is the first kind of GPU that ONNX Runtime was built for

    Raises
    ------
    ModelError
        The model does not load, takes other inputs or features of another shape, or gives other
        outputs.
    EngineError
        No engine for this kind of model is installed, or not the one asked for, or the engine
        cannot use the device.
    """

    def __init__(
        self,
        model: ModelFile,
        *,
        shape: Shape | Mapping[str, Shape],
        output: str,
        task: Task = GENRES,
        threads: int = 1,
        engine: str | None = None,
        device: str = "cpu",
    ) -> None:
        if threads < 1:
            raise EngineError(f"threads is {threads}, expected 1 or more")
        self._runtime = runtime = _load(model, threads, engine, device)
        self.name = runtime.name
        self.device = runtime.device
        self.threads = threads
        shapes = shape if isinstance(shape, Mapping) else {runtime.inputs[0].name: shape}
        self._names = list(shapes)
        # For each of the graph's inputs, the place of its features and the shape to give them.
        self._bound = _bound(model, runtime.inputs, shapes)
        self._answer, self._explanations = _answer(model, runtime.outputs, task.explanations)
        self.n_classes = runtime.outputs[self._answer].size
        self.takes_batches = all(tensor.shape[0] is None for tensor in runtime.inputs)
        self._to_probabilities = task.activation(output)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """What the file takes of each of the model's inputs, in their order."""
        return tuple(shape for _, shape in sorted(self._bound))

    def run(self, *features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify one window.

        Parameters
        ----------
        features : float32 [shape=spec.shape], one array an input, in their order

        Returns
        -------
        float32 [shape=(n_classes,)], which add up to 1 where labels exclude each other

        Raises
        ------
        ModelError
            There are more or fewer arrays than inputs, or one is of another size.
        EngineError
            The engine failed, or its result is not finite.
        """
        (outputs,) = self._runtime.infer(self.arranged(features), (self._answer,))
        return self._probabilities(outputs)

    def run_batch(self, *windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify several windows at once, where `takes_batches` says so.

        Parameters
        ----------
        windows : float32 [shape=(n, *spec.shape)], one array an input

        Returns
        -------
        float32 [shape=(n, n_classes)]; raises as `run` does
        """
        n = len(windows[0])
        (outputs,) = self._runtime.infer(self.arranged(windows, n), (self._answer,))
        return self._probabilities(outputs.reshape(n, -1))

    def explain(
        self, *features: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """Classify one window, and say why.

        Returns
        -------
        What `run` returns, and the outputs that the task names as explanations, flat
        """
        wanted = (self._answer, *self._explanations.values())
        outputs, *others = self._runtime.infer(self.arranged(features), wanted)
        return self._probabilities(outputs), dict(zip(self._explanations, others, strict=True))

    def arranged(
        self, features: Sequence[NDArray[np.float32]], n: int = 1
    ) -> list[NDArray[np.float32]]:
        """Features of ``n`` windows as the graph takes them: in its order and shapes."""
        if len(features) != len(self._names):
            missing = ", ".join(self._names[len(features) :]) or "none"
            raise ModelError(
                f"features are given for {len(features)} inputs, but the model has "
                f"{len(self._names)} ({', '.join(self._names)}); missing: {missing}"
            )
        arrays = []
        for place, shape in self._bound:
            wanted = shape if n == 1 else (n, *shape[1:])
            try:
                arrays.append(features[place].reshape(wanted))
            except ValueError:
                given = " x ".join(map(str, features[place].shape))
                raise ModelError(
                    f"features of input {self._names[place]} are {given}, expected "
                    f"{' x '.join(map(str, wanted))}"
                ) from None
        return arrays

    def _probabilities(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        result = self._to_probabilities(outputs)
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


def _bound(
    model: ModelFile, inputs: Sequence[Tensor], shapes: Mapping[str, Shape]
) -> list[tuple[int, Shape]]:
    """For each of the graph's inputs, the place of its features and the shape to give them."""
    if len(inputs) != len(shapes):
        has, described = ", ".join(each.name for each in inputs), ", ".join(shapes)
        raise ModelError(
            f"{model.path}: the model has {len(inputs)} inputs ({has}), but it is said to have "
            f"{len(shapes)} ({described})"
        )
    names = list(shapes)
    places = [0]
    if len(inputs) > 1:  # an only input is the one, whatever its name
        if {each.name for each in inputs} != set(names):
            raise ModelError(
                f"{model.path}: the model has inputs {', '.join(each.name for each in inputs)}, "
                f"but they are said to be {', '.join(names)}"
            )
        places = [names.index(each.name) for each in inputs]
    return [
        (place, _input_shape(each, shapes[names[place]], model))
        for each, place in zip(inputs, places, strict=True)
    ]


def _input_shape(tensor: Tensor, features: Shape, model: ModelFile) -> Shape:
    axes = tuple(1 if index == 0 and n is None else n for index, n in enumerate(tensor.shape))
    shape = fitted(axes, features)
    if shape is not None:
        return shape
    wanted = " x ".join("any" if size is None else str(size) for size in tensor.shape)
    given = " x ".join(map(str, features))
    raise ModelError(
        f"{model.path}: the model takes {wanted}, but its front end gives {given}: "
        "the front-end spec is not the one it was trained with"
    )


def _answer(
    model: ModelFile, outputs: Sequence[Tensor], explanations: Sequence[str]
) -> tuple[int, dict[str, int]]:
    """The number of the output that is the answer, and those of the explanations by name."""
    numbers = {each.name: number for number, each in enumerate(outputs)}
    missing = [name for name in explanations if name not in numbers]
    left = [number for name, number in numbers.items() if name not in explanations]
    if missing or len(left) != 1 or len(numbers) != len(outputs):
        has = ", ".join(each.name for each in outputs)
        expected = one_line(", ".join(("one answer", *explanations)), 200)
        raise ModelError(
            f"{model.path}: the model has {len(outputs)} outputs ({has}), expected {expected}"
        )
    return left[0], {name: numbers[name] for name in explanations}
