"""How each format is made: which step makes it, and from what."""

from __future__ import annotations

import shutil
from concurrent.futures import Executor
from pathlib import Path

from edge_genre.convert.conversion import Conversion
from edge_genre.convert.isolation import Outcome
from edge_genre.convert.outputs.edges import edges
from edge_genre.convert.steps import FindDrift, Made, Opening, QuantizeONNX, WriteONNX, WriteTFLite


class Maker:
    """Makes graphs of one model.

    Parameters
    ----------
    conversion : of the model
    pool : runs the export to ONNX, which several formats may wait for
    """

    def __init__(self, conversion: Conversion, pool: Executor) -> None:
        self._original, self._options = conversion.original, conversion.options
        self._task = conversion.task
        self._folder, self._children = conversion.folder, conversion.children
        # TFLite files are made of PyTorch's models by way of ONNX: exported once for all formats.
        self._by_onnx = self._original.facts.kind == "pytorch"
        self._exact = self._folder / "exact.onnx"
        wanted = self._by_onnx or "onnx" in self._options.to
        self._exported = pool.submit(self._export) if wanted else None

    def make(self, suffix: str, quantization: str, graph: Path) -> Outcome[Made]:
        """Make a graph."""
        if suffix == "tflite":
            return self._tflite(quantization, graph)
        return self._onnx(quantization, graph)

    def drift(self, suffix: str, graph: Path) -> tuple[str, ...]:
        """The layers of a graph that drift most, in words; none where that cannot be said."""
        exact = self._folder / f"exact.{suffix}"
        if suffix == "tflite" and self.make(suffix, "fp32", exact).status != "done":
            return ()
        step = FindDrift(str(exact), str(graph), self._original.features)
        found = self._children.run(step).found
        return () if found is None else found.layers

    def _tflite(self, quantization: str, graph: Path) -> Outcome[Made]:
        source = self._original.opening
        if self._by_onnx:
            exported = self._export_done()
            if exported.status != "done":
                return exported
            source = Opening(str(self._exact), inputs=source.inputs)
        # The dynamic form has variants, of which it takes the one that agrees on these windows.
        calibrated = quantization in ("dynamic", "int8")
        options = {
            "quantize": quantization,
            "target": self._options.target,
            "integer_io": self._options.integer_io and quantization == "int8",
            "activation": self._task.operator(self._original.output),
            # What is made here gives probabilities.
            "edges": self._task.thresholds if calibrated and not self._task.exclusive else None,
        }
        calibration = self._original.calibration if calibrated else None
        return self._children.run(WriteTFLite(source, str(graph), calibration, options))

    def _onnx(self, quantization: str, graph: Path) -> Outcome[Made]:
        exported = self._export_done()
        if exported.status != "done":
            return exported
        if quantization == "fp32":
            shutil.copyfile(self._exact, graph)
            return exported
        inputs = self._original.opening.inputs
        calibration = held = None
        if quantization == "int8":
            calibration = self._original.calibration
            if not self._task.exclusive:
                held = edges(self._task, self._original.output)
        return self._children.run(
            QuantizeONNX(
                str(self._exact), str(graph), quantization, calibration, inputs, edges=held
            )
        )

    def _export(self) -> Outcome[Made]:
        return self._children.run(WriteONNX(self._original.opening, str(self._exact)))

    def _export_done(self) -> Outcome[Made]:
        """The exact graph's outcome, once it is there."""
        assert self._exported is not None
        return self._exported.result()
