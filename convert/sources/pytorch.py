"""PyTorch checkpoints: weights from the file, the network from an architecture."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from edge_genre.convert.batches import Outputs, in_batches
from edge_genre.convert.outputs.activations import of_onnx
from edge_genre.convert.sources.python_file import classes, run_file
from edge_genre.convert.sources.versions import versions
from edge_genre.convert.tensors import (
    INPUT,
    OUTPUT,
    TensorSpec,
    matched,
    names_in_files,
    one_input,
)
from edge_genre.errors import ConversionError, one_line
from edge_genre.host.quiet import quiet_libraries

# Architectures of `edge_genre.models.networks`, as the command line calls them.
BUNDLED = ("five-channel-cnn",)

OPSET = 17

# Where training programs put the weights, the likeliest first.
_KEYS = "model_state_dict state_dict model_state model net network weights params".split()
# What DataParallel, torch.compile and Lightning put in front of each name.
_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "network.")
_LISTED = 10
_ADAPTIVE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


class PyTorchSource:
    """A network in evaluation mode, on the CPU; see `edge_genre.convert.sources.TrainedModel`."""

    kind = "pytorch"
    quantization = None
    info = None

    def __init__(
        self,
        path: Path,
        *,
        architecture: str | None,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[str],
    ) -> None:
        weights = _weights(path)
        if architecture is None:
            raise ConversionError(
                "holds weights only: say which network they are of with --architecture: "
                f"{', '.join(BUNDLED)}, or path/to/file.py:ClassName"
            )
        self._network = _network(architecture, weights)
        _load(self._network, weights, architecture)
        self._network.eval()
        own = getattr(self._network, "input_shape", None) if architecture in BUNDLED else None
        if not own and not inputs:
            raise ConversionError(
                "does not say what it takes: give the front end it was trained with, or the shape "
                "of one window with --input-shape"
            )
        self.inputs = one_input(own) if own else _inputs(self._network, inputs)
        self._outputs = tuple(outputs)
        self.parameters = sum(weight.numel() for weight in self._network.parameters())
        self.versions = versions("torch", "onnx")

    def predict(self, *windows: NDArray[np.float32]) -> Outputs:
        return in_batches(self._run, windows, inputs=self.inputs)

    def activation(self) -> str | None:
        try:
            exported = self.onnx()
        except ConversionError:  # which will be said where a file is made
            return None
        return of_onnx(onnx.load_from_string(exported))

    def tflite(self, **options: Any) -> bytes:
        from edge_genre.convert.sources.onnx_source import graph_to_tflite

        return graph_to_tflite(self.onnx(), **options)

    def onnx(self) -> bytes:
        windows = tuple(torch.zeros(2, *(size or 1 for size in each.shape)) for each in self.inputs)
        names = names_in_files([each.name for each in self.inputs], INPUT)
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "model.onnx")
                with _quiet(), _one_thread(), _fixed_pooling(self._network, *windows):
                    network, outputs = self._giving(*windows)
                    torch.onnx.export(
                        network,
                        windows,
                        path,
                        dynamo=False,
                        opset_version=OPSET,
                        input_names=names,
                        output_names=outputs,
                        dynamic_axes={name: {0: "batch"} for name in (*names, *outputs)},
                    )
                return path.read_bytes()
        except Exception as error:  # whatever the network or the exporter raises
            raise ConversionError(
                f"{type(self._network).__name__} does not convert to ONNX: {one_line(error, 300)}"
            ) from error

    def _run(self, *windows: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        n = len(windows[0])
        # A convolution takes a batch of one for a window without a batch, whose channel it is.
        batches = [np.repeat(each, 2, axis=0) if n == 1 else each for each in windows]
        with torch.inference_mode(), _one_thread():
            found = _named(self._network(*map(torch.from_numpy, batches)), self._network)
        outputs = {name: found[name].numpy() for name in self._outputs or found}
        # One that is the same for all windows stays what it is.
        return {
            name: output[:1] if n == 1 and output.shape[:1] == (2,) else output
            for name, output in outputs.items()
        }

    def _giving(self, *windows: torch.Tensor) -> tuple[nn.Module, tuple[str, ...]]:
        """A network that gives the outputs that are wanted, and their names in a file."""
        with torch.inference_mode():
            found = self._network(*windows)
        names = self._outputs or tuple(_named(found, self._network))
        network = self._network
        if not isinstance(found, torch.Tensor):
            network = _Giving(network, names)
        return network, names_in_files(names, OUTPUT)


class _Giving(nn.Module):
    """A network with some of its outputs."""

    def __init__(self, network: nn.Module, outputs: Sequence[str]) -> None:
        super().__init__()
        self.network, self.outputs = network, outputs

    def forward(self, *windows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = _named(self.network(*windows), self.network)
        return tuple(found[name] for name in self.outputs)


def _named(outputs: Any, network: nn.Module) -> dict[str, torch.Tensor]:
    """A network's outputs by name: the keys of a dictionary, fields of a tuple, or numbers."""
    if isinstance(outputs, torch.Tensor):
        outputs = {OUTPUT: outputs}
    elif isinstance(outputs, tuple | list):
        numbered = (f"{OUTPUT}_{index}" for index in range(len(outputs)))
        fields = getattr(outputs, "_fields", None) or numbered
        outputs = dict(zip(fields, outputs, strict=True))
    given = outputs.values() if isinstance(outputs, Mapping) else [outputs]
    others = [type(each).__name__ for each in given if not isinstance(each, torch.Tensor)]
    if given and not others:
        return {str(name): tensor for name, tensor in outputs.items()}
    kind = " and ".join(others) or "nothing"
    raise ConversionError(
        f"{type(network).__name__} gives {kind}, expected tensors: wrap it in a module that "
        "returns them alone"
    )


def _inputs(network: nn.Module, given: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The inputs in the order of the arguments of ``forward``, which have their names."""
    parameters = inspect.signature(network.forward).parameters.values()
    names = [each.name for each in given]
    # An argument with a default, such as a mask, need not be an input.
    own = [
        each.name
        for each in parameters
        if each.kind is each.POSITIONAL_OR_KEYWORD
        and (each.default is each.empty or each.name in names)
    ]
    return tuple(given[index] for index in matched(own or names, names))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Run PyTorch on one core.

    Its threads wait for each other after every step of a recurrent layer: where another program
    holds a core, that takes a hundred times longer than all the arithmetic.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes: standard output belongs to the caller's results."""
    torch._C._jit_set_onnx_log_output_stream("stderr")
    with (
        contextlib.redirect_stdout(io.StringIO()),
        quiet_libraries(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _fixed_pooling(network: nn.Module, *windows: torch.Tensor) -> Iterator[None]:
    """Give adaptive pooling that keeps an axis as it is (None) that axis's length in numbers.

    ONNX has no adaptive pooling; the exporter writes plain pooling where the output's size is a
    constant.
    """
    changed: list[tuple[Any, Any]] = []

    def fix(pooling: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        size = pooling.output_size
        if isinstance(size, tuple) and None in size:
            changed.append((pooling, size))
            lengths = inputs[0].shape[-len(size) :]
            pooling.output_size = tuple(
                length if wanted is None else wanted
                for wanted, length in zip(size, lengths, strict=True)
            )

    poolings = [module for module in network.modules() if isinstance(module, _ADAPTIVE)]
    hooks = [pooling.register_forward_pre_hook(fix) for pooling in poolings]
    try:
        with torch.inference_mode():
            network(*windows)
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for pooling, size in changed:
            pooling.output_size = size


def _weights(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in a checkpoint, read without running what may be hidden in it."""
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_numbers()):
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # RuntimeError, UnpicklingError, EOFError, ... of damaged files
        found = re.search(r"(?:GLOBAL|global:?) ([\w.]+\.[\w.]+)", str(error))
        if found:
            raise ConversionError(
                f"is a pickle of more than weights ({found[1]}), which could run code and is "
                "refused: where it was made, save the weights alone: "
                "torch.save(model.state_dict(), 'weights.pt')"
            ) from None
        raise ConversionError(
            "is no PyTorch checkpoint of weights alone, or is damaged: expected what "
            f"torch.save(model.state_dict(), ...) writes ({one_line(error, 120)})"
        ) from None
    return _state_dict(content)


def _numpy_numbers() -> list[Any]:
    """What NumPy's numbers are pickled with: training programs note accuracies in them."""
    kinds = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    make = np.float64(0).__reduce__()[0]
    # NumPy 1 and 2 have it under different names.
    names = [(make, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [np.dtype, *kinds, *names]


def _state_dict(content: object) -> dict[str, torch.Tensor]:
    if _is_state_dict(content):
        return dict(content)  # type: ignore[call-overload]
    if not isinstance(content, Mapping):
        raise ConversionError(f"holds a {type(content).__name__}, expected a dict of weights")
    for key in _KEYS:
        if _is_state_dict(content.get(key)):
            return dict(content[key])
    found = [key for key, value in content.items() if _is_state_dict(value)]
    if len(found) != 1:
        keys = ", ".join(map(str, list(content)[:_LISTED])) or "nothing"
        raise ConversionError(
            f"holds {keys}; expected a dict of weights, or one under model_state_dict or state_dict"
        )
    return dict(content[found[0]])


def _is_state_dict(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(key, str) for key in value)
        and all(isinstance(weight, torch.Tensor) for weight in value.values())
    )


def _network(architecture: str, weights: dict[str, torch.Tensor]) -> nn.Module:
    """The network without its weights."""
    if architecture in BUNDLED:
        from edge_genre.models.networks.five_channel import for_weights

        return for_weights(_without_wrappers(weights, set()))
    path, colon, name = architecture.rpartition(":")
    if not colon or not name.isidentifier():
        raise ConversionError(
            f"architecture {architecture!r} is unknown, expected {', '.join(BUNDLED)}, or "
            "path/to/file.py:ClassName"
        )
    module = run_file(path)
    make = getattr(module, name, None)
    if not callable(make):
        known = ", ".join(classes(module, nn.Module)) or "no network at all"
        raise ConversionError(f"{path} has no class or function {name}; it has {known}")
    try:
        network = make()
    except Exception as error:  # whatever the user's code raises
        raise ConversionError(
            f"{name}() of {path} fails with {type(error).__name__}: {one_line(error, 300)}; it is "
            "called without arguments"
        ) from error
    if not isinstance(network, nn.Module):
        raise ConversionError(
            f"{name}() of {path} gives a {type(network).__name__}, expected a torch.nn.Module"
        )
    return network


def _without_wrappers(
    weights: dict[str, torch.Tensor], expected: set[str]
) -> dict[str, torch.Tensor]:
    """Weights under the names that the network has for them."""
    for _ in range(len(_WRAPPERS)):
        if expected & weights.keys():
            break
        for wrapper in _WRAPPERS:
            if all(name.startswith(wrapper) for name in weights):
                weights = {name.removeprefix(wrapper): w for name, w in weights.items()}
                break
        else:
            break
    return weights


def _load(network: nn.Module, weights: dict[str, torch.Tensor], architecture: str) -> None:
    """Load the weights, or say key by key what does not fit."""
    expected = network.state_dict()
    weights = _without_wrappers(weights, set(expected))
    # Counters of training steps, which PyTorch before 0.4.1 did not save and nothing here reads.
    counters = {name for name in expected if name.endswith(".num_batches_tracked")}
    missing = [name for name in expected if name not in weights and name not in counters]
    unexpected = [name for name in weights if name not in expected]
    wrong = [
        f"{name} is {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    problems = (
        ("missing", missing),
        ("not in the network", unexpected),
        ("of another shape", wrong),
    )
    told = [f"{what}: {_listed(names)}" for what, names in problems if names]
    if told:
        raise ConversionError(
            f"the weights are not those of architecture {architecture}: {'; '.join(told)}"
        )
    network.load_state_dict(weights, strict=False)  # all but the counters was just compared


def _listed(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
