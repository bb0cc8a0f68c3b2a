"""The table of what a window costs in a browser."""

from pathlib import Path

import pytest

from edge_genre.benchmarks.markdown import part
from edge_genre.benchmarks.studies import browser
from edge_genre.errors import EdgeGenreError
from tests.support.browser import PAGE, chromium, waveform_file


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PAGE.parents[1])
    monkeypatch.setattr(browser, "_TURNS", 1)


def test_a_row_a_file(tmp_path: Path) -> None:
    chromium()
    models = [waveform_file(f"tiny-gtzan.{kind}", tmp_path) for kind in ("tflite", "onnx")]
    lines = browser.page_part(models).splitlines()
    assert ", Chromium " in lines[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[-2:]]
    assert [row[:2] for row in rows] == [
        ["`tiny-gtzan.tflite`", "LiteRT.js"],
        ["`tiny-gtzan.onnx`", "ONNX Runtime Web"],
    ]
    for row in rows:
        ready, median, slow = map(float, row[3:])
        assert ready > 0
        assert 0 < median <= slow


def test_a_model_that_the_page_refuses(tmp_path: Path) -> None:
    chromium()
    path = tmp_path / "letter.onnx"
    path.write_text("Dear reader")
    with pytest.raises(EdgeGenreError, match=r"^letter.onnx: this is no TFLite or ONNX model"):
        browser.page_part([path])


def test_somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chromium()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EdgeGenreError, match="from the repository's root"):
        browser.page_part([tmp_path])


def test_the_page_has_the_table() -> None:
    text = part((PAGE / "README.md").read_text(), browser.PART)
    for engine in ("LiteRT.js", "ONNX Runtime Web"):
        assert text.count(f"| {engine} | ") >= 2
