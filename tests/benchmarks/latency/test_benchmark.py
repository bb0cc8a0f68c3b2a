"""``edge-genre benchmark`` as a whole: figures that add up, gates, and clear words."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from edge_genre import Classifier
from edge_genre.audio.file import AudioFile
from edge_genre.benchmarks.latency import benchmark
from edge_genre.benchmarks.latency.streaming import Loop, Streaming
from edge_genre.cli import benchmark as cli_benchmark
from edge_genre.cli import main
from edge_genre.cli.benchmark_table import print_result
from edge_genre.demo import clip
from edge_genre.host.machine import this_machine
from edge_genre.model.bundled import find_model
from tests.support import benchmark_results as made
from tests.support.waiting import on_time

MODELS = ("songnet-gtzan", "songnet-gtzan.onnx", "tiny-gtzan")


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["benchmark", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        run(*MODELS, "--seconds", 1, "--profile", "--json").stdout,
    )
    return found


def test_what_is_said_of_a_model(result: dict[str, Any]) -> None:
    assert [each["file"] for each in result["runs"]] == [
        "songnet-gtzan.tflite",
        "songnet-gtzan.onnx",
        "tiny-gtzan.tflite",
    ]
    for each in result["runs"]:
        path = find_model(each["file"])
        assert each["bytes"] == path.stat().st_size
        assert each["self_test_deviation"] < 1e-2
        assert each["parameters"] > 20_000
        assert sum(each["operators"].values()) > 20
        memory = each["memory_mb"]
        assert 5 < memory["python"] < memory["resident"] <= memory["peak"] < 200
        assert each["first_window_ms"] > 0
        parts = each["load_ms"] + each["self_test_ms"]  # of another process than the whole
        on_time(parts < each["start_ms"], f"{parts} ms of {each['start_ms']} ms")
        song = Classifier.load(path).classify_file(clip())
        assert each["result"]["label"] == song.label
        assert each["result"]["probabilities"] == pytest.approx(song.probabilities, abs=1e-3)
    assert result["runs"][0]["outside_delegate"]  # a GRU that is written out unpacks its steps
    assert result["runs"][1]["outside_delegate"] is None


def test_the_split_adds_up(result: dict[str, Any], report: Callable[[str], None]) -> None:
    for each in result["runs"]:
        steps = each["stages"]
        parts = steps["front_end"]["mean"] + steps["inference"]["mean"]
        whole = steps["total"]["mean"]
        report(f"{each['file']}: front end + inference are {parts / whole:.1%} of {whole:.2f} ms")
        assert 0.95 * whole <= parts <= whole
        for step in steps.values():
            assert step["min"] <= step["median"] <= step["p90"] <= step["p95"] <= step["p99"]
            assert step["p99"] <= step["max"]
            assert np.median(step["samples"]) == pytest.approx(step["median"], rel=0.05)
        assert each["windows"] >= 20
        assert each["real_time_factor"] == pytest.approx(whole / 1e3 / each["hop"])
        assert each["windows_per_second"] == pytest.approx(1e3 / whole)


def test_profile(result: dict[str, Any]) -> None:
    first, onnx, _ = (each["profile"] for each in result["runs"])
    assert first is None
    assert sum(row["share"] for row in onnx) == pytest.approx(1)
    assert "Conv" in [row["operator"] for row in onnx[:3]]


def test_paced_takes_as_long_as_life() -> None:
    classifier = Classifier.load("tiny-gtzan")
    with AudioFile(clip()) as source:
        samples, rate = np.concatenate(list(source.blocks())), source.rate
    hop = classifier.round_hop(0.1)
    loop = Loop(samples, rate, hop=hop, paced=True)
    streaming = Streaming(classifier, loop, hop=hop)
    steps = streaming.measure(10)
    # The first window is whole after three seconds, and each other one a hop later.
    assert 3 + 10 * hop - 0.2 < loop.waited + sum(steps.total) / 1e3 + streaming.first_ms / 1e3
    on_time(max(steps.total) < 3000, "waiting counts as work")


def test_a_loop_goes_round_without_a_seam() -> None:
    samples = np.arange(1000, dtype=np.float32)
    blocks = Loop(samples, 1000, hop=0.3).blocks()
    heard = np.concatenate([next(blocks) for _ in range(10)])
    assert np.array_equal(heard, np.tile(samples, 3))


def test_baseline(result: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(result))
    options = ("tiny-gtzan", "--seconds", 0.2, "--baseline", path, "--tolerance")
    run(*options, "10000%")  # this machine is shared
    tiny = result["runs"][2]
    tiny["bytes"] //= 2
    path.write_text(json.dumps(result))
    worse = run(*options, "90%", code=3)
    assert "tiny-gtzan.tflite: file 53." in worse.stderr
    assert "above the baseline" in worse.stderr.splitlines()[-1]
    path.write_text(json.dumps({**result, "runs": result["runs"][:2]}))
    assert "has no tiny-gtzan.tflite on" in run(*options, "1", code=1).stderr


def test_accuracy_and_agreement(tmp_path: Path, clips: Path) -> None:
    music = tmp_path / "music"
    with (clips / "index.csv").open() as index:
        for row in [*csv.DictReader(index)][:4]:
            (music / row["genre"]).mkdir(parents=True, exist_ok=True)
            (music / row["genre"] / row["file"]).symlink_to(clips / row["file"])
    (found,) = json.loads(
        run("songnet-gtzan", "--seconds", 0.2, "--corpus", music, "--json").stdout
    )["runs"]
    accuracy = found["accuracy"]
    assert accuracy["tracks"] == 4
    assert 0 <= accuracy["tracks_correct"] <= 4
    agreement = accuracy["agreement"]
    assert agreement["with"] == "songnet-gtzan.onnx"
    assert agreement["windows"] == accuracy["windows"]
    assert agreement["same"] >= 0.9 * agreement["windows"]


def test_threads_and_table(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    table = run("tiny-gtzan", "--threads", "1,2", "--seconds", 0.2, "--report", page).stdout
    assert "ai-edge-litert x2" in table
    assert "inference" in table
    text = page.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert "tiny-gtzan.tflite" in text


@pytest.mark.parametrize("content", [*("ok", "emulated"), "gpu"])
def test_what_was_printed_is_shown_later(content: str, tmp_path: Path) -> None:
    """As on a desktop, of what a Raspberry Pi printed."""
    runs = [made.run(accuracy="music"), made.run("tiny-gtzan", "onnx", more=content == "gpu")]
    found = made.emulated(*runs) if content == "emulated" else made.result(*runs)
    source, page = tmp_path / "runs.json", tmp_path / "page.html"
    source.write_text(json.dumps(found))
    table = run("--from", source, "--report", page).stdout
    assert "Raspberry Pi 4 Model B Rev 1.4" in table
    assert "Raspberry Pi 4 Model B Rev 1.4" in page.read_text(encoding="utf-8")
    assert json.loads(run("--from", source, "--json").stdout) == found


def test_a_terminal_of_80_columns_shows_everything() -> None:
    runs = [made.run(accuracy="music", seed=seed, milliseconds=21.0) for seed in (0, 1)]
    runs.append(made.run("a-model-with-a-long-name-indeed", "onnx", accuracy="music", more=True))
    narrow, wide = (io.StringIO() for _ in range(2))
    for file, width in ((narrow, 80), (wide, 1000)):
        print_result(made.read(made.result(*runs)), Console(file=file, width=width))
    lines = narrow.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in narrow.getvalue()
    # Every figure of the wide one, in its order.
    figures = re.compile(r"(?<![\w.-])\d[\d.,]*(?: of \d+|%)?(?= |$)", re.MULTILINE)
    assert figures.findall(narrow.getvalue()) == figures.findall(wide.getvalue())


@pytest.mark.parametrize("missing", [("jinja2",), ("jinja2", "matplotlib")])
def test_a_report_without_its_packages(
    missing: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said in one line, before anything is measured."""
    monkeypatch.setattr(cli_benchmark, "find_spec", lambda name: None if name in missing else True)
    monkeypatch.setattr(benchmark, "Worker", None)
    done = run("tiny-gtzan", "--report", tmp_path / "page.html", code=1)
    assert (
        f"--report needs {' and '.join(missing)}: pip install 'edge-genre[report]'" in done.stderr
    )
    assert done.stderr.count("\n") == 1


def test_emulated_gives_results_and_no_times(monkeypatch: pytest.MonkeyPatch) -> None:
    played = replace(this_machine(), emulated="QEMU, a process")
    monkeypatch.setattr(benchmark, "this_machine", lambda: played)
    monkeypatch.setattr(benchmark, "Worker", None)  # processes need not start there
    result = json.loads(run("tiny-gtzan", "--json").stdout)
    (found,) = result["runs"]
    assert not result["trusted"]
    assert found["stages"] is None
    assert not [name for name in found if name.endswith(("_ms", "_per_second"))]
    song = Classifier.load("tiny-gtzan").classify_file(clip())
    assert found["result"]["probabilities"] == pytest.approx(song.probabilities)
    table = run("tiny-gtzan").stdout
    assert "WARNING: EMULATED" in table
    assert "ms" not in table.split()


def test_folder_is_all_its_models() -> None:
    folder = find_model().parent
    runs = json.loads(run(folder, "tiny-gtzan", "--seconds", 0.1, "--json").stdout)["runs"]
    assert len(runs) == len({each["file"] for each in runs}) == 6


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "Usage"),
        (("no-such-model",), 1, "no such model file"),
        (("EMPTY",), 1, "holds no TFLite or ONNX file"),
        (("tiny-gtzan", "--engine", "abacus"), 2, "'abacus' is not one of"),
        (("tiny-gtzan", "--engine", "onnxruntime"), 1, "is run by ai-edge-litert or"),
        (("tiny-gtzan", "--device", "npu"), 2, "'npu' is not one of"),
        (("tiny-gtzan", "--device", "gpu"), 1, "TFLite files run on the CPU"),
        (("tiny-gtzan.onnx", "--device", "coreml"), 1, "has no CoreMLExecutionProvider"),
        (("tiny-gtzan", "--threads", "1,x"), 2, "is not numbers"),
        (("tiny-gtzan", "--threads", "0"), 2, "not in the range"),
        (("tiny-gtzan", "--input", "missing.ogg"), 1, "missing.ogg"),
        (("tiny-gtzan", "--corpus", "missing"), 1, "missing: no such file"),
        (("tiny-gtzan", "--corpus", "EMPTY"), 1, "holds no audio"),
        (("tiny-gtzan", "--baseline", "missing.json"), 1, "missing.json: cannot be read"),
        (("tiny-gtzan", "--baseline", "OTHER"), 1, "is no result of"),
        (("tiny-gtzan", "--tolerance", "much"), 2, "is not a share"),
        (("tiny-gtzan", "--report", "no/such/folder.html"), 1, "its folder does not exist"),
        (("tiny-gtzan", "--seconds", "0"), 2, "is not a number of seconds"),
        (("--json",), 2, "Missing argument 'MODEL...'"),
        (("--from", "missing.json"), 1, "missing.json: cannot be read"),
        (("--from", "OTHER"), 1, "is no result of edge-genre benchmark --json of schema 1"),
        (("tiny-gtzan", "--from", "OTHER"), 2, "leave MODEL out"),
        (("--from", "OTHER", "--seconds", "5"), 2, "leave --seconds out"),
        (("--from", "OTHER", "--labels", "OTHER"), 2, "leave --labels out"),
    ],
)
def test_bad_input(arguments: tuple[str, ...], code: int, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.json").write_text("{}")
    places = {"EMPTY": str(tmp_path / "empty"), "OTHER": str(tmp_path / "other.json")}
    result = run(*(places.get(each, each) for each in arguments), code=code)
    assert words in result.output
    assert "Traceback" not in result.output
