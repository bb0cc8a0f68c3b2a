"""From a trained model to small files, each compared with the model on real windows."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Concatenate, ParamSpec

import numpy as np

from edge_genre.convert.conversion import Conversion
from edge_genre.convert.description import described
from edge_genre.convert.isolation import Children
from edge_genre.convert.joining import Joiner
from edge_genre.convert.keeping import keep
from edge_genre.convert.making import Maker
from edge_genre.convert.notes import noted
from edge_genre.convert.options import DEFAULT, ConversionOptions
from edge_genre.convert.original import run_original
from edge_genre.convert.report import (
    FORCED,
    KEPT,
    REFUSED,
    ConversionReport,
    FormatResult,
    SourceReport,
    WindowsReport,
)
from edge_genre.convert.steps import RunGraph
from edge_genre.convert.verify.gate import judge
from edge_genre.convert.waveform import require_graph
from edge_genre.errors import ConversionError, EdgeGenreError

_AT_ONCE = 2  # converters; each takes a core and a gigabyte

_P = ParamSpec("_P")


def _taking(
    options: Callable[_P, ConversionOptions],
) -> Callable[
    [Callable[[str | Path, ConversionOptions], ConversionReport]],
    Callable[Concatenate[str | Path, _P], ConversionReport],
]:
    """Let a function take the fields of `ConversionOptions` as keywords of its own."""

    def decorated(
        function: Callable[[str | Path, ConversionOptions], ConversionReport],
    ) -> Callable[Concatenate[str | Path, _P], ConversionReport]:
        def called(
            source: str | Path, *arguments: _P.args, **keywords: _P.kwargs
        ) -> ConversionReport:
            return function(source, options(*arguments, **keywords))

        source, _ = inspect.signature(function).parameters.values()
        parameters = [source, *inspect.signature(options).parameters.values()]
        called.__name__ = called.__qualname__ = function.__name__
        called.__doc__, called.__module__ = function.__doc__, function.__module__
        called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            parameters, return_annotation=ConversionReport
        )
        return called  # type: ignore[return-value] # whose first argument may be named

    return decorated


@_taking(ConversionOptions)
def convert(source: str | Path, options: ConversionOptions) -> ConversionReport:
    """Convert a trained model, and keep what agrees with it.

    Every format is made in a process of its own, run in its real engine on the windows of
    ``calibrate``, and compared with the source, run in its own framework. Files appear whole or not
    at all.

    Parameters
    ----------
    source : a Keras file (``.keras``, ``.h5``), a SavedModel folder, a PyTorch checkpoint, ONNX or
        TFLite
    options : by keyword, the fields of `ConversionOptions`

    Raises
    ------
    ConversionError
        The source cannot be read or run, or the options do not fit it. What goes wrong in one
        format stands in its result instead.
    """
    source = Path(source)
    if not source.exists():
        raise ConversionError(f"{source}: no such file")
    if options.music is not None and not options.music.exists():
        raise ConversionError(f"{options.music}: no such file or folder")
    try:
        Path(options.output).mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix="edge-genre-") as folder,
            Children(Path(folder), options.timeout) as children,
        ):
            return _converted(source, options, Path(folder), children)
    except OSError as error:
        # NumPy's own message about a full disk has neither a name nor a reason.
        where, reason = error.filename or tempfile.gettempdir(), error.strerror or "disk full?"
        raise ConversionError(f"{where}: cannot be written ({reason})") from None


def _converted(
    source: Path, options: ConversionOptions, folder: Path, children: Children
) -> ConversionReport:
    description = described(source, options)
    if options.waveform:
        require_graph(description.info.front_end)
        for each in description.info.inputs:
            require_graph(each.front_end)
    original = run_original(source, options, description, folder, children)
    inputs = [each.name for each in original.opening.inputs]
    description = description.completed(original.meaning, inputs, options)
    conversion = Conversion(options, description, original, folder, children)
    joiner = Joiner(conversion) if options.waveform else None
    pairs = [
        (suffix, quantization)
        for suffix in dict.fromkeys(options.to)
        for quantization in dict.fromkeys(options.quantize or _natural(suffix, conversion))
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            formats = _Formats(conversion, Maker(conversion, pool), joiner)
            futures = [pool.submit(formats.result, *pair) for pair in pairs]
            results = [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            children.end()
            raise
    notes = (*original.facts.notes, *filter(None, [original.meaning.note]))
    ranges_taken = {"dynamic", "int8"} & {quantization for _, quantization in pairs}
    return ConversionReport(
        source=SourceReport(str(source), original.sha256, original.facts, notes),
        windows=WindowsReport(
            compared=len(original.labels),
            labelled=original.labelled,
            calibrated=original.calibrated if ranges_taken else 0,
            origin=original.origin,
        ),
        results=noted(results),
        task=description.info.task,
    )


def _natural(suffix: str, conversion: Conversion) -> tuple[str, ...]:
    """The quantizations of a format where none is asked for."""
    own = conversion.original.facts.quantization if suffix == "tflite" else None
    if conversion.description.inside:  # the front end in the graph stays in float
        own = own or "fp32"
    return (own,) if own else DEFAULT


@dataclass(frozen=True)
class _Formats:
    """The formats of one model: each is made, compared with it, and kept if it agrees."""

    conversion: Conversion
    maker: Maker
    joiner: Joiner | None

    def result(self, suffix: str, quantization: str) -> FormatResult:
        """Make one format, and say what came of it."""
        result = self._through_all(suffix, quantization)
        self.conversion.options.tell(result.name, result.status)
        return result

    def _through_all(self, suffix: str, quantization: str) -> FormatResult:
        graph = self.conversion.folder / f"{quantization}.{suffix}"
        result = self._made(FormatResult(suffix, quantization, "done"), graph)
        if result.status == "done":
            result = self._compared(result, graph)
        if result.status in (KEPT, FORCED) and self.joiner is not None:
            self.conversion.options.tell(result.name, "front end")
            result, graph = self.joiner.join(result, graph)
        if result.status in (KEPT, FORCED):
            result = self._kept(result, graph)
        return result

    def _made(self, result: FormatResult, graph: Path) -> FormatResult:
        self.conversion.options.tell(result.name, "converting")
        made = self.maker.make(result.suffix, result.quantization, graph)
        if made.status == "done":
            return replace(result, seconds=made.seconds, size=graph.stat().st_size)
        return replace(
            result, status=made.status, seconds=made.seconds, message=made.message, log=made.log
        )

    def _compared(self, result: FormatResult, graph: Path) -> FormatResult:
        options, original = self.conversion.options, self.conversion.original
        options.tell(result.name, "comparing")
        outputs = self.conversion.folder / f"{graph.name}.npy"
        checked = self.conversion.children.run(
            RunGraph(
                graph=str(graph),
                suffix=result.suffix,
                target=options.target,
                output=self.conversion.output_of(result.suffix),
                task=self.conversion.task,
                names=tuple(each.name for each in original.opening.inputs),
                windows=original.features,
                outputs=str(outputs),
            )
        )
        result = replace(result, seconds=result.seconds + checked.seconds, facts=checked.found)
        if checked.found is None:
            message = f"converted, but does not run: {checked.message}"
            return replace(result, status=checked.status, message=message, log=checked.log)
        verdict = judge(
            result.quantization,
            original.probabilities(self.conversion.task),
            np.load(outputs),
            original.labels,
            self.conversion.task,
        )
        result = replace(result, verdict=verdict, message="; ".join(verdict.reasons))
        if not verdict.reasons:
            return replace(result, status=KEPT)
        exact = result.quantization == "fp32"
        drift = () if exact else self.maker.drift(result.suffix, graph)
        return replace(result, status=FORCED if options.force else REFUSED, drift=drift)

    def _kept(self, result: FormatResult, graph: Path) -> FormatResult:
        try:
            path = keep(result, graph.read_bytes(), self.conversion)
        except EdgeGenreError as error:  # such as a full disk
            return replace(result, status="failed", message=str(error))
        return replace(result, path=path)
