"""``edge-genre convert``: a trained model as small, verified files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_genre.choices import OUTPUTS, QUANTIZATIONS, SUFFIXES, TARGETS, TASKS
from edge_genre.cli.options import json_option, read_front_ends, read_label_list, several_option
from edge_genre.cli.view import console, print_json
from edge_genre.errors import ConversionError, ModelError
from edge_genre.host.files import writing
from edge_genre.model.bundled import find_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from edge_genre.convert.report import ConversionReport, FormatResult

_SLOWER = "slower\nfallback\noperators"  # those that LiteRT runs without XNNPACK's kernels


def _shapes(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[int, ...] | dict[str, tuple[int, ...]] | None:
    """Of the only input, or of inputs by their names."""
    found: dict[str, tuple[int, ...]] = {}
    for value in values:
        name, _, text = value.rpartition("=")
        sizes = text.split(",")
        if not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
            raise click.BadParameter(f"{value!r} is not a shape such as 1,128,130.")
        if name in found or (found and "" in (name, *found)):
            raise click.BadParameter(f"{value!r} is not NAME=N,N,... with another input's name.")
        found[name] = tuple(int(size) for size in sizes)
    return found.get("", found) or None


def _thresholds(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, float]:
    """Thresholds by label; that of all labels under an empty name."""
    found = {}
    for value in values:
        label, _, text = value.rpartition("=")
        try:
            number = float(text)
        except ValueError:
            raise click.BadParameter(f"{value!r} is neither a number nor LABEL=NUMBER.") from None
        if not 0 < number <= 1:
            raise click.BadParameter(f"{value!r} is not a threshold above 0 and up to 1.")
        if label in found:
            raise click.BadParameter(f"{value!r} is the second for {label or 'all labels'}.")
        found[label] = number
    return found


@click.command("convert", no_args_is_help=True)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="FOLDER",
    help="Folder for the files.  [default: this one]",
)
@click.option("--name", help="Name of the model and its files.  [default: the source's]")
@several_option("--to", SUFFIXES, default="tflite", show_default=True, help="Formats to make.")
@several_option(
    "--quantize",
    QUANTIZATIONS,
    help="Weights in 32, 16 or 8 bits (dynamic); with int8, layers also compute in 8 bits where "
    "accuracy allows, and the others stay in float.  [default: fp32,dynamic]",
)
@click.option(
    "--labels",
    metavar="LABELS",
    help="The labels in the order of the outputs: a text file, one a line; names with commas; "
    "gtzan or fma-small.",
)
@click.option(
    "--frontend",
    "frontends",
    multiple=True,
    metavar="[NAME=]SPEC",
    help="The features that it was trained on: a preset or a JSON file; none if its input is not "
    "computed from audio. Of a model with several inputs, once for each, with the input's name.",
)
@click.option(
    "--outputs",
    type=click.Choice(OUTPUTS),
    help="What its outputs are.  [default: found out by running it]",
)
@click.option(
    "--task",
    type=click.Choice(TASKS),
    help="What they mean: labels that exclude each other, or each on its own.  [default: found out "
    "by its last operator, and by running it]",
)
@click.option("--noun", metavar="WORD", help="What a label is.  [default: genre]")
@click.option("--background", metavar="LABEL", help="The label that is no answer, if there is one.")
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    callback=_thresholds,
    metavar="[LABEL=]NUMBER",
    help="Of labels each on its own: the probability from which on they hold; of all, or of one.  "
    "[default: 0.5]",
)
@click.option(
    "--explain",
    multiple=True,
    metavar="NAME",
    help="Keep a further output that explains the answer, such as attention over time. Others than "
    "the answer are left out.",
)
@click.option(
    "--calibrate",
    type=click.Path(path_type=Path),
    metavar="DATA",
    help="Music to find the ranges of 8-bit numbers with (calibration), and to compare all formats "
    "on: a folder of audio, in folders by genre if these are known, or a .npz file of features X "
    "and classes y. Of several inputs, such a file has an array for each, by its name.",
)
@click.option(
    "--architecture",
    metavar="NAME",
    help="Network of a PyTorch checkpoint: five-channel-cnn, or path/to/file.py:ClassName.",
)
@click.option(
    "--custom",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.py",
    help="Python file with the Keras layers that are the source's own.",
)
@click.option(
    "--input-shape",
    multiple=True,
    callback=_shapes,
    metavar="[NAME=]N,N,...",
    help="Shape of one window, where neither the source nor the front end gives it.",
)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default="litert",
    show_default=True,
    help="Engine that has to run the TFLite files: LiteRT; tflite-runtime 2.14, that of a 32-bit "
    "Raspberry Pi; or TFLite Micro, that of microcontrollers.",
)
@click.option(
    "--waveform",
    is_flag=True,
    help="Put the front end into the graph: the files take samples and need no other code. "
    "MediaPipe Tasks' AudioClassifier loads the TFLite ones.",
)
@click.option("--integer-io", is_flag=True, help="int8 files have 8-bit inputs and outputs.")
@click.option("--license", "license_", default="", help="Licence of the weights, for the card.")
@click.option("--description", default="", help="Description, for the model card.")
@click.option("--force", is_flag=True, help="Keep files that are beyond the limits, marked so.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time for each step.",
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
    frontends: tuple[str, ...],
    thresholds: dict[str, float],
    report: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Convert a trained model into TFLite and ONNX files that describe themselves.

    SOURCE is a Keras file (.keras, .h5), a SavedModel folder, a PyTorch checkpoint, an ONNX or
    TFLite file, or the name of a bundled model.

    Every file is run in its real engine and compared with SOURCE on windows of --calibrate, or of
    music that edge-genre composes. A file beyond these limits is not kept, and the exit code is 3:
    fp32 must give every window the same genre, and every probability within 1e-4; fp16, 99.5 % of
    windows and 5e-3; dynamic and int8, 98.5 % of windows, and lose one point of accuracy at most.
    Where each label holds or not, fp32 and fp16 have these limits of a probability, and with
    dynamic and int8, 97 % of the labels that either file gives must be given by both. With
    --waveform, every probability must be within 1e-3 of what the front end outside the graph gives
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
            front_end=None if frontends in ((), ("none",)) else read_front_ends(frontends),
            threshold=thresholds.pop("", None),
            thresholds=thresholds,
            license=license_,
            progress=progress,
            **options,
        )
    if report is not None:
        with writing(report, ConversionError):
            report.write_text(json.dumps(found.to_dict(), indent=2) + "\n")
    if as_json:
        print_json(found.to_dict())
    else:
        console().print(*_tables(found), sep="\n")
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


def _tables(report: ConversionReport) -> Iterator[Table]:
    """What came of each format; then what only some have. Each fits into 80 columns."""
    source, windows = report.source.facts, report.windows
    task = report.task
    labelled = f", {windows.labelled} of known {task.noun}" if windows.labelled else ""
    same = f"same\n{task.noun if task.exclusive else task.nouns}"
    details = {
        heading: cells
        for heading, cells in _details(report).items()
        if any(cells)  # left out where there is nothing to say
    }
    main = _empty_table("file", "result", "size", "ms a\nwindow", same, "largest\ndifference")
    for result in report.results:
        main.add_row(_file(result), result.status, *_figures(result))
    last = main
    yield main
    if details:
        last = _empty_table("file", *details)
        for result, *cells in zip(report.results, *details.values(), strict=True):
            last.add_row(_file(result), *cells)
        yield last
    last.caption = (
        f"{source.kind}, {source.parameters:,} parameters; compared on {windows.compared} "
        f"windows{labelled}: {windows.origin}"
    )


def _empty_table(*headings: str) -> Table:
    from rich.table import Table

    table = Table(caption_justify="left")
    for heading in headings:
        text = heading in ("file", "result", _SLOWER)
        # Headings are broken by hand, so that what is left of 80 columns goes to the file's name.
        table.add_column(heading, justify="left" if text else "right", overflow="fold")
    return table


def _file(result: FormatResult) -> str:
    return result.path.name if result.path else result.name


def _figures(result: FormatResult) -> tuple[str, ...]:
    if result.verdict is None or result.facts is None:
        return ("",) * 4
    parity = result.verdict.parity
    return (
        f"{result.size / 1000:.1f} kB",
        f"{result.facts.milliseconds:.2f}",
        f"{parity.agreement:.2%}",
        f"{parity.max_difference:.1e}",
    )


def _details(report: ConversionReport) -> dict[str, list[str]]:
    """A cell for each result, by heading."""
    found: dict[str, list[str]] = {}

    def add(heading: str, cell: str) -> None:
        found.setdefault(heading, []).append(cell)

    for result in report.results:
        verdict, facts, waveform = result.verdict, result.facts, result.waveform
        right = bool(verdict and verdict.labelled)
        add("windows\nright,\nthis file", str(verdict.correct) if verdict and right else "")
        add("windows\nright,\nsource", str(verdict.source_correct) if verdict and right else "")
        outside = facts.graph.outside_xnnpack if facts else {}
        slower = "\n".join(f"{count} {operator}" for operator, count in outside.items())
        add(_SLOWER, slower)
        add("front end\ndifference", f"{waveform.parity.max_difference:.1e}" if waveform else "")
        apart = ""
        if waveform:
            apart = f"{waveform.split_size / 1000:.1f} kB\n{waveform.split_milliseconds:.2f} ms"
        add("with the\nfront end\napart", apart)
    return found
