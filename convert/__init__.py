"""Turn trained models into small files that run on a device.

``convert`` is the whole of it: ``edge-genre convert`` from Python. A desktop runs this package; a
device never imports it. Importing it loads no framework: each step runs in a process of its own.

- ``pipeline``, ``isolation``, ``worker``: the steps, and the processes that they run in.
- ``sources``: readers of Keras, SavedModel, PyTorch, ONNX and TFLite files.
- ``tflite``, ``onnx``, ``onnx_to_tf``, ``onnx_quantize``: the writers.
- ``recurrent``: GRUs and LSTMs in a form that small engines run well.
- ``windows``, ``parity``, ``gate``, ``drift``, ``graph_facts``: what a file is held against.
"""

from edge_genre.convert.pipeline import convert
from edge_genre.convert.report import ConversionReport, FormatResult

__all__ = ["ConversionReport", "FormatResult", "convert"]
