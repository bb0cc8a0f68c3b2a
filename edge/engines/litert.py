"""TFLite files, run by LiteRT or by one of its forerunners."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.choices import TFLITE_ENGINES
from edge_genre.engines.quantization import dequantize, quantize
from edge_genre.engines.tensor import Tensor, bare_name
from edge_genre.errors import EngineError, ModelError, one_line
from edge_genre.host.quiet import quiet_libraries

_MODULES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}


class LiteRT:
    """One TFLite model with its tensors allocated, in the first of the engines that is there."""

    device = "cpu"

    def __init__(
        self, content: bytes, threads: int, path: str, engines: Sequence[str] = TFLITE_ENGINES
    ) -> None:
        interpreter_class, self.name = _interpreter(engines)
        try:
            with quiet_libraries():  # "Created XNNPACK delegate"
                self._interpreter = interpreter_class(model_content=content, num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: {self.name} cannot load it ({one_line(error)})") from None
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        self.inputs, self.outputs = map(_tensors, (inputs, outputs))
        self._inputs = [(each["index"], each["dtype"], *each["quantization"]) for each in inputs]
        self._outputs = [(each["index"], *each["quantization"]) for each in outputs]

    def infer(
        self, arrays: Sequence[NDArray[np.float32]], outputs: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Run one input; quantize it and dequantize the output where the file asks for it."""
        try:
            for (index, *stored), features in zip(self._inputs, arrays, strict=True):
                self._interpreter.set_tensor(index, quantize(features, *stored))
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise EngineError(f"{self.name} failed: {one_line(error)}") from None
        found = []
        for number in outputs:
            index, scale, zero_point = self._outputs[number]
            output = self._interpreter.get_tensor(index)
            found.append(dequantize(output, scale, zero_point).reshape(-1))
        return found


def _tensors(details: Sequence[dict[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(bare_name(each["name"]), tuple(int(size) for size in each["shape"]))
        for each in details
    )


def _interpreter(engines: Sequence[str]) -> tuple[Any, str]:
    failures = []
    for package in engines:
        try:
            found = importlib.import_module(_MODULES[package]).Interpreter
        except ImportError as error:
            failures.append(f"{package}: {one_line(error)}")
            continue
        # Not from the package's metadata: what reads them takes longer to load than the engine.
        parent = sys.modules[_MODULES[package].partition(".")[0]]
        return found, f"{package} {getattr(parent, '__version__', 'of unknown version')}"
    raise EngineError(
        f"no engine for TFLite files: pip install {engines[0]} ({'; '.join(failures)})"
    )
