"""What each form of the bundled models costs: the table of ``firmware_notes/README.md``.

    python -m edge_genre.benchmarks.studies.front_end_in_graph [--page FILE.md]

The files as they are bundled, whose front end is a program, and the same with the front end in the
graph (``edge-genre convert --waveform``, kept below ``build/front-end-in-graph``). Each is measured
in a process of its own, one turn after the other, on the path that ``listen`` takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from edge_genre.benchmarks.latency.benchmark import Plan, benchmark
from edge_genre.benchmarks.latency.result import Result, TimedRun
from edge_genre.benchmarks.latency.subject import Job
from edge_genre.benchmarks.markdown import table, with_part
from edge_genre.benchmarks.text import number, size
from edge_genre.convert.pipeline import convert
from edge_genre.demo import clip
from edge_genre.errors import ConversionError, EdgeGenreError
from edge_genre.model.bundled import bundled_models

PART = "forms"  # of the page
APART, WAVEFORM = "front end apart", "waveform in"
_FORMATS = {"tflite": "TFLite", "onnx": "ONNX"}


def waveform_form(bundled: Path, folder: Path) -> Path:
    """Convert a bundled file, or find what was made of it before.

    Raises
    ------
    ConversionError
        It is refused.
    """
    made = folder / bundled.suffix[1:]
    for found in made.glob(f"{bundled.stem}-waveform-*{bundled.suffix}"):
        if found.stat().st_mtime > bundled.stat().st_mtime:
            return found
    # A TFLite file keeps its own weights.
    quantize = ["fp32"] if bundled.suffix == ".onnx" else None
    (result,) = convert(
        bundled, output=made, to=[bundled.suffix[1:]], quantize=quantize, waveform=True
    ).results
    if result.path is None:
        raise ConversionError(f"{bundled.name}: {result.message}")
    return result.path


def measured(folder: Path, seconds: float) -> tuple[Result, list[str]]:
    """Measure all forms of all bundled models.

    Parameters
    ----------
    folder : for the converted files
    seconds : for each file

    Returns
    -------
    What was found, and the form of each run
    """
    forms = dict.fromkeys(bundled_models(), APART)
    forms |= {waveform_form(path, folder): WAVEFORM for path in list(forms)}
    audio = str(clip())
    result = benchmark([Job(str(path), audio) for path in forms], Plan(seconds))
    return result, list(forms.values())


def page_part(result: Result, forms: Sequence[str]) -> str:
    """What is generated in the page."""
    machine = result.machine
    packages = ", ".join(f"{name} {found}" for name, found in machine.packages.items())
    about = f"{machine.cpu}, {machine.system}, {packages}; one thread, medians"
    doubts = [f"> **Not to be trusted:** {warning}." for warning in result.warnings]
    head = ["model", "form", "file", "size", "front end, ms", "inference, ms", "CPU a window, ms"]
    rows = table([*head, "resident"], _rows(result.timed, forms), left=3)
    return "\n\n".join([f"{about}; {result.after.time[:10]}.", *doubts, rows])


def _rows(runs: Sequence[TimedRun], forms: Sequence[str]) -> Iterator[list[str]]:
    def key(of: tuple[TimedRun, str]) -> tuple[str, bool, str]:
        run, form = of
        return run.model, form == WAVEFORM, run.format

    for run, form in sorted(zip(runs, forms, strict=True), key=key):
        resident = run.memory_mb.resident
        yield [
            run.model,
            form,
            f"{_FORMATS[run.format]}, {run.weights}",
            size(run.bytes),
            *(number(step.median) for step in (run.stages.front_end, run.stages.inference)),
            number(run.cpu_ms),
            "" if resident is None else f"{number(resident)} MB",
        ]


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/front-end-in-graph"),
    show_default=True,
    help="For the converted files.",
)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=5.0, show_default=True)
@click.option(
    "--page",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write the table into this page.",
)
def main(folder: Path, seconds: float, page: Path | None) -> None:
    """Measure what each form of the bundled models costs."""
    try:
        content = page_part(*measured(folder, seconds))
        if page is None:
            click.echo(content)
        else:
            page.write_text(with_part(page.read_text(), PART, content))
    except EdgeGenreError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
