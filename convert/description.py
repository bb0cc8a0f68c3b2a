"""What the files of a conversion will say of themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_genre.convert.options import ConversionOptions
from edge_genre.convert.outputs.meaning import Meaning
from edge_genre.convert.tflite.metadata import check_metadata
from edge_genre.errors import ConversionError, ModelError
from edge_genre.model.file import ModelInfo, read
from edge_genre.model.input import Input
from edge_genre.task import GENRES, THRESHOLD, Task

INSIDE = "front_end_in_graph"


@dataclass(frozen=True)
class Description:
    """A source's own description, or the one that the options give.

    Parameters
    ----------
    info : the description
    known : what the source's outputs are and mean; None where that has to be found out
    inside : what its provenance says of a front end that its graph has already
    """

    info: ModelInfo
    known: Meaning | None
    inside: dict[str, Any]

    def completed(
        self, meaning: Meaning, inputs: Sequence[str], options: ConversionOptions
    ) -> Description:
        """The same with what was found by running the source.

        Parameters
        ----------
        inputs : their names in the order of the graph

        Raises
        ------
        ConversionError
            Thresholds are given, but labels have none.
        """
        info = self.info
        task = replace(info.task, kind=meaning.kind, thresholds=())
        if not task.exclusive:
            task = replace(task, thresholds=_thresholds(info, options))
        elif options.thresholds or options.threshold is not None:
            raise ConversionError(
                f"--threshold is for labels that each hold or not, but one {task.noun} is sought: "
                "leave it out"
            )
        named = {each.name: each for each in info.inputs}
        ordered = tuple(named[name] for name in inputs) if len(named) > 1 else info.inputs
        return replace(self, info=replace(info, inputs=ordered, task=task))


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
    _require_labels(options, options.labels)
    info = ModelInfo(
        inputs=options.inputs,
        labels=tuple(options.labels),
        task=Task(
            noun=GENRES.noun if options.noun is None else options.noun,
            background=options.background,
            explanations=tuple(options.explain),
        ),
        name=options.name or source.stem,
        version="1",
        license=options.license,
        description=options.description,
    )
    if file is not None and info.front_end is not None:
        check_metadata(file.content, info)
    return Description(info, None, {})


def inside_graph(inputs: Sequence[Input]) -> dict[str, Any]:
    """What a file's provenance says of the front end that its graph has; of several, by name."""
    specs = {each.name: each.front_end for each in inputs}
    if len(specs) == 1:
        (spec,) = specs.values()
        return {INSIDE: spec.to_dict(), f"{INSIDE}_hash": spec.hash}
    return {
        INSIDE: {name: spec.to_dict() for name, spec in specs.items()},
        f"{INSIDE}_hash": {name: spec.hash for name, spec in specs.items()},
    }


def _own(source: Path, own: ModelInfo, options: ConversionOptions) -> Description:
    if options.labels is not None or options.front_end is not None:
        raise ConversionError(f"{source}: describes itself: leave --frontend and --labels out")
    in_graph = INSIDE in own.provenance and source.suffix != ".tflite"
    if in_graph and set(options.quantize or ()) - {"fp32"}:
        raise ConversionError(
            f"{source}: has its front end in the graph, which must stay in float: "
            "quantize the file that it was made from, with --waveform"
        )
    if options.kind not in (None, own.task.kind):
        raise ConversionError(
            f"{source}: says that its task is {own.task.option}, not "
            f"{options.task}: leave --task out"
        )
    _require_labels(options, own.labels)
    task = replace(
        own.task,
        noun=own.task.noun if options.noun is None else options.noun,
        background=own.task.background if options.background is None else options.background,
        explanations=tuple(options.explain) or own.task.explanations,
    )
    info = replace(
        own,
        task=task,
        license=options.license or own.license,
        description=options.description or own.description,
    )
    inside = {key: value for key, value in own.provenance.items() if key.startswith(INSIDE)}
    return Description(info, Meaning(options.outputs or own.output, task.kind), inside)


def _require_labels(options: ConversionOptions, labels: Sequence[str]) -> None:
    """Refuse what is said of labels that there are not."""
    named = [] if options.background is None else [("--background", options.background)]
    for option, label in (*named, *(("--threshold", label) for label in options.thresholds)):
        if label not in labels:
            raise ConversionError(
                f"{option} names {label!r}, which is none of the {len(labels)} labels, "
                f"{labels[0]} to {labels[-1]}"
            )


def _thresholds(info: ModelInfo, options: ConversionOptions) -> tuple[float, ...]:
    """A threshold for each label: what is given, or what the file says."""
    own = info.task.thresholds or (THRESHOLD,) * len(info.labels)
    return tuple(
        options.thresholds.get(label, before if options.threshold is None else options.threshold)
        for label, before in zip(info.labels, own, strict=True)
    )
