"""``edge-genre export``: what a port of a model to another language or device needs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_genre.cli.options import Description, description_options, json_option, several_option
from edge_genre.cli.view import console, print_json
from edge_genre.errors import ConversionError, GateError

if TYPE_CHECKING:
    from rich.table import Table

    from edge_genre.classifier import Classifier
    from edge_genre.convert.golden.check import Difference

FORMATS = ("npy", "json", "c")
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("export", no_args_is_help=True)
@click.argument("model", metavar="MODEL")
@click.option(
    "--golden",
    type=_FOLDER,
    metavar="FOLDER",
    help="Write golden vectors there: samples, their features and probabilities.",
)
@several_option(
    "--formats", FORMATS, default="npy,json,c", help="Of golden vectors.  [default: all]"
)
@click.option(
    "--input",
    "audio",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Music whose middle is one of the golden vectors.  [default: the demo clip]",
)
@click.option(
    "--check",
    "results",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Compare a port's results there with the golden vectors; exit code 3 if it is refused.",
)
@click.option(
    "--c-tables",
    type=_FOLDER,
    metavar="FOLDER",
    help="Write the front end's numbers as C headers, for firmware_notes/c.",
)
@click.option(
    "--c-array",
    type=_FOLDER,
    metavar="FOLDER",
    help="Write the model as C sources for TFLite Micro, with labels, quantization, the size of "
    "its arena, the front end's numbers, and an example.",
)
@click.option(
    "--arena",
    type=click.IntRange(1),
    metavar="BYTES",
    help="With --c-array: memory that the device has for TFLite Micro; an error if too small.",
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

    MODEL is a TFLite or ONNX file or a bundled name.

    Golden vectors are five windows (the self-test's signal, silence, a chirp, clipping, music):
    16-bit samples as WAV, and what must come of them. A port computes features or probabilities
    or both of every window, and writes them as FOLDER/CASE/features.npy, .json or .f32 (raw
    float32), and probabilities likewise, or all of them into one FOLDER/results.json. --check
    then accepts or refuses it, with a table of the differences.
    """
    if golden is results is c_tables is c_array is None:
        raise click.UsageError("Say what to export: --golden, --check, --c-tables or --c-array.")
    if arena is not None and c_array is None:
        raise click.UsageError("--arena goes with --c-array.")
    if model == "":
        raise click.UsageError("MODEL is empty.")
    from edge_genre.classifier import Classifier

    classifier = Classifier.load(
        model,
        front_end=description.front_end,
        labels=description.labels,
        output=description.output,
    )
    if c_tables is not None:
        from edge_genre.convert.c.source import write_sources
        from edge_genre.convert.c.tables import c_tables as tables

        _written(write_sources(c_tables, tables(classifier.spec)), as_json)
    if c_array is not None:
        _c_array(classifier, c_array, arena, as_json)
    if golden is not None or results is not None:
        _golden(classifier, audio, golden, formats, results, as_json)


def _c_array(classifier: Classifier, folder: Path, arena: int | None, as_json: bool) -> None:
    from edge_genre.convert.c.model import c_model
    from edge_genre.convert.c.source import write_sources

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
    for column in ("case", "", "largest difference", "mean", "allowed", "where it is largest", ""):
        number = column in ("largest difference", "mean", "allowed")
        table.add_column(column, justify="right" if number else "left")
    for row in differences:
        table.add_row(*_row(row))
    return table


def _row(row: Difference) -> tuple[Any, ...]:
    from rich.text import Text

    verdict = Text("accepted", "green") if row.accepted else Text("REFUSED", "bold red")
    figures = ("" if each is None else f"{each:.2g}" for each in (row.largest, row.mean))
    return row.case, row.kind, *figures, f"{row.tolerance:.2g}", Text(row.found), verdict
