"""The page of references: up to date, complete, and without what was not measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge_genre.benchmarks.latency.baseline import read_result
from edge_genre.benchmarks.latency.reference import main, reference_page
from edge_genre.errors import DataError
from tests.support.benchmark_results import HOSTILE, emulated, result, run

FOLDER = Path(__file__).parents[3] / "benchmarks" / "reference"


def save(folder: Path, **results: dict[str, Any]) -> Path:
    for name, found in results.items():
        (folder / f"{name}.json").write_text(json.dumps(found))
    return folder


def rows(text: str, heading: str) -> list[dict[str, str]]:
    """The first table below a heading."""
    below = text.split(f"\n{heading}\n")[1]
    head, _, *lines = re.search(r"(?m)^\|.*(?:\n\|.*)*", below)[0].splitlines()
    names = cells(head)
    assert all(len(cells(line)) == len(names) for line in lines)
    return [dict(zip(names, cells(line), strict=True)) for line in lines]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_page_in_the_repository_is_up_to_date():
    written = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert written == reference_page(FOLDER), (
        "run python -m edge_genre.benchmarks.latency.reference"
    )


@pytest.mark.parametrize(
    "path", [path for path in FOLDER.glob("*.json") if path.stem != "instructions"]
)
def test_a_result_is_written_as_it_was_read(path: Path) -> None:
    text = path.read_text()
    assert json.dumps(read_result(path).to_dict(), indent=1) + "\n" == text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bytes": "many"}, "bytes is 'many', expected int"),
        ({"stages": {"total": {}}}, "front_end is missing"),
        ({"cpu_ms": float("inf")}, "cpu_ms is inf"),
        ({"batches": [{"batch": 0, "ms": 1.0, "windows_per_second": 1.0}]}, "0 windows in 1.0 ms"),
        ({"accuracy": run(accuracy="x")["accuracy"] | {"tracks": 0}}, "of 0 is no share"),
    ],
)
def test_figures_that_cannot_be_are_no_result(tmp_path, change, words):
    save(tmp_path, odd=result(run() | change))
    with pytest.raises(DataError, match=rf"odd.json: is no result of .*\(.*{words}"):
        read_result(tmp_path / "odd.json")


def test_it_says_that_nothing_is_estimated_and_how_to_contribute(tmp_path):
    for folder in (tmp_path, save(tmp_path, pi=result(run()))):
        text = " ".join(reference_page(folder).split())
        assert "None is ever estimated for a board that was not measured" in text
        assert "edge-genre benchmark MODEL... --save-reference benchmarks/reference" in text


def test_a_row_a_run(tmp_path):
    pi = result(run(), run(threads=4, seed=1, milliseconds=0.8), run("tiny-gtzan", seed=2))
    other = result(run(seed=3, milliseconds=0.4))
    other["machine"] |= {"board": "", "cpu": "AMD EPYC", "cores": 2, "virtual": True}
    text = reference_page(save(tmp_path, pi=pi, epyc=other))
    found = rows(text, "### songnet-gtzan.tflite")
    assert [row["machine"] for row in found] == [
        "AMD EPYC",
        *["Raspberry Pi 4 Model B Rev 1.4"] * 2,
    ]
    assert [row["threads"] for row in found] == ["1", "1", "4"]
    run_of, row = pi["runs"][0], found[1]
    stages = run_of["stages"]
    assert row == {
        "machine": "Raspberry Pi 4 Model B Rev 1.4",
        "cores": "4",
        "engine": "ai-edge-litert 2.3.0",
        "threads": "1",
        "front end": f"{stages['front_end']['median']:.3f}",
        "inference": f"{stages['inference']['median']:.2f}",
        "total": f"{stages['total']['median']:.2f}",
        "p99": f"{stages['total']['p99']:.2f}",
        "real-time factor": f"{run_of['real_time_factor']:.5f}",
        "memory": "46.2 MB",
        "date": "2026-11-21",
    }
    assert len(rows(text, "### tiny-gtzan.tflite")) == 1
    [epyc, board] = rows(text, "## Machines")
    assert epyc["processor"] == "AMD EPYC, a virtual machine"
    assert board["file"] == "pi.json"
    assert board["clock"] == "performance, 48 to 56 °C"
    assert "numpy 2.4.6" in board["versions"]


def test_files_of_one_name_are_kept_apart(tmp_path):
    other = run(milliseconds=9)
    other["sha256"] = "f" * 64
    text = reference_page(save(tmp_path, a=result(run()), b=result(other)))
    assert text.count("### songnet-gtzan.tflite") == 2
    assert "SHA-256 ffffffffffff" in text


def test_runs_on_a_gpu_say_so(tmp_path):
    found = result(run(kind="onnx"), run(kind="onnx", device="cuda"))
    table = rows(reference_page(save(tmp_path, gpu=found)), "### songnet-gtzan.onnx")
    assert [row["engine"] for row in table] == [
        "onnxruntime 1.31.1",
        "onnxruntime 1.31.1 on cuda",
    ]


def test_what_is_no_markup_stays_none(tmp_path):
    found = result(run(HOSTILE))
    found["machine"] |= {"board": "[a](https://example.org) | `b` <img>\n# c", "cpu": HOSTILE}
    text = reference_page(save(tmp_path, a=found))
    assert r"\[a\](https://example.org) \| \`b\` &lt;img&gt; # c" in text
    assert "<script" not in text
    assert "<img" not in text
    assert len(rows(text, "## Machines")) == 1
    text.encode("utf-8")


def test_memory_and_facts_that_are_unknown_are_empty(tmp_path):
    found = result(run())
    found["runs"][0] |= {"parameters": None, "weights": ""}
    found["runs"][0]["memory_mb"]["resident"] = None
    found["machine"]["memory_mb"] = None
    for moment in ("before", "after"):
        found[moment] |= {"governor": None, "celsius": None}
    text = reference_page(save(tmp_path, a=found))
    assert rows(text, "### songnet-gtzan.tflite")[0]["memory"] == ""
    assert rows(text, "## Machines")[0]["clock"] == ""
    assert "None" not in text.replace("None is ever", "")


def test_counts_of_instructions_are_something_else(tmp_path):
    save(tmp_path, instructions={"songnet-gtzan": 123})
    assert "No machine has been measured yet." in reference_page(tmp_path)


def _untimed() -> dict[str, Any]:
    found = result(run(), run("tiny-gtzan"))
    found["runs"][1]["stages"] = None
    return found


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (emulated(run()), r"bad.json: is no reference: EMULATED"),
        (
            result(run(), trusted=False, warnings=["the governor is powersave", "heat"]),
            "bad.json: is no reference: the governor is powersave; heat",
        ),
        (_untimed(), "bad.json: is no reference: a model in it was not timed"),
        ({"schema": 1}, "bad.json: is no result"),
    ],
)
def test_what_cannot_be_a_reference_is_refused(tmp_path, found, message):
    save(tmp_path, good=result(run()), bad=found)
    with pytest.raises(DataError, match=message):
        reference_page(tmp_path)
    done = CliRunner().invoke(main, [str(tmp_path)])
    assert done.exit_code == 1
    assert re.search(f"^Error: .*{message}.*\n$", done.output)
    assert not (tmp_path / "README.md").exists()


def test_the_command_writes_the_page(tmp_path):
    save(tmp_path, pi=result(run()))
    done = CliRunner().invoke(main, [str(tmp_path)])
    assert (done.exit_code, done.output) == (0, "")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == reference_page(tmp_path)
