"""TFLite's own metadata: what MediaPipe Tasks' ``AudioClassifier`` reads of a waveform file.

A flatbuffer of its own (identifier ``M001``, see TensorFlow's ``metadata_schema.fbs``) in a buffer
of the graph called ``TFLITE_METADATA``. It gives the input's sample rate and channels, and names
the file of the labels, which `edge_genre.model.container` attaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table

from edge_genre.convert.tflite.flatbuffer import pack, parse, schema
from edge_genre.errors import ConversionError
from edge_genre.model.container import LABELS, kind_of, split
from edge_genre.model.file import ModelInfo

NAME = b"TFLITE_METADATA"
IDENTIFIER = b"M001"
_PARSER = "1.3.0"  # the first version of the schema with audio
_AUDIO = 4  # ContentProperties.AudioProperties
_AXIS_LABELS = 2  # AssociatedFileType.TENSOR_AXIS_LABELS
_SCORE_THRESHOLDING = 3  # ProcessUnitOptions.ScoreThresholdingOptions


@dataclass(frozen=True)
class AudioMetadata:
    """What a file's TFLite metadata say.

    Parameters
    ----------
    name, description, version, license : of the model
    sample_rate, channels : of its input
    labels : name of the associated file with a label a line
    noun : what a label is
    threshold : what reaches it is given, what does not is left out; None where all is given
    explanations : names of the outputs behind the first
    """

    name: str
    description: str
    version: str
    license: str
    sample_rate: int
    channels: int
    labels: str
    noun: str = "genre"
    threshold: float | None = None
    explanations: tuple[str, ...] = ()


def with_metadata(graph: bytes, info: ModelInfo) -> bytes:
    """Write TFLite metadata into a waveform graph, in place of any that it had.

    Scores need no calibration: what the graph gives are probabilities. Of labels with thresholds,
    `AudioClassifier` knows one for all: the lowest, so that it leaves out no label that holds.

    Parameters
    ----------
    graph : TFLite, without edge-genre's texts
    info : what the file will say of itself

    Raises
    ------
    ConversionError
        The graph is damaged, or is not the one that is described: it takes another number of
        samples, or gives another number of classes.
    """
    model = parse(graph)
    spec = info.front_end
    if spec is None or not spec.is_samples:
        raise ConversionError("TFLite metadata are for graphs that take samples: give --waveform")
    _require_fit(model, spec.window_samples, info)
    described = AudioMetadata(
        name=info.name,
        description=info.description,
        version=info.version,
        license=info.license,
        sample_rate=spec.sample_rate,
        channels=1,
        labels=LABELS,
        noun=info.task.noun,
        threshold=min(info.task.thresholds, default=None),
        explanations=info.task.explanations,
    )
    types = schema()
    buffer, entry = types.BufferT(), types.MetadataT()
    buffer.data = np.frombuffer(_packed(described), np.uint8)
    entry.name, entry.buffer = NAME, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [each for each in model.metadata or [] if each.name != NAME] + [entry]
    return pack(model)


def read_metadata(content: bytes) -> AudioMetadata | None:
    """Read a file's TFLite metadata; None if there are none, or they are not of audio.

    Raises
    ------
    ModelError, ConversionError
        It is no TFLite file, or a damaged one.
    """
    graph, _ = split(content)
    model = parse(graph)
    for entry in model.metadata or []:
        if entry.name == NAME:
            try:
                return _unpacked(bytes(model.buffers[entry.buffer].data))
            except Exception as error:  # flatbuffers checks nothing
                raise ConversionError(f"the TFLite metadata are damaged ({error!r})") from error
    return None


def check_metadata(content: bytes, info: ModelInfo) -> None:
    """Compare a file's TFLite metadata, if it has any, with its graph and its description.

    Raises
    ------
    ModelError, ConversionError
        They differ, or the file is damaged.
    """
    if kind_of(content) != "tflite":
        return
    found, spec = read_metadata(content), info.front_end
    if found is None:
        return
    if spec is None or not spec.is_samples:
        raise ConversionError(
            f"the TFLite metadata say that the graph takes samples at {found.sample_rate} Hz, "
            f"but its front end is {spec.kind if spec else 'none'}: give one of kind waveform"
        )
    for what, said, expected in (
        ("sample rate", found.sample_rate, spec.sample_rate),
        ("number of channels", found.channels, 1),
    ):
        if said != expected:
            raise ConversionError(
                f"the TFLite metadata do not match: their {what} is {said}, expected {expected}"
            )
    _require_fit(parse(split(content)[0]), spec.window_samples, info)


def _require_fit(model: Any, samples: int, info: ModelInfo) -> None:
    subgraph, classes = model.subgraphs[0], len(info.labels)
    outputs = 1 + len(info.task.explanations)  # at least: of a source, a part may be kept
    for what, tensors, count, expected in (
        ("takes", subgraph.inputs, 1, samples),
        ("gives", subgraph.outputs, outputs, classes),
    ):
        ends = [subgraph.tensors[index] for index in tensors]
        if any(each.shapeSignature is not None and -1 in each.shapeSignature for each in ends):
            continue  # of any length
        shapes = [[int(size) for size in each.shape] for each in ends]
        if len(shapes) < count or [size for size in shapes[0] if size != 1] != [expected]:
            found = " and ".join(" x ".join(map(str, shape)) for shape in shapes)
            unit = "samples" if what == "takes" else "labels"
            raise ConversionError(
                f"the TFLite metadata do not match: the graph {what} {found}, but there are "
                f"{expected} {unit}"
            )


class _Number(int):
    """An unsigned 32-bit field; a plain int is a one-byte enumeration."""


def _packed(described: AudioMetadata) -> bytes:
    builder = flatbuffers.Builder(1024)

    def vector(*items: int) -> int:
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            builder.PrependUOffsetTRelative(item)
        return int(builder.EndVector())

    def table(size: int, offsets: dict[int, int], scalars: dict[int, float] | None = None) -> int:
        """Fields by their slots: other tables, texts and vectors, and numbers."""
        builder.StartObject(size)
        for slot, value in (scalars or {}).items():
            if isinstance(value, float):
                builder.PrependFloat32Slot(slot, value, 0.0)
            elif isinstance(value, _Number):
                builder.PrependUint32Slot(slot, value, 0)
            else:
                builder.PrependUint8Slot(slot, value, 0)
        for slot, value in offsets.items():
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return int(builder.EndObject())

    text = builder.CreateString
    rate, channels = _Number(described.sample_rate), _Number(described.channels)
    audio = table(2, {}, {0: rate, 1: channels})
    noun = described.noun
    labels = table(5, {0: text(described.labels), 1: text(f"a {noun} a line")}, {2: _AXIS_LABELS})
    names = text("audio_clip"), text("mono, full scale 1")
    samples = table(7, {0: names[0], 1: names[1], 3: table(3, {1: audio}, {0: _AUDIO})})
    names = text("probability"), text(f"of each {noun}")
    files, content = vector(labels), table(3, {1: table(0, {})}, {0: 1})
    of_scores = {0: names[0], 1: names[1], 3: content, 6: files}
    if described.threshold is not None:
        thresholding = table(1, {}, {0: described.threshold})
        of_scores[4] = vector(table(2, {1: thresholding}, {0: _SCORE_THRESHOLDING}))
    scores = table(7, of_scores)
    others = [table(7, {0: text(name)}) for name in described.explanations]
    inputs, outputs = vector(samples), vector(scores, *others)
    subgraphs = vector(table(10, {2: inputs, 3: outputs}))
    texts = {
        0: described.name,
        1: described.description,
        2: described.version,
        5: described.license,
        7: _PARSER,
    }
    root = {slot: text(value) for slot, value in texts.items()}
    builder.Finish(table(8, root | {3: subgraphs}), IDENTIFIER)
    return bytes(builder.Output())


def _unpacked(buffer: bytes) -> AudioMetadata | None:
    if buffer[4:8] != IDENTIFIER:
        raise ValueError(f"identifier {buffer[4:8]!r}, expected {IDENTIFIER!r}")

    def field(of: Table, slot: int) -> int:
        """Where a field lies in the buffer; 0 if it is not there."""
        offset = of.Offset(4 + 2 * slot)
        return int(of.Pos + offset) if offset else 0

    def child(of: Table, slot: int) -> Table:
        place = field(of, slot)
        return Table(buffer, of.Indirect(place)) if place else Table(buffer, 0)

    def every(of: Table | None, slot: int) -> list[Table]:
        offset = of.Offset(4 + 2 * slot) if of else 0
        if not of or not offset:
            return []
        start = of.Vector(offset)
        return [Table(buffer, of.Indirect(start + 4 * k)) for k in range(of.VectorLen(offset))]

    def first(of: Table | None, slot: int) -> Table | None:
        return next(iter(every(of, slot)), None)

    def text(of: Table, slot: int) -> str:
        place = field(of, slot)
        return bytes(of.String(place)).decode() if place else ""

    def number(of: Table, slot: int, kind: Any) -> int:
        place = field(of, slot)
        return int(of.Get(kind, place)) if place else 0

    model = Table(buffer, int.from_bytes(buffer[:4], "little"))
    subgraph = first(model, 3)
    source, result = first(subgraph, 2), first(subgraph, 3)
    if source is None or not field(source, 3):
        return None
    content = child(source, 3)
    if number(content, 0, number_types.Uint8Flags) != _AUDIO:
        return None
    audio = child(content, 1)
    labels, unit = first(result, 6), first(result, 4)
    threshold = None
    if unit and number(unit, 0, number_types.Uint8Flags) == _SCORE_THRESHOLDING:
        place = field(child(unit, 1), 0)
        threshold = float(child(unit, 1).Get(number_types.Float32Flags, place)) if place else 0.0
    return AudioMetadata(
        name=text(model, 0),
        description=text(model, 1),
        version=text(model, 2),
        license=text(model, 5),
        sample_rate=number(audio, 0, number_types.Uint32Flags),
        channels=number(audio, 1, number_types.Uint32Flags),
        labels=text(labels, 0) if labels else "",
        noun=text(result, 1).removeprefix("of each ") if result else "",
        threshold=threshold,
        explanations=tuple(text(each, 0) for each in every(subgraph, 3)[1:]),
    )
