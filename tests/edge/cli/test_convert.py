"""What `edge-genre convert` prints of a conversion, and which options it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edge_genre.cli.convert import _tables
from edge_genre.convert.report import (
    ConversionReport,
    FormatResult,
    SourceReport,
    WaveformResult,
    WindowsReport,
)
from edge_genre.convert.steps import EngineFacts, ModelFacts
from edge_genre.convert.tensors import one_input
from edge_genre.convert.verify.gate import Verdict
from edge_genre.convert.verify.graph_facts import GraphFacts
from edge_genre.convert.verify.parity import LabelParity, Parity
from edge_genre.task import Task
from tests.support import models_on_the_fly as small
from tests.support.command_line import run

PARITY = Parity(windows=500, max_difference=1.2e-2, mean_difference=1e-4, top1_agreement=0.9876)
GRAPH = GraphFacts(
    operators={},
    versions={},
    custom=(),
    input=("float32", (1, 39, 128)),
    output=("float32", (1, 8)),
    outside_xnnpack={"PACK": 2, "STRIDED_SLICE": 12, "GATHER": 64},
    layers=7,
    in_8_bits=0,
    parameters=1_234_567,
)
KEPT = FormatResult(
    "tflite",
    "dynamic",
    "kept by force",
    path=Path("a-song-network-with-a-long-name-waveform-dynamic.tflite"),
    size=12_345_678,
    verdict=Verdict(PARITY, labelled=500, source_correct=472, correct=471, reasons=()),
    facts=EngineFacts("ai-edge-litert 2.1.0", 1234.56, GRAPH),
    waveform=WaveformResult("music", PARITY, split_size=12_300_000, split_milliseconds=1200.25),
)
FAILED = FormatResult("onnx", "int8", "timed out")


def report(*results: FormatResult) -> ConversionReport:
    facts = ModelFacts("keras", one_input((39, 128)), 1_234_567, {}, None)
    return ConversionReport(
        SourceReport("song.keras", "0" * 64, facts),
        WindowsReport(compared=500, labelled=500, calibrated=100, origin="10 files of music"),
        results,
    )


def columns(results: ConversionReport) -> list[str]:
    """The text of each column of each table, whatever lines it takes, in 80 columns."""
    console = Console(width=80, record=True)
    with console.capture() as captured:
        console.print(*_tables(results), sep="\n")
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    found: list[str] = []
    for line in lines:
        if line.startswith("┏"):
            start, found = len(found), [*found, *[""] * (line.count("┳") + 1)]
        if line[0] in "┃│":
            for index, cell in enumerate(line.strip("┃│").replace("┃", "│").split("│")):
                found[start + index] += cell.strip()
    return found


@pytest.mark.parametrize("waveform", [False, True])
def test_80_columns_lose_nothing(waveform: bool) -> None:
    kept = KEPT if waveform else replace(KEPT, waveform=None)
    text = " ".join(columns(report(kept, FAILED)))
    wanted = ["long-name-waveform-dynamic.tflite", "keptbyforce", "timedout", "12345.7kB"]
    wanted += ["1234.56", "98.76%", "1.2e-02", "471", "472", "64GATHER", "12STRIDED_SLICE"]
    if waveform:
        wanted += ["frontenddifference", "12300.0kB1200.25ms"]
    for each in wanted:
        assert each in text.replace(" ", ""), each


def test_what_nobody_has_takes_no_column() -> None:
    plain = replace(
        KEPT,
        verdict=Verdict(PARITY, labelled=0, source_correct=0, correct=0, reasons=()),
        facts=EngineFacts("onnxruntime 1.20", 1.5, replace(GRAPH, outside_xnnpack={})),
        waveform=None,
    )
    assert len(columns(report(plain))) == 6
    assert len(columns(report(KEPT))) == 6 + 6


def test_labels_on_their_own_are_counted() -> None:
    tags = replace(
        KEPT,
        verdict=Verdict(LabelParity(500, 1e-3, 1e-4, 0.9712), 0, 0, 0, ()),
        waveform=None,
    )
    found = replace(report(tags), task=Task(kind="multi_label", noun="tag", thresholds=(0.5, 0.5)))
    text = "".join(columns(found))
    assert "sametags" in text.replace(" ", "")
    assert "97.12%" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "jazz=1.5"], "'jazz=1.5' is not a threshold above 0 and up to 1"),
        (["--threshold", "nan"], "'nan' is not a threshold"),
        (["--threshold", "a=0.3", "--threshold", "a=0.6"], "'a=0.6' is the second for a"),
        (["--threshold", "0.3", "--threshold", "0.6"], "'0.6' is the second for all labels"),
        (["--threshold", "jazz=often"], "'jazz=often' is neither a number nor LABEL=NUMBER"),
        (["--input-shape", "mfcc=130,x"], "'mfcc=130,x' is not a shape"),
        (["--input-shape", "a=3", "--input-shape", "a=4"], "'a=4' is not NAME=N,N"),
        (["--input-shape", "3", "--input-shape", "a=4"], "'a=4' is not NAME=N,N"),
        (["--input-shape", "a=4", "--input-shape", "3"], "'3' is not NAME=N,N"),
        (["--frontend", "mel=log-mel", "--frontend", "mfcc-13"], "'mfcc-13' is not NAME=SPEC"),
        (["--task", "several"], "'several' is not one of"),
    ],
)
def test_options_that_cannot_be_read(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(small.onnx_graph())
    output = run("convert", tmp_path / "model.onnx", "--labels", "a,b,c", *arguments, code=2).output
    assert message in " ".join(output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "polka=0.3"], "--threshold names 'polka', which is none of the 3 labels"),
        (["--background", "silent"], "--background names 'silent', which is none of the 3 labels"),
        (["--background", ""], "--background names '', which is none of the 3 labels"),
        (["--noun", ""], "noun is '', expected a word or a few"),
        (["--threshold", "0.3"], "--threshold is for labels that each hold or not"),
        (["--task", "multi-label"], "--task multi-label, but its last operator is a softmax"),
        (["--explain", "why"], "has no output 'why' to explain with: its outputs are y"),
    ],
)
def test_what_does_not_fit_is_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(small.onnx_graph())
    np.save(tmp_path / "w.npy", np.zeros((4, *small.SPEC.shape), np.float32))
    (tmp_path / "spec.json").write_text(json.dumps(small.SPEC.to_dict()))
    output = run(
        *("convert", tmp_path / "model.onnx", "--labels", "a,b,c", "-o", tmp_path),
        *("--frontend", tmp_path / "spec.json", "--calibrate", tmp_path / "w.npy", *arguments),
        code=1,
    ).output
    assert message in output
    assert output.count("\n") == 1


def test_a_file_that_describes_itself_says_its_task(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(small.onnx_model())
    output = run("convert", tmp_path / "model.onnx", "--task", "multi-label", code=1).output
    assert "says that its task is single-label, not multi-label" in output
    output = run("convert", tmp_path / "model.onnx", "--noun", "", code=1).output
    assert "noun is '', expected a word or a few" in output
