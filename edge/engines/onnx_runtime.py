"""ONNX files, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.engines.tensor import Tensor, bare_name
from edge_genre.errors import EngineError, ModelError, one_line
from edge_genre.host.quiet import quiet_libraries

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
_GPUS = ("cuda", "coreml")  # what "gpu" stands for; TensorRT builds for minutes, and must be named


class OnnxRuntime:
    """One ONNX model in a session on a device."""

    def __init__(self, content: bytes, threads: int, path: str, device: str) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise EngineError(
                f"{path}: ONNX files need ONNX Runtime: pip install 'edge-genre[onnx]' ({error})"
            ) from None
        self.name = f"onnxruntime {onnxruntime.__version__}"
        available = onnxruntime.get_available_providers()
        self.device = _device(device, available, f"{path}: {self.name}")
        provider = PROVIDERS[self.device]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only, and those arrive as exceptions too
        try:
            with quiet_libraries():  # a provider that cannot start says so, and others take over
                self._session = onnxruntime.InferenceSession(content, options, providers=[provider])
        except Exception as error:  # its exceptions have no common base
            raise ModelError(f"{path}: {self.name} cannot load it ({one_line(error)})") from None
        if self._session.get_providers()[0] != provider:
            raise EngineError(
                f"{path}: {self.name} cannot start its {provider}: are the driver and the "
                "libraries installed that it was built for?"
            )
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._input_names = [each.name for each in inputs]
        self._output_names = [each.name for each in outputs]
        self.inputs, self.outputs = map(_tensors, (inputs, outputs))

    def infer(
        self, arrays: Sequence[NDArray[np.float32]], outputs: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Run one input, or several at once where the file's first axis has any length."""
        given = dict(zip(self._input_names, arrays, strict=True))
        try:
            found = self._session.run([self._output_names[number] for number in outputs], given)
        except Exception as error:  # its exceptions have no common base
            raise EngineError(f"{self.name} failed: {one_line(error)}") from None
        return [np.asarray(output, np.float32).reshape(-1) for output in found]


def _tensors(details: Sequence[Any]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            bare_name(each.name), tuple(s if isinstance(s, int) else None for s in each.shape or ())
        )
        for each in details
    )


def _device(wanted: str, available: list[str], who: str) -> str:
    """The device that is meant, if its provider is there."""
    meant = _GPUS if wanted == "gpu" else (wanted,)
    for device in meant:
        if PROVIDERS[device] in available:
            return device
    names = " or ".join(PROVIDERS[device] for device in meant)
    has = ", ".join(available)
    raise EngineError(f"{who} has no {names} (it has {has}): for CUDA, pip install onnxruntime-gpu")
