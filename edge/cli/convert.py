"""``edge-genre convert``: a trained model as small, verified files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_genre.cli.options import json_option, read_label_list, read_spec, several_option
from edge_genre.cli.view import console, print_json
from edge_genre.errors import ConversionError, ModelError
from edge_genre.model.bundled import find_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from edge_genre.convert.report import ConversionReport, FormatResult

SUFFIXES = ("tflite", "onnx")
QUANTIZATIONS = ("fp32", "fp16", "dynamic", "int8")


def _shape(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    if value is None:
        return None
    sizes = value.split(",")
    if not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise click.BadParameter(f"{value!r} is not a shape such as 1,128,130.")
    return tuple(int(size) for size in sizes)


@click.command("convert", no_args_is_help=True)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="FOLDER",
    help="Where the files go.  [default: here]",
)
@click.option("--name", help="What they are called.  [default: the source's name]")
@several_option("--to", SUFFIXES, default="tflite", show_default=True, help="Formats.")
@several_option(
    "--quantize",
    QUANTIZATIONS,
    help="Weights in 32, 16 or 8 bits; int8: layers compute in 8 bits, as many as bear it.  "
    "[default: fp32,dynamic]",
)
@click.option(
    "--labels",
    metavar="LABELS",
    help="The genres in the order of the outputs: a text file, one a line; names with commas; "
    "gtzan or fma-small.",
)
@click.option(
    "--frontend",
    metavar="SPEC",
    help="The features that it was trained on: a preset or a JSON file; none for a model that does "
    "not hear.",
)
@click.option(
    "--outputs",
    type=click.Choice(["probabilities", "logits", "log_probabilities"]),
    help="What its outputs are.  [default: found out]",
)
@click.option(
    "--calibrate",
    type=click.Path(path_type=Path),
    metavar="DATA",
    help="Music to calibrate 8 bits with and to compare all formats on: a folder of audio, in "
    "folders by genre if these are known, or a .npz file of features X and classes y.",
)
@click.option(
    "--architecture",
    metavar="NAME",
    help="Of a PyTorch checkpoint: five-channel-cnn, or path/to/file.py:ClassName.",
)
@click.option(
    "--custom",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.py",
    help="Keras layers that the source has of its own.",
)
@click.option(
    "--input-shape",
    callback=_shape,
    metavar="N,N,...",
    help="Of one window, where neither source nor front end says.",
)
@click.option(
    "--target",
    type=click.Choice(["litert", "tflite-runtime", "micro"]),
    default="litert",
    show_default=True,
    help="What must run the TFLite files: LiteRT, tflite-runtime 2.14 too (32-bit Raspberry Pi), "
    "or TFLite Micro.",
)
@click.option(
    "--waveform",
    is_flag=True,
    help="Put the front end into the graph: the files take samples and need no other code. "
    "MediaPipe Tasks' AudioClassifier loads the TFLite ones.",
)
@click.option("--integer-io", is_flag=True, help="int8 files take and give 8-bit numbers.")
@click.option("--license", "license_", default="", help="Of the weights, for the file's card.")
@click.option("--description", default="", help="For the file's card.")
@click.option("--force", is_flag=True, help="Keep files beyond the limits, marked as such.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="For each step.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the whole report as JSON.",
)
@json_option
def command(
    source: Path,
    license_: str,
    labels: str | None,
    frontend: str | None,
    report: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Convert a trained model into TFLite and ONNX files that describe themselves.

    SOURCE is a Keras file (.keras, .h5), a SavedModel folder, a PyTorch checkpoint, an ONNX or
    TFLite file, or a bundled name.

    Every file is run in its real engine and compared with SOURCE on the windows of --calibrate (or
    on music that edge-genre composes). One that is too far from it is not kept, and the exit code
    is 3: fp32 must give every window the same genre and no probability may be off by more than
    1e-4; fp16 99.5 % and 5e-3; dynamic and int8 98.5 %, and lose one point of accuracy at most.
    With --waveform, no probability may be off by more than 1e-3 from that with the front end apart
    (in 8 bits, on average).
    """
    try:
        from edge_genre.convert.pipeline import convert
    except ImportError as error:
        raise ConversionError(
            f"converting needs more packages: pip install 'edge-genre[convert]' ({error})"
        ) from None

    if not source.exists():
        with suppress(ModelError):  # the error is the one of any file that is not there
            source = find_model(source)
    with _progress() as progress:
        found = convert(
            source,
            labels=None if labels is None else read_label_list(labels),
            front_end=None if frontend in (None, "none") else read_spec(str(frontend)),
            license=license_,
            progress=progress,
            **options,
        )
    if report is not None:
        try:
            report.write_text(json.dumps(found.to_dict(), indent=2) + "\n")
        except OSError as error:
            raise ConversionError(f"{report}: cannot be written ({error.strerror})") from None
    if as_json:
        print_json(found.to_dict())
    else:
        console().print(_table(found))
    for line in found.problems():
        click.echo(f"edge-genre: {line}", err=True)
    click.get_current_context().exit(found.exit_code)


@contextmanager
def _progress() -> Iterator[Callable[[str, str], None]]:
    """A line for each format: on a terminal they move, elsewhere nothing is said."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description:<16}"),
        TextColumn("{task.fields[doing]:<14}"),
        TimeElapsedColumn(),
    )
    view = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
    tasks: dict[str, Any] = {}

    def progress(name: str, doing: str) -> None:
        if name not in tasks:
            tasks[name] = view.add_task(name, total=1, doing=doing)
        ended = doing not in ("windows", "running", "converting", "comparing", "front end")
        view.update(tasks[name], doing=doing, completed=1 if ended else 0)
        if name != "source" and "source" in tasks:
            view.update(tasks["source"], doing="done", completed=1)

    with view:
        yield progress


def _table(report: ConversionReport) -> Table:
    from rich.table import Table

    source, windows = report.source, report.windows
    labelled = f", {windows['labelled']} of known genre" if windows["labelled"] else ""
    caption = (
        f"{source['kind']}, {source['parameters']:,} parameters; compared on "
        f"{windows['compared']} windows{labelled}: {windows['origin']}"
    )
    table = Table(caption=caption, caption_justify="left")
    table.add_column("file", overflow="fold", min_width=20)
    for column in ("size", "same genre", "largest diff.", "right", "ms", "outside XNNPACK"):
        table.add_column(column, justify="right" if column != "outside XNNPACK" else "left")
    waveform = any(result.waveform for result in report.results)
    if waveform:
        for column in ("front end diff.", "split form"):
            table.add_column(column, justify="right")
    table.add_column("")
    for result in report.results:
        *row, status = _row(result)
        table.add_row(*row, *(_beside_split(result) if waveform else ()), status)
    return table


def _beside_split(result: FormatResult) -> tuple[str, str]:
    """What the front end in the graph changes, and what the same costs without it."""
    found = result.waveform
    if not found:
        return "", ""
    cost = f"{found['split_size'] / 1000:.1f} kB, {found['split_milliseconds']:.2f} ms"
    return f"{found['max_difference']:.1e}", cost


def _row(result: FormatResult) -> tuple[str, ...]:
    name = result.path.name if result.path else result.name
    if result.verdict is None:
        return (name, *[""] * 6, result.status)
    verdict = result.verdict
    right = f"{verdict.correct}/{verdict.source_correct}" if verdict.labelled else ""
    outside = result.facts.get("outside_xnnpack") or {}
    return (
        name,
        f"{result.size / 1000:.1f} kB",
        f"{verdict.parity.top1_agreement:.2%}",
        f"{verdict.parity.max_difference:.1e}",
        right,
        f"{result.facts['milliseconds']:.2f}",
        ", ".join(f"{count} {operator}" for operator, count in outside.items()),
        result.status,
    )
