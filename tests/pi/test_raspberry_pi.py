"""Raspberry Pi's systems under emulation: a Pi answers what this machine answers.

Times mean nothing there, and no test looks at one.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from edge_genre.demo import clip
from edge_genre.model.bundled import bundled_models
from edge_genre.model.file import read
from tests.programs.pi_root import ARM64, ARMHF, BOARDS, PACKAGE, Board, Root, RootError, prepare

pytestmark = pytest.mark.pi

CLIP = f"/{PACKAGE}/edge_genre/demo/demo.ogg"
# Largest difference of a probability, by the weights of a model. Found were 0 (of the four places
# that are printed), 0.0012 and 0.022: engines round 8-bit numbers differently on other processors,
# and a window between two genres makes the most of it.
TOLERANCES = {"fp32": 2e-4, "dynamic": 4e-3, "int8": 4e-2}


def models_of(board: Board) -> list[Path]:
    """Bundled models that have an engine there."""
    onnx = board is ARM64
    return [path for path in bundled_models() if path.suffix == ".tflite" or onnx]


CASES = pytest.mark.parametrize(
    ("board", "model"),
    [
        pytest.param(board, model, id=f"{board.name}-{model.name}")
        for board in BOARDS
        for model in models_of(board)
    ],
)
EACH = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)


@cache
def root(board: Board) -> Root:
    try:
        return prepare(board)
    except RootError as error:
        pytest.fail(str(error), pytrace=False)


def there(board: Board, *arguments: object) -> Any:
    """What the program prints on the board."""
    result = root(board).edge_genre(*arguments)
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr  # engines complain about /sys, which a real board has
    return json.loads(result.stdout)


@cache
def here(*arguments: str) -> Any:
    """What the same program prints on this machine."""
    program = Path(sys.executable).with_name("edge-genre")
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def difference(one: dict[str, Any], other: dict[str, Any]) -> Any:
    """Largest difference of a probability."""
    a, b = one["probabilities"], other["probabilities"]
    assert list(a) == list(b)
    return max(abs(a[label] - b[label]) for label in a)


def tolerance(model: Path) -> float:
    info = read(model).info
    assert info is not None
    assert info.self_test is not None
    found = TOLERANCES[info.quantization]
    assert found < info.self_test.tolerance
    return found


def clear(result: dict[str, Any], tolerance: float) -> bool:
    """Whether no change within the tolerance makes another genre the first."""
    first, second = sorted(result["probabilities"].values())[:-3:-1]
    return bool(first - second > 2 * tolerance)


@CASES
def test_classify(board: Board, model: Path, report: Callable[[str], None]) -> None:
    options = ("--json", "--windows", "--model", model.name)
    song = there(board, "classify", CLIP, *options)
    expected = here("classify", str(clip()), *options)
    assert song["label"] == expected["label"]
    pairs = [(song, expected), *zip(song["windows"], expected["windows"], strict=True)]
    differences = [difference(*pair) for pair in pairs]
    assert max(differences) <= tolerance(model)
    for window, other in pairs[1:]:
        assert (window["start"], window["end"]) == (other["start"], other["end"])
        assert window["level_dbfs"] == pytest.approx(other["level_dbfs"], abs=0.11)
        assert window["label"] == other["label"] or not clear(other, tolerance(model))
    report(f"song off by {differences[0]:.4f}, a window by {max(differences):.4f}")


@CASES
def test_self_test(board: Board, model: Path, report: Callable[[str], None]) -> None:
    values = there(board, "inspect", model.name, "--json")
    expected = here("inspect", model.name, "--json")
    assert values["self_test_deviation"] <= values["self_test"]["tolerance"]
    found_there = {"file", "engine", "self_test_deviation"}
    for name in values.keys() - found_there:
        assert values[name] == expected[name], name
    report(f"{values['engine']}: a probability is off by {values['self_test_deviation']:.2g}")


@EACH
def test_benchmark_gives_results_and_no_times(board: Board) -> None:
    models = [model.name for model in models_of(board)]
    options = ("--json", "--seconds", "0.1")
    result = there(board, "benchmark", *models, *options)
    assert result["machine"]["emulated"]
    assert not result["trusted"]
    expected = here("benchmark", *models, *options)
    assert not expected["machine"]["emulated"]
    assert [run["file"] for run in result["runs"]] == models
    for run, other, model in zip(result["runs"], expected["runs"], models_of(board), strict=True):
        assert run["stages"] is None
        assert other["stages"] is not None
        assert run["result"]["label"] == other["result"]["label"]
        assert difference(run["result"], other["result"]) <= tolerance(model)


@EACH
def test_engines_and_numpy(board: Board) -> None:
    """What setup.cfg's markers choose: the old engine comes with the old NumPy."""
    result = root(board).python(
        "-c",
        "import json, numpy; from importlib.metadata import distributions;"
        "print(json.dumps([numpy.__version__, sorted(d.name for d in distributions())]))",
    )
    numpy, packages = json.loads(result.stdout)
    major, engine = {ARM64: ("2", "ai-edge-litert"), ARMHF: ("1", "tflite-runtime")}[board]
    assert numpy.split(".")[0] == major
    engines = {"ai-edge-litert", "tflite-runtime", "onnxruntime", "tensorflow"}
    assert engines & set(packages) == {engine} | ({"onnxruntime"} if board is ARM64 else set())


def test_onnx_on_armhf_is_refused_in_a_line() -> None:
    """ONNX Runtime has no wheels for 32 bits."""
    result = root(ARMHF).edge_genre("classify", CLIP, "--model", "songnet-gtzan.onnx")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "ONNX files need ONNX Runtime" in line
