"""One file that describes itself: a model with its front end, labels, card and self-test.

The description is texts in the file's container (see `edge_genre.model.container`):
``labels.txt``, a label a line; ``edge_genre.json``; and ``MODEL_CARD.md``, for people, where there
is a card.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_genre.choices import OUTPUTS
from edge_genre.errors import ModelError, SpecError
from edge_genre.frontend import FrontEndSpec
from edge_genre.host.files import reading, write_whole, writing
from edge_genre.model.container import CARD, INFO, LABELS, join, kind_of, split
from edge_genre.model.input import AUDIO, Input, require_together
from edge_genre.model.self_test import SelfTest
from edge_genre.results import NOTHING, SILENCE
from edge_genre.task import GENRES, Task

FORMAT_VERSION = 2  # the newest; all from 1 on are read, and the oldest that suffices is written

_TEXTS = ("name", "version", "license", "description", "quantization")
_OBJECTS = ("training", "provenance", "parity")


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a model file says of itself.

    Parameters
    ----------
    inputs : what it takes, each with the features that it was trained on; none for a model of
        features that are not audio's
    labels : its classes, in the order of its outputs
    output : what its outputs are: ``"probabilities"``, ``"logits"`` or ``"log_probabilities"``
    task : what its outputs mean
    name, version, license, description : for people
    quantization : ``"fp32"``, ``"fp16"``, ``"dynamic"`` or ``"int8"``
    training : data, split and recipe
    accuracy : one entry a figure: data, split, unit (window or track), n, correct
    song_temperature : of the mean probabilities of a song; see `edge_genre.results.vote`
    provenance : the file that it was made from, by what and with which options
    parity : how far its probabilities are from those of that file
    self_test : what it must answer to a known signal
    card : model card in Markdown
    """

    inputs: tuple[Input, ...]
    labels: tuple[str, ...]
    output: str = "probabilities"
    task: Task = GENRES
    name: str = ""
    version: str = ""
    license: str = ""
    description: str = ""
    quantization: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    accuracy: tuple[dict[str, Any], ...] = ()
    song_temperature: float = 1.0
    provenance: dict[str, Any] = field(default_factory=dict)
    parity: dict[str, Any] = field(default_factory=dict)
    self_test: SelfTest | None = None
    card: str = ""

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            raise ModelError(f"output is {self.output!r}, expected one of {', '.join(OUTPUTS)}")
        require_together(self.inputs)
        require_labels(self.labels, self.task)
        object.__setattr__(self, "task", self.task.of_labels(self.labels))
        for key in _TEXTS:
            if not isinstance(getattr(self, key), str):
                raise ModelError(f"{key} is {getattr(self, key)!r}, expected a text")
        for key in _OBJECTS:
            if not isinstance(getattr(self, key), dict):
                raise ModelError(f"{key} is {getattr(self, key)!r}, expected an object")
        temperature = self.song_temperature
        if not (isinstance(temperature, int | float) and 0 < temperature < math.inf):
            raise ModelError(f"song_temperature is {temperature!r}, expected a positive number")
        for figure in self.accuracy:
            if not _is_figure(figure):
                raise ModelError(f"accuracy is {figure!r}, expected data, unit, n and correct")
        if self.self_test is not None:
            self._require_fit(self.self_test)

    def _require_fit(self, test: SelfTest) -> None:
        expected = len(test.probabilities)
        if expected != len(self.labels):
            raise ModelError(f"self-test is of {expected} classes, found {len(self.labels)} labels")
        if len(test.features) != len(self.inputs):
            raise ModelError(
                f"self-test is of {len(test.features)} inputs, found {len(self.inputs)}"
            )

    @property
    def front_end(self) -> FrontEndSpec | None:
        """The front end of the first input; None for features that are not audio's."""
        return self.inputs[0].front_end if self.inputs else None

    @property
    def format_version(self) -> int:
        """The oldest format that can say all of it."""
        several, task = len(self.inputs) > 1, self.task != GENRES
        specs = [each.front_end.format_version for each in self.inputs]
        return max([2 if several or task else 1, *specs])

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the labels and the card, ready for JSON."""
        taken: dict[str, Any]
        if self.format_version == 1:
            spec = self.front_end
            taken = {"front_end": spec and spec.to_dict(), "front_end_hash": spec and spec.hash}
            meant: dict[str, Any] = {}
        else:
            taken = {"inputs": [each.to_dict() for each in self.inputs]}
            meant = {"task": self.task.to_dict()}
        return {
            "format_version": self.format_version,
            "name": self.name,
            "version": self.version,
            "license": self.license,
            "description": self.description,
            **taken,
            "output": self.output,
            **meant,
            "quantization": self.quantization,
            "training": self.training,
            "accuracy": list(self.accuracy),
            "song_temperature": self.song_temperature,
            "provenance": self.provenance,
            "parity": self.parity,
            "self_test": self.self_test and self.self_test.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any], labels: Sequence[str], card: str = "") -> ModelInfo:
        """Build from JSON values.

        Raises
        ------
        ModelError
            The format is newer than this program, a value is missing or of the wrong type, or the
            front-end spec does not match its hash.
        """
        version = _readable(values.get("format_version"))
        try:
            if version == 1:
                inputs, task = _inputs_of_format_1(values), GENRES
            else:
                inputs, task = values["inputs"], Task.from_dict(values["task"])
            test = values.get("self_test")
            return cls(
                inputs=tuple(map(Input.from_dict, inputs)),
                labels=tuple(labels),
                card=card,
                output=values["output"],
                task=task,
                self_test=None if test is None else SelfTest.from_dict(test),
                accuracy=tuple(values.get("accuracy", ())),
                song_temperature=values.get("song_temperature", 1.0),
                **{key: values[key] for key in (*_TEXTS, *_OBJECTS) if key in values},
            )
        except SpecError as error:
            raise ModelError(str(error)) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{INFO} is not as expected: {error!r}") from None


def require_labels(labels: Sequence[str], task: Task) -> None:
    """Refuse labels that no model of a task can have.

    Raises
    ------
    ModelError
        There are none, one is twice there, or it is no text of one line, or says something else.
    """
    reserved = {SILENCE}
    if not task.exclusive:
        reserved.add(NOTHING)  # the answer where none of them holds
    if not labels or not all(labels) or len(set(labels)) != len(labels) or reserved & {*labels}:
        words = " or ".join(map(repr, sorted(reserved, reverse=True)))
        raise ModelError(
            f"labels must be distinct, not empty and not {words}, found {list(labels)}"
        )
    for label in labels:
        if not isinstance(label, str) or label.splitlines() != [label]:
            raise ModelError(f"a label is {label!r}, expected a text of one line")


@dataclass(frozen=True)
class ModelFile:
    """A model file as it was read: the graph, its kind, and what it says of itself.

    ``info`` is None for a file that edge-genre did not make; ``labels`` may stand there even then.
    """

    path: Path
    kind: str  # "tflite" or "onnx"
    content: bytes  # the graph with what is attached to it: engines take it as it is
    info: ModelInfo | None

    @property
    def size(self) -> int:
        """Bytes, all in all."""
        return len(self.content)


def read(path: str | Path) -> ModelFile:
    """Read a model file and check that it is whole.

    Raises
    ------
    ModelError
        It is missing, empty, damaged, of another kind, or its texts are inconsistent.
    """
    path = Path(path)
    with reading(path, ModelError):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ModelError(f"{path}: no such model file") from None
    try:
        kind = kind_of(content)
        graph, texts = split(content)
        info = _parse(texts, graph)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    return ModelFile(path, kind, content, info)


def attach(model: bytes, info: ModelInfo) -> bytes:
    """Return a model with its description attached, in place of any that it had.

    Parameters
    ----------
    model : the content of a TFLite or ONNX file

    Raises
    ------
    ModelError
        The content is neither.
    """
    graph, _ = split(model)
    values = info.to_dict()
    values["sha256"] = digest(graph, info.labels, values, info.card)
    texts = {
        LABELS: "".join(f"{label}\n" for label in info.labels),
        INFO: json.dumps(values, indent=2, ensure_ascii=False) + "\n",
    }
    if info.card:
        texts[CARD] = info.card
    return join(graph, texts)


def digest(graph: bytes, labels: Sequence[str], values: dict[str, Any], card: str = "") -> str:
    """SHA-256 of everything in a model file: the graph, the labels, the description, any card.

    The description counts as JSON with sorted keys and no spaces, without its key ``sha256``.
    """
    described = {key: value for key, value in values.items() if key != "sha256"}
    text = json.dumps([list(labels), described], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(graph + text.encode() + card.encode()).hexdigest()


def write(path: str | Path, model: bytes, info: ModelInfo) -> None:
    """Write a model file with its description, whole or not at all.

    Raises
    ------
    ModelError
        The model is neither TFLite nor ONNX, or the file cannot be written.
    """
    content = attach(model, info)
    with writing(path, ModelError):
        write_whole(Path(path), content)


def _inputs_of_format_1(values: dict[str, Any]) -> list[dict[str, Any]]:
    described = {key: values[key] for key in ("front_end", "front_end_hash")}
    if described == {"front_end": None, "front_end_hash": None}:
        return []
    return [{"name": AUDIO, **described}]


def _readable(version: object) -> int:
    """A format's version; refuses one that no edge-genre wrote, or that came after this one."""
    if type(version) is not int or version < 1:
        raise ModelError(f"{INFO} has format version {version!r}, expected a whole number from 1")
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{INFO} has format version {version}; this edge-genre reads 1 to {FORMAT_VERSION}: "
            "update edge-genre"
        )
    return version


def _parse(texts: dict[str, str], graph: bytes) -> ModelInfo | None:
    if INFO not in texts:
        return None
    try:
        values = json.loads(texts[INFO])
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{INFO} is not JSON: {error}") from None
    if not isinstance(values, dict) or LABELS not in texts:
        raise ModelError(f"expected a JSON object in {INFO} and labels in {LABELS}")
    labels, card = texts[LABELS].splitlines(), texts.get(CARD, "")
    if values.get("sha256") != digest(graph, labels, values, card):
        raise ModelError("damaged or edited: its SHA-256 is not the one it was saved with")
    return ModelInfo.from_dict(values, labels, card)


def _is_figure(figure: object) -> bool:
    if not isinstance(figure, dict) or not {"data", "unit", "n", "correct"} <= set(figure):
        return False
    n, correct = figure["n"], figure["correct"]
    return isinstance(n, int) and isinstance(correct, int) and 0 <= correct <= n > 0
