"""``edge-genre benchmark``: what models cost and what they are worth, on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_genre.choices import DEVICES, ENGINES
from edge_genre.cli.options import Description, description_options, json_option, seconds_option
from edge_genre.cli.view import console
from edge_genre.demo import clip
from edge_genre.errors import DataError, GateError

if TYPE_CHECKING:
    from edge_genre.benchmarks.latency.benchmark import Plan
    from edge_genre.benchmarks.latency.subject import Job

_MAX_THREADS = 64


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
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "-i",
    "--input",
    "audio",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Music to run on.  [default: the demo clip]",
)
@seconds_option("--hop", default=0.5, show_default=True, help="From one window to the next.")
@seconds_option(
    "--seconds", default=5.0, show_default=True, help="To measure each model, in turns."
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
    help="What runs the files.  [default: the best there is]",
)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="cpu",
    show_default=True,
    help="Any other than cpu takes ONNX files, and measures the CPU beside it, in batches.",
)
@click.option("--paced", is_flag=True, help="One window a hop, as in real life, not at full speed.")
@click.option(
    "--corpus",
    type=click.Path(path_type=Path),
    metavar="DATA",
    help="Measure accuracy too: labelled music, as for edge-genre evaluate.",
)
@click.option("--profile", is_flag=True, help="Time of each kind of operator, of ONNX files.")
@json_option
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Write a page with plots.",
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
    help="By how much a figure may be above the baseline's.",
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
    audio: Path | None,
    hop: float,
    seconds: float,
    threads: tuple[int, ...],
    engine: str | None,
    device: str,
    paced: bool,
    corpus: Path | None,
    profile: bool,
    as_json: bool,
    report: Path | None,
    baseline: Path | None,
    tolerance: float,
    save_reference: Path | None,
    description: Description,
) -> None:
    """Measure models on this machine: latency, size, memory, and accuracy if music is given.

    MODEL is a TFLite or ONNX file, a bundled name, or a folder of such files. Each model runs in a
    process of its own on real audio, window after window as in edge-genre listen; several models
    take turns. Whatever makes the figures doubtful is said beside them.
    """
    from edge_genre.benchmarks.latency.baseline import read_result, regressions
    from edge_genre.benchmarks.latency.benchmark import Plan, benchmark, models_of
    from edge_genre.benchmarks.latency.subject import Job

    earlier = None if baseline is None else read_result(baseline)
    if corpus is not None and not corpus.exists():
        raise DataError(f"{corpus}: no such file or folder")
    if report is not None and not report.absolute().parent.is_dir():
        raise DataError(f"{report}: its folder does not exist")
    front_end = description.front_end
    jobs = [
        Job(
            model=model,
            audio=str(audio or clip()),
            hop=hop,
            threads=count,
            engine=engine,
            device=on,
            front_end=None if front_end is None else front_end.to_dict(),
            labels=description.labels,
            output=description.output,
            paced=paced,
        )
        for model in models_of(models)
        for on in dict.fromkeys(("cpu", device))
        for count in threads
    ]
    plan = Plan(
        seconds=seconds,
        corpus=None if corpus is None else str(corpus),
        profile=profile,
        batches=device != "cpu",
    )
    said = " ".join(["edge-genre", *sys.argv[1:]])
    result = {"command": said, **_watched(benchmark, jobs, plan)}
    if report:
        from edge_genre.benchmarks.report.page import html_report

        _write(report, html_report(result))
    if save_reference:
        from edge_genre.benchmarks.latency.reference import reference_name

        save_reference.mkdir(parents=True, exist_ok=True)
        path = save_reference / reference_name(result)
        _write(path, json.dumps(result, indent=1) + "\n")
        click.echo(f"{path}", err=True)
    if as_json:
        click.echo(json.dumps(result))
    else:
        from edge_genre.cli.benchmark_table import print_result

        print_result(result, console())
    if earlier is not None:
        grown = regressions(result, earlier, tolerance)
        for line in grown:
            click.echo(f"edge-genre: {line}", err=True)
        if grown:
            figures = "figure" if len(grown) == 1 else "figures"
            raise GateError(f"{len(grown)} {figures} above the baseline {baseline}")


def _watched(run: Callable[..., dict[str, Any]], jobs: list[Job], plan: Plan) -> dict[str, Any]:
    """Say on a terminal what is being done."""
    from rich.console import Console

    with Console(stderr=True).status("loading") as status:
        return run(jobs, plan, progress=status.update)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None
