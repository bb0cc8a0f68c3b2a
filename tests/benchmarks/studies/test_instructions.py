"""Counts of instructions: what they are the difference of, and the gate that they feed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_genre.benchmarks.studies import instructions
from edge_genre.benchmarks.studies.instructions import (
    Counts,
    Facts,
    changes,
    count,
    main,
    other_libraries,
    read_counts,
)
from edge_genre.errors import DataError
from edge_genre.model.bundled import bundled_models, find_model
from tests.support.requirements import require_system

REFERENCE = Path(__file__).parents[3] / "benchmarks/reference/instructions.json"
TINY = "tiny-gtzan.tflite"


def counts(**values: Any) -> dict[str, Any]:
    run = {"file": TINY, "engine": "engine 1.0", "hop": 0.5}
    run |= {"front_end": 1000, "inference": 3000, "total": 4000, **values}
    return {"schema": 1, "windows": 2, "libraries": {"numpy": "2.0"}, "runs": [run]}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that cost 1000 instructions a window for features, 4000 for all, and a start."""

    def process(model: Path, windows: int, front_end_alone: int) -> tuple[int, Facts]:
        facts = Facts(0.5, "engine 1.0", {"numpy": "2.0"})
        return 1_000_000 + 4000 * windows + 1000 * front_end_alone, facts

    monkeypatch.setattr(instructions, "_counted", process)
    monkeypatch.setattr(instructions, "_valgrind_version", lambda: "3.19.0")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_window_is_the_difference_of_two_processes(counted: None) -> None:
    result = count([find_model(TINY)], windows=7)
    assert result.libraries == {"valgrind": "3.19.0", "numpy": "2.0"}
    assert result.windows == 7
    assert result.to_dict()["runs"] == counts()["runs"]


@pytest.mark.slow
def test_real_counts_are_those_of_the_reference() -> None:
    """Of code, not of a machine; other versions of the libraries may run other code."""
    require_system([name for name in ("valgrind",) if shutil.which(name) is None])
    result, reference = count([find_model(TINY)], windows=5), read_counts(REFERENCE)
    tolerance = 0.5 if other_libraries(result, reference) else 0.05
    assert all(abs(change) < tolerance for change in changes(result, reference)[TINY].values())


def test_the_reference_has_every_bundled_model() -> None:
    reference = read_counts(REFERENCE)
    assert [run.file for run in reference.runs] == [path.name for path in bundled_models()]
    for run in reference.runs:
        assert run.total == run.front_end + run.inference
        assert min(run.front_end, run.inference) > 0


def test_the_reference_is_written_as_it_was_read() -> None:
    written = json.dumps(read_counts(REFERENCE).to_dict(), indent=1) + "\n"
    assert written == REFERENCE.read_text()


def test_growth_beyond_the_tolerance_is_exit_code_3(counted: None, tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(counts(inference=2800, total=3800)))
    result = call(TINY, "--compare", path)
    assert result.exit_code == 3
    assert f"than in the reference: {TINY}: inference +7.1%; {TINY}: total +5.3%" in result.output
    assert call(TINY, "--compare", path, "--tolerance", "8%").exit_code == 0


def test_less_is_shown_and_passes(counted: None, tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(counts(inference=6000, total=7000)))
    result = call(TINY, "--compare", path)
    assert result.exit_code == 0
    assert "0.00 (-50.0%)" in result.output


def test_what_was_written_is_a_reference(counted: None, tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    assert call(TINY, "--json", path).exit_code == 0
    result = call(TINY, "--compare", path, "--tolerance", "0")
    assert result.exit_code == 0
    assert "note" not in result.output


def test_other_versions_are_named() -> None:
    now, then = counts(engine="engine 1.1"), counts()
    now["libraries"] = {"numpy": "2.1"}
    assert other_libraries(Counts.from_dict(now), Counts.from_dict(then)) == [
        "numpy: 2.1, in the reference 2.0",
        f"{TINY}: engine 1.1, in the reference engine 1.0",
    ]


def test_a_model_that_the_reference_has_not() -> None:
    with pytest.raises(DataError, match=r"has no other\.onnx \(it has tiny-gtzan\.tflite\)"):
        changes(Counts.from_dict(counts(file="other.onnx")), Counts.from_dict(counts()))


@pytest.mark.parametrize("text", ["[]", "{", '{"schema": 1, "runs": []}'])
def test_another_file_is_no_reference(counted: None, tmp_path: Path, text: str) -> None:
    path = tmp_path / "reference.json"
    path.write_text(text)
    result = call(TINY, "--compare", path)
    assert result.exit_code == 1
    assert str(path) in result.output


def test_bad_input_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "'much' is not a number of percent" in call("--tolerance", "much").output
    missing = call("--compare", tmp_path / "none.json")
    assert "none.json: cannot be read (No such file or directory)" in missing.output
    monkeypatch.setenv("PATH", str(tmp_path))
    result = call(TINY)
    assert result.exit_code == 1
    assert result.output == (
        "Error: valgrind is not installed (Debian: apt-get install valgrind)\n"
    )


def test_a_process_that_fails_is_named() -> None:
    require_system([name for name in ("valgrind",) if shutil.which(name) is None])
    with pytest.raises(instructions.EdgeGenreError, match="cannot be run under Valgrind"):
        instructions._counted(Path("none.tflite"), 0, 0)
