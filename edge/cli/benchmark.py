"""``edge-genre benchmark``: what models cost and what they are worth, on this machine."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_genre.choices import DEVICES, ENGINES
from edge_genre.cli.options import (
    Description,
    description_options,
    json_option,
    on_command_line,
    seconds_option,
)
from edge_genre.cli.view import console
from edge_genre.demo import clip
from edge_genre.errors import DataError, EdgeGenreError, GateError
from edge_genre.host.files import writing

if TYPE_CHECKING:
    from edge_genre.benchmarks.latency.result import Result

_MAX_THREADS = 64
# Parameters that say what becomes of figures, measured or read.
_SHOWING = ("source", "as_json", "report", "baseline", "tolerance", "save_reference")


def _threads(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        found = tuple(dict.fromkeys(int(part) for part in value.split(",")))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not numbers with commas between them.") from None
    for number in found:
        if not 1 <= number <= _MAX_THREADS:
            raise click.BadParameter(f"{number} is not in the range 1<=x<={_MAX_THREADS}.")
    return found


def _share(ctx: click.Context, parameter: click.Parameter, value: str) -> float:
    number = value.strip().removesuffix("%")
    try:
        share = float(number) / (100 if number != value.strip() else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 100:
        raise click.BadParameter(f"{value!r} is not a share, such as 30% or 0.3.")
    return share


@click.command("benchmark", no_args_is_help=True)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "-i",
    "--input",
    "audio",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Music to run on.  [default: the demo clip]",
)
@seconds_option("--hop", default=0.5, show_default=True, help="Time from one window to the next.")
@seconds_option(
    "--seconds",
    default=5.0,
    show_default=True,
    help="Seconds of measuring per model; several models take turns.",
)
@click.option(
    "--threads",
    default="1",
    show_default=True,
    callback=_threads,
    metavar="N,...",
    help="Threads for inference; each number is measured.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="Inference engine.  [default: the best one installed]",
)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="cpu",
    show_default=True,
    help="Where inference runs; any but cpu takes ONNX files alone, and measures the CPU beside "
    "it, and several windows at once.",
)
@click.option(
    "--paced",
    is_flag=True,
    help="Feed the audio in real time, a window per hop, as a microphone does.",
)
@click.option(
    "--corpus",
    type=click.Path(path_type=Path),
    metavar="DATA",
    help="Measure accuracy too, on labelled music as for edge-genre evaluate.",
)
@click.option(
    "--labels-csv",
    "table",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Labels of the audio files of --corpus, as for edge-genre evaluate.",
)
@click.option(
    "--profile", is_flag=True, help="Measure the time of each kind of operator (ONNX files alone)."
)
@json_option
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    help="Show what --json printed earlier, here or on another machine, and measure nothing.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Write a page with charts (needs edge-genre[report]).",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    help="Compare with what --json printed earlier; exit code 3 if something costs more.",
)
@click.option(
    "--tolerance",
    default="30%",
    show_default=True,
    callback=_share,
    help="How far a figure may be above the baseline's.",
)
@click.option(
    "--save-reference",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write the figures there, in a file named after this machine, to contribute them.",
)
@description_options
def command(
    models: tuple[str, ...],
    source: Path | None,
    as_json: bool,
    report: Path | None,
    baseline: Path | None,
    tolerance: float,
    save_reference: Path | None,
    **how: Any,
) -> None:
    """Measure models on this machine: latency, size, memory, and accuracy if music is given.

    MODEL is a TFLite or ONNX file, a bundled name, or a folder of such files. Each model runs in a
    process of its own on real audio, window after window as in edge-genre listen; several models
    take turns. Whatever makes the figures doubtful is said beside them.
    """
    from edge_genre.benchmarks.latency.baseline import read_result

    _require_one_source(models, source)
    earlier = None if baseline is None else read_result(baseline)
    if report is not None:
        _require_report(report)
    result = read_result(source) if source else _measured(models, **how)
    if report is not None:
        from edge_genre.benchmarks.report.page import html_report

        _write(report, html_report(result))
    if save_reference is not None:
        _save_reference(result, save_reference)
    if as_json:
        click.echo(json.dumps(result.to_dict()))
    else:
        from edge_genre.cli.benchmark_table import print_result

        print_result(result, console())
    if earlier is not None:
        _compare(result, earlier, tolerance, baseline)


def _require_one_source(models: tuple[str, ...], source: Path | None) -> None:
    """Models to measure or figures to show, not both, nor how to measure what is not measured."""
    if source is None and not models:
        raise click.UsageError("Missing argument 'MODEL...'.")
    if source is not None:
        for parameter in click.get_current_context().command.params:
            if parameter.name not in _SHOWING and on_command_line(str(parameter.name)):
                name = "MODEL" if parameter.name == "models" else parameter.opts[-1]
                raise click.UsageError(f"--from shows earlier figures: leave {name} out.")


def _require_report(path: Path) -> None:
    """Say what is missing before minutes of measuring, not after."""
    if not path.absolute().parent.is_dir():
        raise DataError(f"{path}: its folder does not exist")
    if missing := [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]:
        raise EdgeGenreError(
            f"--report needs {' and '.join(missing)}: pip install 'edge-genre[report]', or "
            "print --json here and show that with --from on a machine that has them"
        )


def _measured(
    models: tuple[str, ...],
    *,
    audio: Path | None,
    hop: float,
    seconds: float,
    threads: tuple[int, ...],
    engine: str | None,
    device: str,
    paced: bool,
    corpus: Path | None,
    table: Path | None,
    profile: bool,
    description: Description,
) -> Result:
    """Measure every model on each device with each number of threads."""
    from rich.console import Console

    from edge_genre.benchmarks.latency.benchmark import Plan, benchmark, models_of
    from edge_genre.benchmarks.latency.subject import Job

    if corpus is not None and not corpus.exists():
        raise DataError(f"{corpus}: no such file or folder")
    if table is not None and (corpus is None or not corpus.is_dir()):
        raise click.UsageError("--labels-csv is for --corpus, a folder of audio.")
    jobs = [
        Job(
            model=model,
            audio=str(audio or clip()),
            hop=hop,
            threads=count,
            engine=engine,
            device=on,
            front_end=description.front_end,
            labels=description.labels,
            output=description.output,
            task=description.task,
            paced=paced,
        )
        for model in models_of(models)
        for on in dict.fromkeys(("cpu", device))
        for count in threads
    ]
    plan = Plan(
        seconds=seconds,
        corpus=None if corpus is None else str(corpus),
        labels=None if table is None else str(table),
        profile=profile,
        batches=device != "cpu",
    )
    said = " ".join(["edge-genre", *sys.argv[1:]])
    with Console(stderr=True).status("loading") as status:
        return benchmark(jobs, plan, command=said, progress=status.update)


def _save_reference(result: Result, folder: Path) -> None:
    from edge_genre.benchmarks.latency.reference import reference_name

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / reference_name(result)
    _write(path, json.dumps(result.to_dict(), indent=1) + "\n")
    click.echo(f"{path}", err=True)


def _compare(result: Result, earlier: Result, tolerance: float, baseline: Path | None) -> None:
    from edge_genre.benchmarks.latency.baseline import regressions

    grown = regressions(result, earlier, tolerance)
    for line in grown:
        click.echo(f"edge-genre: {line}", err=True)
    if grown:
        figures = "figure" if len(grown) == 1 else "figures"
        raise GateError(f"{len(grown)} {figures} above the baseline {baseline}")


def _write(path: Path, text: str) -> None:
    with writing(path):
        path.write_text(text, encoding="utf-8")
