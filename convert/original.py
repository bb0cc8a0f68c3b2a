"""The model as it was trained, on real windows: what all formats are compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.description import Description
from edge_genre.convert.isolation import Children, Outcome
from edge_genre.convert.options import ConversionOptions
from edge_genre.convert.outputs.meaning import Meaning, meaning
from edge_genre.convert.steps import Describe, ModelFacts, Opening, RunSource
from edge_genre.convert.tensors import TensorSpec, matched, save
from edge_genre.convert.verify.windows import UNKNOWN, load_windows
from edge_genre.errors import ConversionError
from edge_genre.task import Task


@dataclass(frozen=True)
class Original:
    """A trained model and what it answers.

    Parameters
    ----------
    path : the file or folder
    sha256 : of its content
    opening : how it is opened
    facts : what it is
    meaning : what its outputs are and mean
    outputs : as it gives them, float32 [shape=(windows, classes)]
    labels : class of each window, int, or of each the labels that hold [shape=(windows, classes)];
        `UNKNOWN` where nobody said
    origin : where the windows are from, in words
    features : the windows, as a file of `edge_genre.convert.tensors`
    calibration : windows to take ranges of 8 bits from, likewise
    calibrated : how many these are
    """

    path: Path
    sha256: str
    opening: Opening
    facts: ModelFacts
    meaning: Meaning
    outputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    origin: str
    features: str
    calibration: str
    calibrated: int

    @property
    def output(self) -> str:
        """What its outputs are, one of `edge_genre.choices.OUTPUTS`."""
        return self.meaning.output

    @property
    def labelled(self) -> int:
        """How many windows have known labels."""
        return int((self.labels != UNKNOWN).reshape(len(self.labels), -1).all(axis=1).sum())

    def probabilities(self, task: Task) -> NDArray[np.float32]:
        """What it gives, by the task [shape=(windows, classes)]."""
        rows = task.probabilities(self.outputs.astype(np.float64), self.output)
        return np.asarray(rows, np.float32)


def run_original(
    source: Path,
    options: ConversionOptions,
    described: Description,
    folder: Path,
    children: Children,
) -> Original:
    """Find windows, and run the model on them in its own framework.

    Parameters
    ----------
    source : the file or folder
    described : what it is said to be
    folder : for arrays

    Raises
    ------
    ConversionError
        There are no windows, or the model cannot be opened, does not run on them, or gives
        something else than a number for each label.
    """
    custom = None if options.custom is None else str(options.custom)
    opening = Opening(str(source.absolute()), options.architecture, custom, options.shapes)
    options.tell("source", "windows")
    inputs = _inputs(source, described, opening, children)
    names = tuple(each.name for each in inputs)
    opening = replace(opening, inputs=_shapes_of(options.shapes, names))
    specs = [each.front_end for each in described.info.inputs]
    labels = described.info.labels
    found = load_windows(options.music, inputs=inputs, specs=specs, labels=labels)
    calibration, windows = found.parts()
    outputs = folder / "reference.npy"
    paths = [folder / "windows.npz", folder / "calibration.npz"]
    for path, each in zip(paths, (windows, calibration), strict=True):
        save(path, each.features)
    options.tell("source", "running")
    explain = described.info.task.explanations
    step = RunSource(opening, names, len(labels), explain, str(paths[0]), str(outputs))
    facts = required(source, children.run(step))
    own = [each.name for each in facts.inputs]
    if isinstance(options.front_end, Mapping) and set(own) != set(names):
        # Of several inputs that was found out before the model ran; a single one ran all the same.
        raise ConversionError(
            f"{source}: --frontend is of the input {', '.join(names)}, but the model's is "
            f"{', '.join(own)}"
        )
    # From here on all is in the model's own order.
    order = matched(own, names)
    if order != sorted(order):
        for path, each in zip(paths, (windows, calibration), strict=True):
            save(path, [each.features[index] for index in order])
    rows = np.load(outputs)
    found_out = described.known or _meaning(source, rows, facts, options)
    return Original(
        path=source,
        sha256=_sha256(source),
        opening=replace(opening, inputs=facts.inputs, outputs=facts.outputs),
        facts=facts,
        meaning=found_out,
        outputs=rows,
        labels=_labels_of(windows.labels, found_out, options, len(labels)),
        origin=windows.origin,
        features=str(paths[0]),
        calibration=str(paths[1]),
        calibrated=len(calibration),
    )


def required(source: Path, outcome: Outcome[ModelFacts]) -> ModelFacts:
    """What a step found without which there is no conversion.

    Raises
    ------
    ConversionError
        It was not done.
    """
    if outcome.found is not None:
        return outcome.found
    message = outcome.message
    raise ConversionError(message if str(source) in message else f"{source}: {message}")


def _meaning(
    source: Path, rows: NDArray[np.float32], facts: ModelFacts, options: ConversionOptions
) -> Meaning:
    try:
        return meaning(rows, facts.activation, output=options.outputs, kind=options.kind)
    except ConversionError as error:
        raise ConversionError(f"{source}: {error}") from None


def _labels_of(
    labels: NDArray[np.int64], meaning: Meaning, options: ConversionOptions, n_labels: int
) -> NDArray[np.int64]:
    """Labels of windows as the task has them: a class each, or which of all labels hold."""
    if Task(kind=meaning.kind).exclusive:
        if labels.ndim > 1:
            raise ConversionError(
                f"{options.music}: y is of shape {labels.shape}, but one label is sought: expected "
                f"the label of each window, of shape ({len(labels)},)"
            )
        return labels
    if labels.ndim > 1:
        return labels
    # The class of a window, or the folder of a file, does not say which other labels hold.
    return np.full((len(labels), n_labels), UNKNOWN)


def _shapes_of(given: Sequence[TensorSpec], names: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """The shapes that are given, with the names of their inputs."""
    if len(given) == len(names) == 1:
        return (replace(given[0], name=names[0]),)
    for each in given:
        if each.name not in names:
            raise ConversionError(
                f"--input-shape is of {each.name or 'one input without a name'}, but the inputs "
                f"are {' and '.join(names)}"
            )
    return tuple(given)


def _inputs(
    source: Path, described: Description, opening: Opening, children: Children
) -> tuple[TensorSpec, ...]:
    """What windows are needed of: by the front ends, by the shapes that are given, or the file."""
    if described.info.inputs:
        return tuple(TensorSpec(each.name, each.front_end.shape) for each in described.info.inputs)
    if opening.inputs:
        return opening.inputs
    # A model of other features: only its file knows what it takes.
    facts = required(source, children.run(Describe(opening)))
    if any(None in each.shape for each in facts.inputs):
        raise ConversionError(f"{source}: takes windows of any length: give --input-shape")
    return facts.inputs


def _sha256(path: Path) -> str:
    """Of a file; of a folder, over its files' names and contents in order."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(path)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
