"""Figures that were measured on real machines: a file of each, and the page made of them.

Run it as ``python -m edge_genre.benchmarks.latency.reference`` to write the page; a test checks
that nothing would change.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import click

from edge_genre.benchmarks.latency.baseline import read_result
from edge_genre.benchmarks.latency.result import Result, TimedRun
from edge_genre.benchmarks.markdown import table
from edge_genre.benchmarks.text import counted, number, printable, size
from edge_genre.errors import DataError, EdgeGenreError

_OTHERS = ("instructions.json",)  # counts of instructions, which are the same everywhere
_INTRODUCTION = """\
# Machines measured so far

Every figure on this page was measured on the machine that stands beside it. None is ever estimated
for a board that was not measured; one that is missing here has not been measured.

## Add yours
On a machine that does nothing else, from a clone of the repository:

    edge-genre benchmark MODEL... --save-reference benchmarks/reference
    python -m edge_genre.benchmarks.latency.reference

The first writes a file named after the machine, unless something makes its figures doubtful: a slow
clock, heat, a weak power supply, other programs, emulation. The second writes this page again. Send
both files.
"""
_FIGURES = (
    "machine",
    "cores",
    "engine",
    "threads",
    "front end",
    "inference",
    "total",
    "p99",
    "real-time factor",
    "memory",
    "date",
)
_MACHINES = (
    "machine",
    "processor",
    "cores",
    "memory",
    "GPU",
    "system",
    "versions",
    "clock",
    "file",
)
_NOTE = """\
Front end, inference and total are medians of one window, p99 is of the total; milliseconds. The
real-time factor is the mean time of a window divided by the time from one to the next. Memory
is resident.
"""


def reference_name(result: Result) -> str:
    """File name for a result, after its board or its processor.

    Raises
    ------
    DataError
        The figures cannot be trusted, and would mislead others.
    """
    if not result.trusted:
        raise DataError(f"not kept as a reference: {'; '.join(result.warnings)}")
    machine = result.machine
    name = machine.board or f"{machine.cpu} {machine.cores} cores"
    if any(run.device != "cpu" for run in result.runs):
        name += f" {machine.accelerator.partition(',')[0]}"
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{slug}.json"


def reference_page(folder: Path) -> str:
    """Write Markdown with a table for each model file that was measured.

    Parameters
    ----------
    folder : of results of ``edge-genre benchmark``, as JSON

    Raises
    ------
    DataError
        A file there is no result, or one that nothing was timed in or that cannot be trusted.
    """
    results = {
        path.name: _trusted(path)
        for path in sorted(folder.glob("*.json"))
        if path.name not in _OTHERS
    }
    if not results:
        return f"{_INTRODUCTION}\n## Models\nNo machine has been measured yet.\n"
    measured = [(result, run) for result in results.values() for run in result.timed]
    parts = [_INTRODUCTION, f"## Models\n{_NOTE}"]
    # Files of one name may differ, and their figures must not be compared.
    for _, alike in groupby(sorted(measured, key=_file), key=_file):
        parts.append(_model(list(alike)))
    rows = [_machine(name, result) for name, result in results.items()]
    parts.append(f"## Machines\n{_table(_MACHINES, rows)}")
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _trusted(path: Path) -> Result:
    result = read_result(path)
    if not result.trusted:
        raise DataError(f"{path}: is no reference: {'; '.join(result.warnings)}")
    if len(result.timed) < len(result.runs):
        raise DataError(f"{path}: is no reference: a model in it was not timed")
    return result


def _file(measured: tuple[Result, TimedRun]) -> tuple[str, str]:
    return measured[1].file, measured[1].sha256


def _model(measured: Sequence[tuple[Result, TimedRun]]) -> str:
    run = measured[0][1]
    facts = [size(run.bytes), run.weights]
    if run.parameters is not None:
        facts.append(counted(run.parameters, "parameter"))
    facts.append(f"SHA-256 {run.sha256[:12]}")
    about = ", ".join(_escaped(fact) for fact in facts if fact)
    return f"### {_escaped(run.file)}\n{about}.\n\n{_table(_FIGURES, map(_row, measured))}"


def _row(measured: tuple[Result, TimedRun]) -> list[str]:
    result, run = measured
    machine, stages = result.machine, run.stages
    memory = run.memory_mb.resident
    device = "" if run.device == "cpu" else f" on {run.device}"
    return [
        machine.board or machine.cpu,
        str(machine.cores),
        f"{run.engine}{device}",
        str(run.threads),
        *(number(step.median) for step in (stages.front_end, stages.inference, stages.total)),
        number(stages.total.p99),
        number(run.real_time_factor),
        "" if memory is None else f"{number(memory)} MB",
        result.before.time[:10],
    ]


def _machine(name: str, result: Result) -> list[str]:
    machine = result.machine
    versions = {"edge-genre": result.edge_genre, "Python": machine.python}
    versions |= machine.packages
    memory = machine.memory_mb
    return [
        machine.board or machine.cpu,
        machine.cpu + (", a virtual machine" if machine.virtual else ""),
        str(machine.cores),
        "" if memory is None else f"{memory / 1e3:.1f} GB",
        machine.accelerator,
        machine.system,
        ", ".join(f"{package} {version}" for package, version in versions.items()),
        _clock(result),
        name,
    ]


def _clock(result: Result) -> str:
    """Governor, and temperatures before and after."""
    before, after = result.before, result.after
    found = [before.governor or ""]
    if before.celsius is not None and after.celsius is not None:
        found.append(f"{before.celsius:.0f} to {after.celsius:.0f} °C")
    return ", ".join(part for part in found if part)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table(columns, ([_escaped(cell) for cell in row] for row in rows))


def _escaped(text: str) -> str:
    """Text of others, so that no character of it is markup."""
    plain = html.escape(printable(" ".join(text.split())), quote=False)
    return re.sub(r"([\\`*\[\]|])", r"\\\1", plain)


@click.command()
@click.argument(
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("benchmarks/reference"),
)
def main(folder: Path) -> None:
    """Write FOLDER/README.md from the results in FOLDER."""
    try:
        text = reference_page(folder)
    except EdgeGenreError as error:
        raise click.ClickException(str(error)) from None
    (folder / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
