"""``edge-genre export``: what a port of a model to another language or device needs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from edge_genre.choices import GOLDEN_FORMATS
from edge_genre.cli.options import Description, description_options, json_option, several_option
from edge_genre.cli.view import console, print_json
from edge_genre.errors import ConversionError, GateError

if TYPE_CHECKING:
    from rich.table import Table

    from edge_genre.classifier import Classifier
    from edge_genre.convert.golden.check import Difference

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("export", no_args_is_help=True)
@click.argument("model", metavar="MODEL")
@click.option(
    "--golden",
    type=_FOLDER,
    metavar="FOLDER",
    help="Folder to write golden vectors to: samples, their features and their probabilities.",
)
@several_option(
    "--formats",
    GOLDEN_FORMATS,
    default=",".join(GOLDEN_FORMATS),
    help="Formats of the golden vectors.  [default: all]",
)
@click.option(
    "--input",
    "audio",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Audio file whose middle becomes one of the golden vectors.  [default: the demo clip]",
)
@click.option(
    "--check",
    "results",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder of a port's results, to compare with the golden vectors; exit code 3 if they are "
    "beyond the tolerances.",
)
@click.option(
    "--c-tables",
    type=_FOLDER,
    metavar="FOLDER",
    help="Folder to write the front end's tables to, as C headers for firmware_notes/c.",
)
@click.option(
    "--c-array",
    type=_FOLDER,
    metavar="FOLDER",
    help="Folder to write the model to, as C sources for TFLite Micro with labels, quantization, "
    "the size of its arena (where tflite-micro is installed, to measure it), the front end's "
    "tables and an example.",
)
@click.option(
    "--arena",
    type=click.IntRange(1),
    metavar="BYTES",
    help="Memory that the device has for TFLite Micro, with --c-array; an error if it is too "
    "small.",
)
@json_option
@description_options
def command(
    model: str,
    golden: Path | None,
    formats: tuple[str, ...],
    audio: Path | None,
    results: Path | None,
    c_tables: Path | None,
    c_array: Path | None,
    arena: int | None,
    as_json: bool,
    description: Description,
) -> None:
    """Export what a port of a model to another language or device needs, and prove the port.

    MODEL is a TFLite or ONNX file or the name of a bundled model.

    Golden vectors are five windows (the self-test's signal, silence, a chirp, clipping, music):
    16-bit samples as WAV, and the features and probabilities that a port must compute from them.
    A port writes features or probabilities or both of every window, as FOLDER/CASE/features.npy,
    .json or .f32 (raw float32), and probabilities likewise, or all of them into one file,
    FOLDER/results.json. --check then compares them, prints a table of the differences, and accepts
    or refuses the port.
    """
    if golden is results is c_tables is c_array is None:
        raise click.UsageError("Say what to export: --golden, --check, --c-tables or --c-array.")
    if arena is not None and c_array is None:
        raise click.UsageError("--arena goes with --c-array.")
    classifier = description.load(model)
    if c_tables is not None:
        from edge_genre.convert.c.code import write_sources
        from edge_genre.convert.c.model import require_one_input
        from edge_genre.convert.c.tables import c_tables as tables

        require_one_input(classifier)
        _written(write_sources(c_tables, tables(classifier.spec)), as_json)
    if c_array is not None:
        _c_array(classifier, c_array, arena, as_json)
    if golden is not None or results is not None:
        _golden(classifier, audio, golden, formats, results, as_json)


def _c_array(classifier: Classifier, folder: Path, arena: int | None, as_json: bool) -> None:
    from edge_genre.convert.c.code import write_sources
    from edge_genre.convert.c.model import c_model

    try:
        sources = c_model(classifier, arena=arena)
    except ImportError as error:  # a 32-bit Raspberry Pi has another engine
        raise ConversionError(
            f"reading TFLite graphs needs a package: pip install ai-edge-litert ({error})"
        ) from None
    _written(write_sources(folder, sources), as_json)


def _golden(
    classifier: Classifier,
    audio: Path | None,
    folder: Path | None,
    formats: tuple[str, ...],
    results: Path | None,
    as_json: bool,
) -> None:
    """Write golden vectors, or check a port with them, or both."""
    from edge_genre.convert.golden.check import check, worst
    from edge_genre.convert.golden.vectors import golden, write_golden

    found = golden(classifier, audio)
    if folder is not None:
        _written(write_golden(found, folder, formats), as_json)
    if results is None:
        return
    differences = check(found, results)
    if as_json:
        for row in differences:
            print_json(row.to_dict())
    else:
        console().print(_table(differences))
    refused = sum(not row.accepted for row in differences)
    if refused:
        share = worst(differences)
        how = f": off by {share:.2g} times the tolerance" if share < math.inf else ""
        raise GateError(f"the port is refused: {refused} of {len(differences)} arrays{how}")


def _written(paths: list[Path], as_json: bool) -> None:
    if as_json:
        for path in paths:
            print_json({"file": str(path), "bytes": path.stat().st_size})
        return
    size = sum(path.stat().st_size for path in paths)
    click.echo(f"{len(paths)} files, {size / 1e6:.1f} MB: {paths[-1].parent}")


def _table(differences: list[Difference]) -> Table:
    from rich.table import Table

    table = Table()
    # Broken by hand, so that 80 columns are enough.
    numbers = ("largest\ndifference", "mean", "allowed")
    for heading in ("window", *numbers, "where it\nis largest", "result"):
        justify: Literal["left", "right"] = "right" if heading in numbers else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for row in differences:
        table.add_row(*_row(row))
    return table


def _row(row: Difference) -> tuple[Any, ...]:
    from rich.text import Text

    verdict = Text("accepted", "green") if row.accepted else Text("REFUSED", "bold red")
    figures = ("" if each is None else f"{each:.2g}" for each in (row.largest, row.mean))
    where = "" if row.largest == 0 else row.found
    return f"{row.case}: {row.kind}", *figures, f"{row.tolerance:.2g}", Text(where), verdict
