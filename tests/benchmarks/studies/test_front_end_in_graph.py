"""The table of what each form of the bundled models costs."""

from pathlib import Path

import pytest

from edge_genre.benchmarks.markdown import part
from edge_genre.benchmarks.studies import front_end_in_graph as forms
from edge_genre.model.bundled import bundled_models, find_model
from tests.support.benchmark_results import read, result, run

PAGE = Path(__file__).parents[3] / "firmware_notes/README.md"


def test_a_row_a_form() -> None:
    measured = [run("tiny-gtzan", "onnx"), run("tiny-gtzan"), run("tiny-gtzan")]
    of = [forms.APART, forms.WAVEFORM, forms.APART]
    lines = forms.page_part(read(result(*measured)), of).splitlines()
    assert lines[0].startswith("Cortex-A72, Debian GNU/Linux 12 (bookworm), ")
    assert lines[0].endswith("; one thread, medians; 2026-11-21.")
    rows = [line.strip("| ").split(" | ") for line in lines[4:]]
    assert [row[1:3] for row in rows] == [
        ["front end apart", "ONNX, fp32"],
        ["front end apart", "TFLite, dynamic"],
        ["waveform in", "TFLite, dynamic"],
    ]
    assert {row[0] for row in rows} == {"tiny-gtzan"}
    assert rows[1][3] == "53 kB"
    assert rows[1][-1] == "46.2 MB"


def test_doubts_stand_above_the_table() -> None:
    found = result(run(), warnings=["other programs kept it busy"])
    text = forms.page_part(read(found), [forms.WAVEFORM])
    assert text.index("> **Not to be trusted:** other programs kept it busy.") < text.index("| ---")


def test_what_was_converted_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "convert", None)
    made = tmp_path / "tflite" / "tiny-gtzan-waveform-int8.tflite"
    made.parent.mkdir()
    made.write_bytes(b"")
    assert forms.waveform_form(find_model("tiny-gtzan"), tmp_path) == made


def test_the_page_has_every_bundled_file() -> None:
    text = part(PAGE.read_text(), forms.PART)
    for path in bundled_models():
        assert text.count(f"| {path.stem} | ") == 4  # two forms of two formats
