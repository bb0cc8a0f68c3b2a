"""Turn trained models into small files that run on a device.

``convert`` is the whole of it: ``edge-genre convert`` from Python. A desktop runs this package; a
device takes no more of it than ``graph_facts``, for its benchmark, and ``golden``. No framework is
loaded: each step runs in a process of its own.

- ``options``, ``pipeline``, ``report``: what is asked for, the order of the steps, what came of it.
- ``original``, ``making``, ``joining``, ``keeping``: the model on real windows, its formats, their
  front ends, their files.
- ``outputs``, ``activations``, ``meaning``: which output is the answer, and what it means.
- ``tasks``, ``worker``, ``isolation``: single steps, and the processes that they run in.
- ``tensors``, ``batches``: windows on their way into a model, an array an input.
- ``sources``: readers of Keras, SavedModel, PyTorch, ONNX and TFLite files.
- ``tflite``, ``onnx``, ``onnx_to_tf``, ``quantization``, ``waveform``: the writers.
- ``verify``: what a file is compared with, and how far apart they may be.
- ``c``, ``golden``: for microcontrollers and for ports to other languages.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_genre.convert.options import ConversionOptions
    from edge_genre.convert.pipeline import convert
    from edge_genre.convert.report import ConversionReport, FormatResult

__all__ = ["ConversionOptions", "ConversionReport", "FormatResult", "convert"]

# Each is loaded when it is first used (PEP 562): the pipeline needs packages that a device lacks.
_MODULES = {
    "ConversionOptions": "options",
    "ConversionReport": "report",
    "FormatResult": "report",
    "convert": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
