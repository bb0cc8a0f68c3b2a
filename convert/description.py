"""What the files of a conversion will say of themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_genre.convert.options import ConversionOptions
from edge_genre.convert.tflite.metadata import check_metadata
from edge_genre.errors import ConversionError, ModelError
from edge_genre.frontend import FrontEndSpec
from edge_genre.model.file import ModelInfo, read

INSIDE = "front_end_in_graph"


@dataclass(frozen=True)
class Description:
    """A source's own description, or the one that the options give.

    Parameters
    ----------
    info : the description
    output : what the source's outputs are; None where that has to be found out
    inside : what its provenance says of a front end that its graph has already
    """

    info: ModelInfo
    output: str | None
    inside: dict[str, Any]

    def in_order(self, names: Sequence[str]) -> Description:
        """The same with several inputs in another order."""
        inputs = {each.name: each for each in self.info.inputs}
        if len(inputs) < 2:
            return self
        return replace(self, info=replace(self.info, inputs=tuple(inputs[name] for name in names)))


def described(source: Path, options: ConversionOptions) -> Description:
    """Describe a source.

    Raises
    ------
    ConversionError
        Neither the file nor the options say what its classes are, or both do.
    """
    file = own = None
    # Of no TFLite or ONNX file; whoever opens it will say if it is no model at all.
    with contextlib.suppress(ModelError):
        file = read(source)
        own = file.info
    if own is not None:
        return _own(source, own, options)
    if options.labels is None:
        raise ConversionError(f"{source}: says nothing of its classes: give them with --labels")
    info = ModelInfo(
        inputs=options.inputs,
        labels=tuple(options.labels),
        name=options.name or source.stem,
        version="1",
        license=options.license,
        description=options.description,
    )
    if file is not None and info.front_end is not None:
        check_metadata(file.content, info)
    return Description(info, options.outputs, {})


def inside_graph(spec: FrontEndSpec) -> dict[str, Any]:
    """What a file's provenance says of the front end that its graph has."""
    return {INSIDE: spec.to_dict(), f"{INSIDE}_hash": spec.hash}


def _own(source: Path, own: ModelInfo, options: ConversionOptions) -> Description:
    if options.labels is not None or options.front_end is not None:
        raise ConversionError(f"{source}: describes itself: leave --frontend and --labels out")
    in_graph = INSIDE in own.provenance and source.suffix != ".tflite"
    if in_graph and set(options.quantize or ()) - {"fp32"}:
        raise ConversionError(
            f"{source}: has its front end in the graph, which must stay in float: "
            "quantize the file that it was made from, with --waveform"
        )
    info = replace(
        own,
        license=options.license or own.license,
        description=options.description or own.description,
    )
    inside = {key: value for key, value in own.provenance.items() if key.startswith(INSIDE)}
    return Description(info, options.outputs or own.output, inside)
