"""What the bundled models need on a microcontroller: the tables of ``firmware_notes``.

    python -m edge_genre.benchmarks.studies.microcontrollers --calibrate MUSIC [--page FILE.md]

A bundled file that TFLite Micro runs is measured as it is; of the other models an 8-bit form is
made from the bundled fp32 ONNX file, calibrated on some music. The arena is the smallest in which
TFLite Micro's interpreter gives an answer on this machine, the answers are compared with LiteRT's,
and the front end in C is compiled with gcc and its instructions counted by Valgrind.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.markdown import table, with_part
from edge_genre.classifier import Classifier
from edge_genre.convert.c.code import write_sources
from edge_genre.convert.c.micro import require_micro, resolver_methods, run_micro, smallest_arena
from edge_genre.convert.c.tables import c_tables
from edge_genre.convert.tensors import one_input
from edge_genre.convert.verify.graph_facts import multiply_accumulates
from edge_genre.convert.verify.windows import load_windows
from edge_genre.errors import ConversionError, EdgeGenreError
from edge_genre.frontend import FrontEndSpec
from edge_genre.model.bundled import bundled_models, find_model
from edge_genre.model.container import split

PART = "measured"  # of the page
KB = 1024
_WINDOWS = 130  # to compare answers on
_VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


@dataclass(frozen=True)
class Chip:
    """A microcontroller, as its data sheet has it.

    Parameters
    ----------
    name : for people
    ram : bytes on the chip in one stretch
    flash : bytes on the chip, or on a usual board where it has none
    megahertz : of the processor
    about : the facts in words
    """

    name: str
    ram: int
    flash: int
    megahertz: int
    about: str


CHIPS = (
    Chip(
        *("ESP32-S3", 512 * KB, 8192 * KB, 240),
        "2 Xtensa LX7 with 128-bit vector instructions, 512 KB SRAM, flash outside "
        "(module WROOM-1-N8: 8 MB)",
    ),
    Chip(
        *("RP2350", 520 * KB, 4096 * KB, 150),
        "2 Cortex-M33 with FPU and DSP, 520 KB SRAM, flash outside (Pico 2: 4 MB)",
    ),
    Chip(
        *("STM32H743", 512 * KB, 2048 * KB, 480),
        "Cortex-M7 with FPU and DSP, 1 MB RAM, of which 512 KB AXI SRAM are one stretch, "
        "2 MB flash",
    ),
)


@dataclass(frozen=True)
class Needs:
    """What one form of a model needs.

    Parameters
    ----------
    name : of the model
    form : how it was made
    graph : bytes in flash
    arena : bytes, see `edge_genre.convert.c.micro.smallest_arena`
    macs : multiply-accumulates of a window
    methods : of the resolver
    same_genre : windows with LiteRT's first class, of `windows`
    windows : compared
    largest : difference of a probability among them
    spec : its front end
    """

    name: str
    form: str
    graph: int
    arena: int
    macs: int
    methods: tuple[str, ...]
    same_genre: int
    windows: int
    largest: float
    spec: FrontEndSpec


def needs(name: str, form: str, path: Path, windows: NDArray[np.float32]) -> Needs:
    """Measure a TFLite file.

    Parameters
    ----------
    name, form : for the table
    windows : to compare its answers on, float32 [shape=(n, *spec.shape)]

    Raises
    ------
    ConversionError
        TFLite Micro does not run it, or it holds loops.
    """
    classifier = Classifier.load(path)
    content = path.read_bytes()
    arena = smallest_arena(content)
    answers = run_micro(content, windows, arena=arena)
    expected = np.stack([classifier.run(window) for window in windows])
    macs = multiply_accumulates(content)
    if macs is None:
        raise ConversionError(f"{path}: holds a loop")
    return Needs(
        name=name,
        form=form,
        graph=len(split(content)[0]),
        arena=arena,
        macs=macs,
        methods=tuple(resolver_methods(content)),
        same_genre=int((answers.argmax(axis=1) == expected.argmax(axis=1)).sum()),
        windows=len(windows),
        largest=float(np.abs(answers - expected).max()),
        spec=classifier.spec,
    )


def measured(name: str, music: Path | None) -> Iterator[Needs]:
    """Measure a bundled model in each form that TFLite Micro runs.

    Parameters
    ----------
    name : of the model
    music : to compare answers on, and to calibrate with; without it, answers are compared on music
        that edge-genre composes, and a model that TFLite Micro does not run as bundled is left out
    """
    classifier = Classifier.load(name)
    spec, labels = classifier.spec, classifier.labels
    as_bundled = _runs(classifier.model.content)
    if music is None and not as_bundled:
        return
    found = load_windows(music, inputs=one_input(spec.shape), specs=[spec], labels=labels)
    some = found.features[np.linspace(0, len(found) - 1, _WINDOWS).astype(int)]
    if as_bundled:
        yield needs(name, "as bundled", classifier.model.path, some)
        return
    from edge_genre.convert.pipeline import convert

    with tempfile.TemporaryDirectory() as folder:
        windows = Path(folder) / "windows.npz"
        np.savez(windows, X=found.features)
        for integer_io in (False, True):
            report = convert(
                find_model(f"{name}.onnx"),
                output=Path(folder) / str(integer_io),
                quantize=["int8"],
                target="micro",
                integer_io=integer_io,
                calibrate=windows,
            )
            if not report.files:
                raise ConversionError("; ".join(report.problems()))
            form = "`--target micro --quantize int8" + (" --integer-io" if integer_io else "")
            yield needs(name, f"{form}`", report.files[0], some)


def _runs(model: bytes) -> bool:
    try:
        require_micro(model)
    except ConversionError:
        return False
    return True


@dataclass(frozen=True)
class FrontEndNeeds:
    """What the front end in C needs for one spec: bytes, and instructions of a window."""

    models: tuple[str, ...]
    state: int
    tables: int
    instructions: int


def front_end_needs(spec: FrontEndSpec, models: Sequence[str], sources: Path) -> FrontEndNeeds:
    """Compile the front end in C, and count what a window costs.

    Parameters
    ----------
    sources : ``firmware_notes/c``

    Raises
    ------
    EdgeGenreError
        gcc or Valgrind is missing or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        texts = c_tables(spec)
        write_sources(place, texts)
        (place / "count.c").write_text(_COUNT)
        program, include = place / "program", [f"-I{place}", f"-I{sources}"]
        files = [place / "count.c", sources / "edge_genre_frontend.c"]
        _run(["gcc", "-std=c99", "-O2", *include, *files, "-lm", "-o", program])
        counts = []
        for windows in (1, 3):
            result = _run([*_VALGRIND, program, windows])
            found = re.search(r"I\s+refs:\s+([\d,]+)", result.stderr)
            if not found:
                raise EdgeGenreError("valgrind counts no instructions")
            counts.append(int(found[1].replace(",", "")))
        state = int(result.stdout)
    arrays = re.findall(r"const (float|uint16_t) \w+\[(\d+)\]", "".join(texts.values()))
    tables = sum({"float": 4, "uint16_t": 2}[kind] * int(count) for kind, count in arrays)
    return FrontEndNeeds(tuple(models), state, tables, (counts[1] - counts[0]) // 2)


# Noise, for as many windows as are asked for.
_COUNT = """
#include <stdio.h>
#include <stdlib.h>
#include "edge_genre_frontend.h"
static eg_frontend frontend;
static int16_t samples[EG_WINDOW_SAMPLES];
int main(int count, char **arguments) {
    unsigned state = 1;
    float sum = 0;
    for (int i = 0; i < EG_WINDOW_SAMPLES; i++) {
        state = state * 1664525u + 1013904223u;
        samples[i] = (int16_t)(state >> 18);
    }
    for (int window = atoi(arguments[count - 1]); window > 0; window--) {
        eg_reset(&frontend);
        eg_accept_i16(&frontend, samples, EG_WINDOW_SAMPLES);
        sum += eg_finish(&frontend)[0];
    }
    printf("%u", (unsigned)sizeof frontend);
    return sum == 1.0f;
}
"""


def _run(command: Sequence[object]) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    try:
        return subprocess.run(words, capture_output=True, check=True, text=True)
    except FileNotFoundError:
        raise EdgeGenreError(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        raise EdgeGenreError(f"{command[0]} fails: {error.stderr.strip()[-300:]}") from None


def model_table(rows: Sequence[Needs]) -> str:
    """The models' needs as Markdown."""
    head = ["model", "form", "flash, bytes", "arena, bytes", "multiply-accumulates a window"]
    head += ["operators", "same genre as LiteRT", "largest difference"]
    cells = (
        [
            *(row.name, row.form, f"{row.graph:,}", f"{row.arena:,}", f"{row.macs:,}"),
            *(str(len(row.methods)), f"{row.same_genre} of {row.windows} windows"),
            f"{row.largest:.3f}",
        ]
        for row in rows
    )
    return table(head, cells)


def front_end_table(rows: Sequence[FrontEndNeeds]) -> str:
    """The front ends' needs as Markdown."""
    head = ["front end of", "RAM, bytes", "tables in flash, bytes", "million instructions a window"]
    cells = (
        [
            *(", ".join(row.models), f"{row.state:,}", f"{row.tables:,}"),
            f"{row.instructions / 1e6:.1f}",
        ]
        for row in rows
    )
    return table(head, cells)


def fit_table(rows: Sequence[Needs], front_ends: Sequence[FrontEndNeeds]) -> str:
    """Which chip has room for which model, as Markdown."""
    cells = []
    for row in rows:
        if "integer-io" in row.form:  # which needs next to nothing less
            continue
        (front_end,) = (each for each in front_ends if row.name in each.models)
        ram, flash = row.arena + front_end.state, row.graph + front_end.tables
        verdicts = (_verdict(chip, ram, flash) for chip in CHIPS)
        cells.append([row.name, f"{ram / KB:.0f} KB", *verdicts])
    return table(["model", "RAM", *(chip.name for chip in CHIPS)], cells)


def _verdict(chip: Chip, ram: int, flash: int) -> str:
    share = ram / chip.ram
    if share > 1 or flash > chip.flash:
        return "no"
    return f"{share:.0%} of RAM" + ("" if share <= 2 / 3 else ", tight")


def page_part(rows: Sequence[Needs], front_ends: Sequence[FrontEndNeeds]) -> str:
    """Everything that is generated in the page."""
    clocks = "\n".join(f"- **{chip.name}**, {chip.megahertz} MHz: {chip.about}." for chip in CHIPS)
    return "\n\n".join(
        (
            f"Measured with tflite-micro {version('tflite-micro')} on x86-64.",
            model_table(rows),
            front_end_table(front_ends),
            "### What fits\n" + clocks,
            fit_table(rows, front_ends),
        )
    )


@click.command()
@click.option(
    "--calibrate",
    type=click.Path(exists=True, path_type=Path),
    help="Music to compare answers on, and for the models that TFLite Micro does not run as they "
    "are; without it these are left out.",
)
@click.option(
    "--sources",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("firmware_notes/c"),
    show_default=True,
    help="The front end in C.",
)
@click.option(
    "--page",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write the tables into this page.",
)
def main(calibrate: Path | None, sources: Path, page: Path | None) -> None:
    """Measure what the bundled models need on a microcontroller."""
    names = list(dict.fromkeys(path.stem for path in bundled_models()))
    # The smallest first: it is the one to begin with.
    names.sort(key=lambda name: find_model(name).stat().st_size)
    try:
        rows = [row for name in names for row in measured(name, calibrate)]
        specs = {spec.hash: spec for spec in (row.spec for row in rows)}
        front_ends = [
            front_end_needs(
                spec,
                list(dict.fromkeys(row.name for row in rows if row.spec.hash == spec.hash)),
                sources.absolute(),
            )
            for spec in specs.values()
        ]
        content = page_part(rows, front_ends)
        if page is None:
            print(content)
        else:
            page.write_text(with_part(page.read_text(), PART, content))
    except EdgeGenreError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
