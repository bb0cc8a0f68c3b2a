"""`edge-genre models`: the bundled ones."""

import pytest

from edge_genre.model.bundled import bundled_models
from edge_genre.model.file import read
from tests.support.command_line import lines, run


def test_models() -> None:
    listed = lines(run("models", "--json").stdout)
    assert [entry["file"] for entry in listed] == [path.name for path in bundled_models()]
    assert [entry["file"] for entry in listed if entry["default"]] == ["songnet-gtzan.tflite"]
    assert "songnet-gtzan.onnx" in run("models").stdout


def test_models_when_the_environment_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_GENRE_MODEL", "nonsense")
    assert "songnet-gtzan" in run("models").stdout


def test_models_have_licences() -> None:
    """The files' own, one line for each licence."""
    table = run("models").stdout
    for file in map(read, bundled_models()):
        assert file.info is not None
        (line,) = [line for line in table.splitlines() if f": {file.info.license} (" in line]
        assert file.info.name in line
