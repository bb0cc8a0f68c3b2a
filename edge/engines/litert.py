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
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each"
            )
        self._input, self._output = inputs[0], outputs[0]
        self.input_shape: tuple[int | None, ...] = tuple(int(n) for n in self._input["shape"])
        self.n_classes: int | None = int(np.prod(self._output["shape"]))

    def infer(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run one input; quantize it and dequantize the output where the file asks for it."""
        values = quantize(features, self._input["dtype"], *self._input["quantization"])
        try:
            self._interpreter.set_tensor(self._input["index"], values)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise EngineError(f"{self.name} failed: {one_line(error)}") from None
        output = self._interpreter.get_tensor(self._output["index"])
        return dequantize(output, *self._output["quantization"]).reshape(-1)


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
