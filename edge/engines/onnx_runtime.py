"""ONNX files, run by ONNX Runtime."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_genre.errors import EngineError, ModelError


class OnnxRuntime:
    """One ONNX model in a session on the CPU."""

    def __init__(self, content: bytes, threads: int, path: str) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise EngineError(
                f"{path}: ONNX files need ONNX Runtime: pip install 'edge-genre[onnx]' ({error})"
            ) from None
        self.name = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only, and those arrive as exceptions too
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no common base
            message = " ".join(str(error).split())
            raise ModelError(f"{path}: {self.name} cannot load it ({message})") from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each"
            )
        self._input, self._outputs = inputs[0].name, [outputs[0].name]
        self.input_shape: tuple[int | None, ...] = tuple(
            size if isinstance(size, int) else None for size in inputs[0].shape
        )
        classes = outputs[0].shape[-1] if outputs[0].shape else None
        self.n_classes: int | None = classes if isinstance(classes, int) else None

    def infer(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run one input."""
        try:
            (output,) = self._session.run(self._outputs, {self._input: features})
        except Exception as error:  # its exceptions have no common base
            raise EngineError(f"{self.name} failed: {' '.join(str(error).split())}") from None
        return np.asarray(output, np.float32).reshape(-1)
