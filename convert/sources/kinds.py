"""What kind of model a file is, told by its content: suffixes are often wrong."""

from __future__ import annotations

import zipfile
from pathlib import Path

from edge_genre.errors import ConversionError, ModelError
from edge_genre.model.container import kind_of

_HDF5 = b"\x89HDF\r\n\x1a\n"
_PICKLE = b"\x80"  # the opcode that opens a pickle of protocol 2 or later

# What people hand over by mistake, by its first bytes.
_OTHERS = {
    b"RIFF": "a WAV file",
    b"OggS": "an Ogg file",
    b"fLaC": "a FLAC file",
    b"ID3": "an MP3 file",
    b"\x93NUMPY": "a NumPy array",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"{": "a JSON file",
}
_EXPECTED = (
    "expected a Keras file (.keras, .h5), a SavedModel folder, a PyTorch checkpoint, ONNX or TFLite"
)


def source_kind(path: Path) -> str:
    """``"keras"``, ``"h5"``, ``"saved_model"``, ``"pytorch"``, ``"onnx"`` or ``"tflite"``.

    Raises
    ------
    ConversionError
        It is none of them; the message says what it looks like.
    OSError
        It cannot be read.
    """
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return "saved_model"
        raise ConversionError(f"is a folder without saved_model.pb, {_EXPECTED}")
    with path.open("rb") as stream:
        head = stream.read(16)
    if head.startswith(_HDF5):
        return "h5"
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    if head.startswith(_PICKLE):
        return "pytorch"
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            raise ConversionError(f"is {what}, {_EXPECTED}")
    # A length of 8 bytes, then its JSON header.
    if head[8:10] == b'{"':
        raise ConversionError(
            "is a safetensors file: load it in PyTorch and save the weights with torch.save"
        )
    if not head:
        raise ConversionError("is empty")
    try:
        return kind_of(path.read_bytes())
    except ModelError:
        raise ConversionError(f"is no model, or only a part of one, {_EXPECTED}") from None


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            broken = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ConversionError(
            f"is a damaged or incomplete archive (.keras or PyTorch): {error}"
        ) from None
    if broken:
        raise ConversionError(f"is a damaged archive: {broken} in it is not as it was saved")
    if "config.json" in names:
        return "keras"
    # PyTorch keeps its files in one folder, of any name.
    files = {name.partition("/")[2] for name in names}
    if "constants.pkl" in files:
        raise ConversionError(
            "is a TorchScript program, which runs code of its own: open it where it was made, and "
            "save its weights alone: torch.save(model.state_dict(), 'weights.pt')"
        )
    if "data.pkl" in files:
        return "pytorch"
    if names and all(name.endswith(".npy") for name in names):
        raise ConversionError(f"is a file of NumPy arrays (.npz), {_EXPECTED}")
    listed = ", ".join(names[:3]) or "nothing"
    raise ConversionError(f"is a zip archive with {listed} in it, {_EXPECTED}")
