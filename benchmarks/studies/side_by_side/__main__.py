"""edge-genre beside what a user would pick instead, in one run.

    python -m edge_genre.benchmarks.studies.side_by_side --reference-models FOLDER --clips FOLDER

The published five-channel and SongNet pipelines (librosa with PyTorch and with Keras), YAMNet, the
same model in every format and engine, and LiteRT's own benchmark. Every contender runs in a process
of its own, in one thread, and they take turns.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_genre.errors import EdgeGenreError
from edge_genre.host.timing import one_thread

if TYPE_CHECKING:
    from edge_genre.benchmarks.studies.side_by_side.findings import Report

_PACKAGES = ("librosa", "torch", "tensorflow", "onnxruntime", "matplotlib")
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--reference-models",
    type=_FOLDER,
    required=True,
    help="Models that others trained: five_channel_cnn.ckpt, yamnet_wavin.tflite.",
)
@click.option("--clips", type=_FOLDER, required=True, help="Music, some of it of 30 s or more.")
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True, help="Of turns.")
@click.option("--starts", type=click.IntRange(1), default=7, show_default=True, help="Of programs.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/side-by-side"),
    show_default=True,
    help="Keeps what is made from run to run: converted models, installed sizes.",
)
@click.option(
    "--project",
    type=_FOLDER,
    default=Path(),
    help="The sources whose installed size is measured.  [default: here]",
)
@click.option("--no-install-size", is_flag=True, help="Install nothing to sum up its files.")
@click.option("--json", "json_path", type=_FILE, help="Write the report.")
@click.option(
    "--markdown",
    type=_FILE,
    help="Write the tables, between the marks for them if the file has such.",
)
@click.option("--plots", type=click.Path(file_okay=False, path_type=Path), help="Draw pictures.")
def main(
    reference_models: Path,
    clips: Path,
    rounds: int,
    starts: int,
    work: Path,
    project: Path,
    no_install_size: bool,
    json_path: Path | None,
    markdown: Path | None,
    plots: Path | None,
) -> None:
    """Measure edge-genre beside what a user would pick instead, and print the tables."""
    one_thread("edge_genre.benchmarks.studies.side_by_side")
    for path in (json_path, markdown):
        if path is not None and not path.parent.is_dir():
            raise click.UsageError(f"{path.parent}: no such folder.")
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"not installed: {', '.join(missing)}: pip install 'edge-genre[benchmarks]'"
        )
    from edge_genre.benchmarks.studies.side_by_side.comparison import Plan, compare

    plan = Plan(
        models=reference_models,
        clips=clips,
        work=work.absolute(),
        project=None if no_install_size else project,
        rounds=rounds,
        starts=starts,
    )
    try:
        report = compare(plan, lambda what: click.echo(f"{what} ...", err=True))
    except EdgeGenreError as error:
        raise click.ClickException(str(error)) from None
    _write(report, json_path, markdown, plots)


def _write(
    report: Report, json_path: Path | None, markdown: Path | None, plots: Path | None
) -> None:
    from edge_genre.benchmarks.markdown import with_part
    from edge_genre.benchmarks.studies.side_by_side.page import PART, page

    click.echo(page(report, None))
    if json_path:
        json_path.write_text(json.dumps(report.to_dict(), indent=2) + "\n")
    if plots:
        from edge_genre.benchmarks.studies.side_by_side.pictures import plot

        plot(report, plots)
    if markdown:
        link = None
        if plots:
            link = Path(os.path.relpath(plots, markdown.parent)).as_posix()
        found = page(report, link)
        if markdown.is_file():
            markdown.write_text(with_part(markdown.read_text(), PART, found))
        else:
            markdown.write_text(found + "\n")


if __name__ == "__main__":
    main()
