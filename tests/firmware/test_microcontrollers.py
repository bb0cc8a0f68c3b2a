"""The page on microcontrollers: its figures are measured ones, and its program compiles."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edge_genre import Classifier
from edge_genre.benchmarks.markdown import part
from edge_genre.benchmarks.studies import microcontrollers
from edge_genre.benchmarks.studies.microcontrollers import Chip, FrontEndNeeds, Needs
from edge_genre.convert.c.code import write_sources
from edge_genre.convert.c.model import c_model
from edge_genre.frontend import PRESETS
from edge_genre.model.bundled import find_model
from edge_genre.model.file import write
from edge_genre.task import Task
from tests.support.c_compiler import SOURCES, STRICT, require
from tests.support.models_on_the_fly import info
from tests.support.tflite_on_the_fly import tflite_graph

PAGE = SOURCES.parent / "microcontrollers.md"


def _rows(first: str) -> list[list[str]]:
    """Cells of the page's generated rows that begin with a text."""
    lines = part(PAGE.read_text(), microcontrollers.PART).splitlines()
    lines = [line for line in lines if line.startswith(f"| {first}")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _number(cell: str) -> float:
    return float(cell.replace(",", ""))


def _matches(row: list[str], measured: Needs) -> None:
    assert row[1] == measured.form
    assert _number(row[2]) == pytest.approx(measured.graph, rel=0.01)
    # Another day's build of tflite-micro may need a little more or less.
    assert _number(row[3]) == pytest.approx(measured.arena, rel=0.02)
    assert _number(row[4]) == measured.macs
    assert int(row[5]) == len(measured.methods)


def test_the_tiny_model_is_as_the_page_says() -> None:
    windows = np.random.default_rng(0).normal(size=(8, 39, 128)).astype(np.float32)
    path = find_model("tiny-gtzan")
    measured = microcontrollers.needs("tiny-gtzan", "as bundled", path, windows)
    row = _rows("tiny-gtzan")[0]
    _matches(row, measured)
    assert _number(row[2]) == measured.graph
    assert measured.windows == 8
    assert measured.largest <= 0.05


@pytest.mark.slow
def test_the_other_models_are_as_the_page_says(clips: Path) -> None:
    for name in ("songnet-gtzan", "songnet-fma"):
        found = list(microcontrollers.measured(name, clips))
        rows = [row for row in _rows(name) if len(row) == 8]
        assert len(found) == len(rows) == 2
        for row, measured in zip(rows, found, strict=True):
            _matches(row, measured)
            assert measured.same_genre >= 0.93 * measured.windows


@pytest.mark.parametrize(
    ("preset", "model"), [("songnet-gtzan", "tiny"), ("songnet-fma", "songnet-fma")]
)
def test_the_front_ends_are_as_the_page_says(preset: str, model: str) -> None:
    require("gcc", "valgrind")
    measured = microcontrollers.front_end_needs(PRESETS[preset], [model], SOURCES)
    (row,) = (row for row in _rows(model) if len(row) == 4 and "KB" not in row[1])
    assert _number(row[1]) == measured.state
    assert _number(row[2]) == measured.tables
    # Compilers differ.
    assert _number(row[3]) == pytest.approx(measured.instructions / 1e6, rel=0.3)


def test_the_programs_on_the_page_compile(tmp_path: Path) -> None:
    require("gcc")
    of_one, of_many = re.findall(r"```c\n(.*?)```", PAGE.read_text(), re.DOTALL)
    task = Task(kind="multi_label", noun="mood", background="rock")
    tagger = tmp_path / "tagger.tflite"
    write(tagger, tflite_graph(many=True), info(task=task))
    for name, program in (("tiny-gtzan", of_one), (str(tagger), of_many)):
        (tmp_path / "main.c").write_text(program)
        write_sources(tmp_path, c_model(Classifier.load(name)))
        command = ["gcc", *STRICT, f"-I{tmp_path}", f"-I{SOURCES}", "-c", "main.c", "-o", "main.o"]
        subprocess.run(command, check=True, cwd=tmp_path)


def test_links_and_names_of_the_page() -> None:
    text = PAGE.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (PAGE.parent / target).exists(), target


def _needs(arena: int, graph: int = 50_000) -> Needs:
    return Needs("m", "as bundled", graph, arena, 1, ("AddAdd",), 1, 1, 0.0, PRESETS["log-mel"])


def test_what_fits() -> None:
    chip = microcontrollers.CHIPS[1]
    assert chip == Chip("RP2350", 520 * 1024, 4096 * 1024, 150, chip.about)
    front_end = FrontEndNeeds(("m",), 32 * 1024, 1000, 1)

    def cell(needs: Needs) -> str:
        row = microcontrollers.fit_table([needs], [front_end]).splitlines()[-1]
        return [each.strip() for each in row.strip("|").split("|")][3]

    assert cell(_needs((260 - 32) * 1024)) == "50% of RAM"
    assert cell(_needs((416 - 32) * 1024)) == "80% of RAM, tight"
    assert cell(_needs((520 - 32) * 1024)) == "100% of RAM, tight"
    assert cell(_needs((520 - 32) * 1024 + 1)) == "no"
    assert cell(_needs(1024, graph=5_000_000)) == "no"
