"""Files of every kind: what they are taken for, and which are refused before they are read."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge_genre.convert.sources import open_model
from edge_genre.convert.tensors import one_input
from edge_genre.errors import ConversionError
from tests.support import models_on_the_fly as small
from tests.support.requirements import require_package
from tests.support.sources import answer, noise, refusal


def test_importing_the_package_loads_no_framework():
    names = ["tensorflow", "keras", "torch", "onnx", "tf2onnx", "onnxruntime", "h5py"]
    check = (
        f"import sys, edge_genre.convert.sources; print([n for n in {names} if n in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "kind", "wrong"),
    [
        ("mel_cnn.keras", "keras", ".h5"),
        ("tabular_conv1d.h5", "h5", ".keras"),
        ("mfcc_dense.tflite", "tflite", ".onnx"),
    ],
)
def test_content_tells_the_kind(name, kind, wrong, reference_models, tmp_path):
    path = tmp_path / f"model{wrong}"
    path.write_bytes((reference_models / name).read_bytes())
    assert open_model(path).kind == kind


@pytest.mark.parametrize("name", ["mel_cnn.keras", "tabular_conv1d.h5", "mfcc_dense.tflite"])
@pytest.mark.parametrize("part", [0.9, 0.5, 0.01])
def test_truncated_files_are_refused(name, part, reference_models, tmp_path):
    content = (reference_models / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: int(len(content) * part)])
    refusal(path)


@pytest.mark.parametrize("part", [0.9, 0.5, 0.01])
@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_checkpoints_are_refused(part, legacy, tmp_path):
    torch = require_package("torch")
    path = tmp_path / "weights.pt"
    torch.save({"w": torch.zeros(1000)}, path, _use_new_zipfile_serialization=not legacy)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    refusal(path, architecture="five-channel-cnn", inputs=one_input((5, 40, 130)))


def test_truncated_onnx_is_refused(tmp_path):
    content = small.onnx_graph()
    for size in (len(content) - 1, len(content) // 2, 20):
        path = tmp_path / "model.onnx"
        path.write_bytes(content[:size])
        assert "only a part of one" in refusal(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "is a WAV file"),
        (b'{"labels": []}', "is a JSON file"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00" + b'{"w":{}}' + bytes(8), "is a safetensors file"),
        (b"genre,tempo\n", "is no model, or only a part of one"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is a damaged HDF5 file"),
    ],
)
def test_other_files_are_named(content, expected, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    assert expected in refusal(path)


def test_what_is_not_there_or_not_readable(tmp_path, monkeypatch):
    assert "no such file" in refusal(tmp_path / "model.keras")
    assert "without saved_model.pb" in refusal(tmp_path)
    path = tmp_path / "model.keras"
    path.write_bytes(b"PK\x03\x04")

    def denied(self, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)  # the tests may run as root, who may read all
    assert "cannot be read (Permission denied)" in refusal(path)


def test_other_archives_are_named(tmp_path):
    np.savez(tmp_path / "features.npz", X=np.zeros(3))
    assert "NumPy arrays (.npz)" in refusal(tmp_path / "features.npz")
    with zipfile.ZipFile(tmp_path / "songs.zip", "w") as archive:
        archive.writestr("song.txt", "la la")
    assert "a zip archive with song.txt in it" in refusal(tmp_path / "songs.zip")


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [("keras", "mel_cnn.keras", "convert"), ("torch", "mfcc_gru.pth", "pytorch")],
)
def test_missing_frameworks_are_named(module, name, extra, reference_models):
    """In a fresh interpreter that has the package hidden."""
    program = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from edge_genre.convert.sources import open_model\n"
        "from edge_genre.errors import ConversionError\n"
        f"try: open_model({str(reference_models / name)!r})\n"
        "except ConversionError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert f"pip install 'edge-genre[{extra}]'" in result.stdout


@pytest.mark.parametrize(
    "options", [{"architecture": "five-channel-cnn"}, {"custom": "layers.py"}], ids=str
)
def test_options_for_another_kind_are_refused(options, reference_models):
    assert "leave --" in refusal(reference_models / "mfcc_dense.tflite", **options)


def test_windows_of_another_shape_are_refused(reference_models):
    source = open_model(reference_models / "mfcc_dense.tflite")
    with pytest.raises(ConversionError, match="takes 130 x 13, but the windows are 13 x 130"):
        answer(source, noise((13, 130)))
