"""Instructions of one window: a cost that is the same on a noisy machine as on a quiet one.

    python -m edge_genre.benchmarks.studies.instructions [MODEL...] [--compare FILE] [--json FILE]

Valgrind's cachegrind, without its caches, counts what a process runs that classifies some windows
of the demo clip, and what one runs that classifies more of them; the difference is what those cost.
Valgrind plays one processor, with AVX2 and without AVX-512, on every x86-64 machine that has AVX2,
and libraries choose their code for it. A count is no time, since it knows no caches and no width of
vectors: what it shows is change.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import click
import numpy as np

from edge_genre.audio.file import AudioFile
from edge_genre.benchmarks.latency.baseline import read_json
from edge_genre.benchmarks.latency.streaming import Loop
from edge_genre.benchmarks.markdown import table
from edge_genre.classifier import Classifier
from edge_genre.demo import clip
from edge_genre.errors import DataError, EdgeGenreError, GateError
from edge_genre.host.process import ONE_THREAD
from edge_genre.host.record import Record
from edge_genre.listening.rolling import rolling_windows
from edge_genre.model.bundled import bundled_models, find_model

SCHEMA = 1
HOP = 0.5  # seconds, rounded to whole frames
_FIRST = 2  # windows of every process: all samples are new in the first, buffers in the second
_VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
_PROCESS = """import sys
from edge_genre.benchmarks.studies import instructions
instructions.run(*sys.argv[1:])
"""
# Nothing may differ between two processes but their windows: not the order of sets, not who
# compiles a module, and no other thread may run, of BLAS or of ONNX Runtime's telemetry.
_SAME = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "ORT_DISABLE_TELEMETRY": "1"}
_SAME |= ONE_THREAD


@dataclass(frozen=True)
class Count(Record):
    """Instructions of a window of one file.

    Parameters
    ----------
    file, engine : what was run
    hop : seconds
    front_end, total : to the features, and from new samples to the result
    inference : what is left
    """

    file: str
    engine: str
    hop: float
    front_end: int
    inference: int
    total: int

    @property
    def stages(self) -> dict[str, int]:
        """The counts by their names."""
        found = {"front end": self.front_end, "inference": self.inference}
        return found | {"total": self.total}


@dataclass(frozen=True)
class Counts(Record):
    """Instructions of a window of some files, as ``--json`` writes them.

    Parameters
    ----------
    schema : of all this
    windows : that a count is the mean of
    libraries : versions of what the counts depend on
    runs : a count a file
    """

    schema: int
    windows: int
    libraries: dict[str, str]
    runs: tuple[Count, ...]


@dataclass(frozen=True)
class Facts(Record):
    """What a process says that was counted."""

    hop: float
    engine: str
    libraries: dict[str, str]


def run(model: str, windows: str, front_end_alone: str) -> None:
    """Classify windows, compute the features of others, and print what did it as JSON.

    This is what is counted, in a process of its own.
    """
    classifier = Classifier.load(model, check=False)
    hop = classifier.round_hop(HOP)
    with AudioFile(clip()) as source:
        samples = np.concatenate(list(source.blocks()))

    def audio() -> Loop:
        return Loop(samples, source.rate, hop=hop)

    results = classifier.stream(audio(), hop=hop, silence_dbfs=-math.inf)
    features = rolling_windows(
        audio(), classifier.specs, hop=round(hop * classifier.spec.sample_rate)
    )
    _take(results, _FIRST + int(windows))
    _take(features, _FIRST + int(front_end_alone))
    simd = np.show_config("dicts")["SIMD Extensions"]
    libraries = {"python": platform.python_version(), "numpy": version("numpy")}
    libraries["numpy runs"] = " ".join([*simd["baseline"], *simd.get("found", ())])
    print(json.dumps(Facts(hop, classifier.engine.name, libraries).to_dict()))


def _take(stream: Iterable[object], count: int) -> None:
    for _ in islice(stream, count):
        pass


def count(models: Sequence[Path], *, windows: int) -> Counts:
    """Count the instructions of a window of each model.

    Parameters
    ----------
    models : paths
    windows : that a count is the mean of

    Raises
    ------
    EdgeGenreError
        A model cannot be used, or Valgrind is missing or fails.
    """
    if shutil.which(_VALGRIND[0]) is None:
        raise EdgeGenreError("valgrind is not installed (Debian: apt-get install valgrind)")
    for model in models:
        Classifier.load(model)  # which says what is wrong with it
    jobs = [(model, *more) for model in models for more in ((0, 0), (windows, 0), (0, windows))]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = list(threads.map(lambda job: _counted(*job), jobs))
    runs = []
    for index, model in enumerate(models):
        (base, facts), (whole, _), (front, _) = found[3 * index : 3 * index + 3]
        total, front_end = round((whole - base) / windows), round((front - base) / windows)
        runs.append(Count(model.name, facts.engine, facts.hop, front_end, total - front_end, total))
    libraries = {"valgrind": _valgrind_version(), **found[0][1].libraries}
    return Counts(SCHEMA, windows, libraries, tuple(runs))


def _counted(model: Path, windows: int, front_end_alone: int) -> tuple[int, Facts]:
    """Instructions of a process, and what it printed."""
    arguments = (str(model), str(windows), str(front_end_alone))
    result = subprocess.run(
        # -P: a folder on the path that others write to is listed anew, which costs instructions.
        [*_VALGRIND, sys.executable, "-P", "-c", _PROCESS, *arguments],
        env={**os.environ, **_SAME},
        capture_output=True,
        text=True,
        check=False,
    )
    counted = re.search(r"I\s+refs:\s+([\d,]+)", result.stderr)
    if result.returncode or not counted:
        line = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise EdgeGenreError(f"{model}: cannot be run under Valgrind ({line})")
    facts = Facts.from_dict(json.loads(result.stdout.splitlines()[-1]))
    return int(counted[1].replace(",", "")), facts


def _valgrind_version() -> str:
    command = [_VALGRIND[0], "--version"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return printed.strip().removeprefix("valgrind-")


def read_counts(path: Path) -> Counts:
    """Read what ``--json`` wrote.

    Raises
    ------
    DataError
        It cannot be read, or is something else.
    """
    values = read_json(path)
    try:
        counts = Counts.from_dict(values)
    except ValueError:
        counts = None
    if counts is None or counts.schema != SCHEMA:
        raise DataError(f"{path}: holds no counts of instructions of schema {SCHEMA}")
    return counts


def changes(counts: Counts, reference: Counts) -> dict[str, dict[str, float]]:
    """By what part each stage of each file grew, less than 0 where it shrank.

    Raises
    ------
    DataError
        The reference has no such file.
    """
    known = {run.file: run.stages for run in reference.runs}
    found = {}
    for run in counts.runs:
        before = known.get(run.file)
        if before is None:
            have = ", ".join(known) or "nothing"
            raise DataError(f"the reference has no {run.file} (it has {have})")
        found[run.file] = {stage: now / before[stage] - 1 for stage, now in run.stages.items()}
    return found


def other_libraries(counts: Counts, reference: Counts) -> list[str]:
    """What else has changed since the reference, and may be why counts have."""
    pairs = [
        (name, reference.libraries.get(name, "none"), found)
        for name, found in counts.libraries.items()
    ]
    engines = {run.file: run.engine for run in reference.runs}
    pairs += [(run.file, engines.get(run.file, "none"), run.engine) for run in counts.runs]
    return [f"{name}: {now}, in the reference {then}" for name, then, now in pairs if now != then]


def report(counts: Counts, grown: dict[str, dict[str, float]] | None = None) -> str:
    """The counts as Markdown, in millions of instructions, with changes if there are any."""
    about = ", ".join(f"{name} {value}" for name, value in counts.libraries.items())
    rows = []
    for run in counts.runs:
        cells = [run.file, run.engine, f"{run.hop:.3f}"]
        for stage, found in run.stages.items():
            change = f" ({grown[run.file][stage]:+.1%})" if grown else ""
            cells.append(f"{found / 1e6:.2f}{change}")
        rows.append(cells)
    written = table(["file", "engine", "hop, s", "front end", "inference", "total"], rows)
    return f"Millions of instructions a window, mean of {counts.windows}; {about}.\n\n{written}"


def _percent(ctx: click.Context, parameter: click.Parameter, value: str) -> float:
    try:
        return float(value.removesuffix("%")) / 100
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a number of percent, such as 5%.") from None


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--windows", type=click.IntRange(1), default=5, show_default=True, help="To count.")
@click.option("--compare", type=click.Path(path_type=Path), help="With the counts in this file.")
@click.option(
    "--tolerance",
    default="5%",
    show_default=True,
    callback=_percent,
    help="By how much a count may be above that; exit code 3 if one is.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the counts.")
def main(
    models: tuple[str, ...],
    windows: int,
    compare: Path | None,
    tolerance: float,
    json_path: Path | None,
) -> None:
    """Count the instructions of a window.

    MODEL is a file or a bundled name; all bundled models where it is left out.
    """
    try:
        reference = None if compare is None else read_counts(compare)
        paths = [find_model(model) for model in models] or bundled_models()
        counts = count(paths, windows=windows)
        if json_path:
            json_path.write_text(json.dumps(counts.to_dict(), indent=1) + "\n")
        if reference is None:
            print(report(counts))
        else:
            _compare(counts, reference, tolerance)
    except EdgeGenreError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def _compare(counts: Counts, reference: Counts, tolerance: float) -> None:
    for line in other_libraries(counts, reference):
        click.echo(f"note: {line}", err=True)
    grown = changes(counts, reference)
    print(report(counts, grown))
    above = [
        f"{file}: {stage} {change:+.1%}"
        for file, stages in grown.items()
        for stage, change in stages.items()
        if change > tolerance
    ]
    if above:
        raise GateError(f"more instructions than in the reference: {'; '.join(above)}")


if __name__ == "__main__":
    main()
