"""The model as it was trained, on real windows: what all formats are compared with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.description import Description
from edge_genre.convert.isolation import Children, Outcome
from edge_genre.convert.options import ConversionOptions
from edge_genre.convert.tasks import Describe, ModelFacts, Opening, RunSource
from edge_genre.convert.verify.windows import UNKNOWN, Windows, load_windows
from edge_genre.errors import ConversionError
from edge_genre.softmax import softmax


@dataclass(frozen=True)
class Original:
    """A trained model and what it answers.

    Parameters
    ----------
    path : the file or folder
    sha256 : of its content
    opening : how it is opened
    facts : what it is
    output : what its outputs are, one of `edge_genre.choices.OUTPUTS`
    probabilities : float32 [shape=(windows, classes)]
    labels : class of each window, int; `UNKNOWN` where nobody said
    origin : where the windows are from, in words
    features : the windows, a ``.npy`` file
    calibration : windows to take ranges of 8 bits from, likewise
    calibrated : how many these are
    """

    path: Path
    sha256: str
    opening: Opening
    facts: ModelFacts
    output: str
    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    origin: str
    features: str
    calibration: str
    calibrated: int

    @property
    def labelled(self) -> int:
        """How many windows have a known genre."""
        return int((self.labels != UNKNOWN).sum())


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
    shape = None if options.input_shape is None else tuple(options.input_shape)
    custom = None if options.custom is None else str(options.custom)
    opening = Opening(str(source.absolute()), options.architecture, custom, shape)
    options.tell("source", "windows")
    calibration, windows = _windows(source, options, described, opening, children).parts()
    features, outputs = folder / "windows.npy", folder / "reference.npy"
    np.save(features, windows.features)
    np.save(folder / "calibration.npy", calibration.features)
    options.tell("source", "running")
    facts = required(source, children.run(RunSource(opening, str(features), str(outputs))))
    rows = np.load(outputs)
    _require_rows(source, rows, len(described.info.labels))
    output = described.output or meaning(rows)
    return Original(
        path=source,
        sha256=_sha256(source),
        opening=replace(opening, input_shape=_fixed(facts)),
        facts=facts,
        output=output,
        probabilities=probabilities(rows, output),
        labels=windows.labels,
        origin=windows.origin,
        features=str(features),
        calibration=str(folder / "calibration.npy"),
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


def meaning(outputs: NDArray[np.float32]) -> str:
    """What rows of outputs are: ``"probabilities"``, ``"log_probabilities"`` or ``"logits"``."""
    # Ten probabilities of 8 bits may be off by half a step of 1/256 each.
    if (outputs >= -1e-6).all() and np.allclose(outputs.sum(axis=1), 1, atol=2e-2):
        return "probabilities"
    if (outputs <= 1e-6).all() and np.allclose(np.exp(outputs).sum(axis=1), 1, atol=1e-2):
        return "log_probabilities"
    return "logits"


def probabilities(outputs: NDArray[np.float32], meaning: str) -> NDArray[np.float32]:
    """Rows of outputs as probabilities, by softmax unless they are probabilities already."""
    rows = outputs.astype(np.float64)
    if meaning != "probabilities":
        return np.asarray(softmax(rows), np.float32)
    return np.asarray(rows / rows.sum(axis=1, keepdims=True), np.float32)


def _windows(
    source: Path,
    options: ConversionOptions,
    described: Description,
    opening: Opening,
    children: Children,
) -> Windows:
    spec = described.info.front_end
    shape = spec.shape if spec else opening.input_shape
    if shape is None:
        # A model of other features: only its file knows what it takes.
        facts = required(source, children.run(Describe(opening)))
        if None in facts.input_shape:
            raise ConversionError(f"{source}: takes windows of any length: give --input-shape")
        shape = _fixed(facts)
    return load_windows(options.music, spec=spec, shape=shape, labels=described.info.labels)


def _fixed(facts: ModelFacts) -> tuple[int, ...]:
    """The input's lengths, all of which are known."""
    return tuple(size for size in facts.input_shape if size is not None)


def _require_rows(source: Path, rows: NDArray[np.float32], n_labels: int) -> None:
    if rows.ndim != 2 or rows.shape[1] != n_labels:
        raise ConversionError(
            f"{source}: gives outputs of shape {rows.shape[1:]}, but there are {n_labels} labels"
        )
    if not np.isfinite(rows).all():
        raise ConversionError(f"{source}: gives NaN or infinity on real windows")


def _sha256(path: Path) -> str:
    """Of a file; of a folder, over its files' names and contents in order."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(path)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
