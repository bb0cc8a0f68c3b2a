"""Files that are kept: their names, and what they say of themselves."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_genre import __version__
from edge_genre.convert.conversion import Conversion
from edge_genre.convert.description import inside_graph
from edge_genre.convert.report import FormatResult
from edge_genre.convert.tflite.metadata import with_metadata
from edge_genre.convert.verify.answer import with_self_test
from edge_genre.convert.verify.gate import limit_of
from edge_genre.convert.waveform import waveform_spec
from edge_genre.model.file import ModelInfo, write
from edge_genre.model.input import inputs_of

_AT_ONCE = threading.Lock()  # an engine's messages are silenced for the whole process


def keep(result: FormatResult, graph: bytes, conversion: Conversion) -> Path:
    """Write a graph with its description, and return the file.

    Parameters
    ----------
    result : of its comparison
    graph : TFLite or ONNX

    Raises
    ------
    EdgeGenreError
        It does not load, or the file cannot be written.
    """
    options, source = conversion.options, conversion.original.path
    info = _info(result, conversion)
    form = "waveform-" if options.waveform else ""
    name = f"{options.name or source.stem}-{form}{result.quantization}.{result.suffix}"
    path = Path(options.output) / name
    if options.waveform and result.suffix == "tflite":
        graph = with_metadata(graph, info)
    with _AT_ONCE:
        write(path, graph, with_self_test(graph, info))
    return path


def _info(result: FormatResult, conversion: Conversion) -> ModelInfo:
    options, original = conversion.options, conversion.original
    inputs, inside = conversion.description.info.inputs, conversion.description.inside
    output = conversion.output_of(result.suffix)
    if options.waveform:
        inside, output = inside_graph(inputs), "probabilities"
        inputs = inputs_of(waveform_spec(inputs[0].front_end))
    return replace(
        conversion.description.info,
        inputs=inputs,
        output=output,
        quantization=result.quantization,
        provenance={
            "source": original.path.name,
            "source_sha256": original.sha256,
            "source_kind": original.facts.kind,
            "parameters": original.facts.parameters,
            "versions": {"edge-genre": __version__, **original.facts.versions},
            "options": options.shaping(),
            **inside,
        },
        parity=_parity(result, conversion),
        accuracy=(),
        self_test=None,
    )


def _parity(result: FormatResult, conversion: Conversion) -> dict[str, Any]:
    """How far the file is from the original, and the limits that it was held against."""
    assert result.verdict is not None
    assert result.facts is not None
    verdict, limit = result.verdict, limit_of(result.quantization, conversion.task)
    agreement = "top1_agreement" if conversion.task.exclusive else "label_agreement"
    return {
        "data": conversion.original.origin,
        **verdict.parity.to_dict(),
        "labelled": verdict.labelled,
        "source_correct": verdict.source_correct,
        "correct": verdict.correct,
        "engine": result.facts.engine,
        f"{agreement}_required": limit.agreement,
        "max_difference_allowed": limit.max_difference,
        "accuracy_loss_allowed": limit.accuracy_loss,
        "gate": f"failed, kept by force: {result.message}" if result.message else "passed",
        **({} if result.waveform is None else {"front_end": result.waveform.to_dict()}),
    }
