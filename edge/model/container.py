"""Texts inside a model file, where engines do not look at them.

A ``.tflite`` file carries them as associated files of the TFLite metadata convention: a zip archive
behind the flatbuffer, which ``unzip`` reads. An ``.onnx`` file carries them in its
``metadata_props``. Neither format's own library is needed to read or write them.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping

from edge_genre.errors import ModelError

LABELS = "labels.txt"
INFO = "edge_genre.json"
CARD = "MODEL_CARD.md"
NAMES = (LABELS, INFO, CARD)

_MAX_TEXT = 1 << 20
_TFLITE_METADATA = b"TFLITE_METADATA"
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the same model gives the same bytes, whenever it is made
# The header of one of these texts in an archive. The name alone says nothing: TFLite's own metadata
# name the file of the labels, too.
_ENTRY = re.compile(
    rb"PK\x03\x04.{26}(?:" + b"|".join(re.escape(name.encode()) for name in NAMES) + rb")",
    re.DOTALL,
)

# What zipfile raises on damaged archives, encrypted and unknown entries among them.
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, RuntimeError)


def kind_of(content: bytes) -> str:
    """``"tflite"`` or ``"onnx"``.

    Raises
    ------
    ModelError
        It is neither; the message says what it is instead.
    """
    if content[4:8] == b"TFL3":
        return "tflite"
    if not content:
        raise ModelError("the file is empty")
    others = {
        b"\x89HDF": "a Keras HDF5 file",
        b"PK\x03\x04": "a zip archive (.keras or PyTorch)",
        b"RIFF": "a WAV file",
        b"OggS": "an Ogg file",
        b"fLaC": "a FLAC file",
        b"{": "a JSON file",
    }
    for magic, what in others.items():
        if content.startswith(magic):
            raise ModelError(f"is {what}, expected a TFLite or ONNX model: convert it first")
    try:
        numbers = {number for number, _, _ in _onnx_fields(content)}
    except (IndexError, ValueError):
        numbers = set()
    # ModelProto: 1 is the IR version, 7 the graph; its highest field is 26.
    if {1, 7} <= numbers and max(numbers) <= 26:
        return "onnx"
    raise ModelError("is no TFLite or ONNX model, or only a part of one")


def join(graph: bytes, texts: Mapping[str, str]) -> bytes:
    """Attach texts to a graph that has none of these names; the opposite of `split`."""
    if kind_of(graph) == "onnx":
        return graph + b"".join(_onnx_property(name, text) for name, text in texts.items())
    stream = io.BytesIO(graph)
    with zipfile.ZipFile(stream, "a") as archive:
        # A card is for people; programs on small devices read the others as they stand. Readers of
        # TFLite's own metadata refuse an archive with anything compressed in it.
        small = zipfile.ZIP_STORED if _TFLITE_METADATA in graph else zipfile.ZIP_DEFLATED
        for name, text in texts.items():
            method = small if name == CARD else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), text, method, 9)
    return stream.getvalue()


def split(content: bytes) -> tuple[bytes, dict[str, str]]:
    """Take a model apart.

    Returns
    -------
    The graph alone, and the texts attached to it by their names, those of `NAMES` only

    Raises
    ------
    ModelError
        The content is no model, or what is attached is damaged.
    """
    if kind_of(content) == "onnx":
        return _split_onnx(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            graph = content[: min((e.header_offset for e in entries), default=len(content))]
            texts = {
                entry.filename: archive.read(entry).decode()
                for entry in entries
                if entry.filename in NAMES and entry.file_size <= _MAX_TEXT
            }
    except _BROKEN_ZIP as error:
        if _ENTRY.search(content):
            raise ModelError(f"the file is damaged or incomplete ({error})") from None
        return content, {}
    return graph, texts


def _split_onnx(content: bytes) -> tuple[bytes, dict[str, str]]:
    texts, kept = {}, []
    for number, value, (start, stop) in _onnx_fields(content):
        if number == 14:  # ModelProto.metadata_props: StringStringEntryProto(1 key, 2 value)
            entry = {n: v for n, v, _ in _onnx_fields(value)}
            key = entry.get(1, b"").decode(errors="replace")
            if key in NAMES:
                texts[key] = entry.get(2, b"").decode(errors="replace")
                continue
        kept.append(content[start:stop])
    return b"".join(kept), texts


def _onnx_fields(content: bytes) -> Iterator[tuple[int, bytes, tuple[int, int]]]:
    """Walk over the fields of one protobuf message: number, payload, and extent of the whole.

    Raises
    ------
    ValueError, IndexError
        The bytes are no such message, or end within a field.
    """
    position = 0
    while position < len(content):
        start = position
        tag, position = _varint(content, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            payload = position
            _, position = _varint(content, position)
        elif wire == 2:
            length, payload = _varint(content, position)
            position = payload + length
        elif wire in (1, 5):
            payload = position
            position += 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if number == 0 or position > len(content):
            raise ValueError("no such field, or cut off")
        yield number, content[payload:position], (start, position)


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _onnx_property(key: str, text: str) -> bytes:
    """One entry of ``metadata_props``. Repeated fields may stand anywhere in a message, so that
    appending one to a file adds it."""
    entry = _length_delimited(1, key.encode()) + _length_delimited(2, text.encode())
    return _length_delimited(14, entry)


def _length_delimited(number: int, payload: bytes) -> bytes:
    length, prefix = len(payload), bytearray([number << 3 | 2])
    while length >= 0x80:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + payload
