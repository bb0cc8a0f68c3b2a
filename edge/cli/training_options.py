"""What `train` and `evaluate` of a recipe share: options, the framework, reading music."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge_genre.errors import DataError
from edge_genre.host.quiet import quiet_libraries

if TYPE_CHECKING:
    from rich.console import Console

    from edge_genre.models.train.recipes import Recipe

_Command = TypeVar("_Command", bound=Callable[..., Any])


labels_csv_option = click.option(
    "--labels-csv",
    "table",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Labels of the audio files of a folder, any number each: columns path and labels, with "
    "semicolons between these, or path and a column of 0 and 1 for each label.",
)


def metadata_option(text: str) -> Callable[[_Command], _Command]:
    """An option for the table of artists, with its help."""
    return click.option(
        "--metadata",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE.csv",
        help=text,
    )


def require_framework(recipe: Recipe) -> None:
    """Load what a recipe is trained with, without its reports, or say that it is missing.

    Raises
    ------
    DataError
        It is not installed.
    """
    if recipe.network == "five_channel" and importlib.util.find_spec("torch") is None:
        raise DataError("this recipe needs PyTorch: pip install 'edge-genre[train,pytorch]'")
    if importlib.util.find_spec("tensorflow") is None:
        raise DataError("training needs TensorFlow: pip install 'edge-genre[train]'")
    # It tells of the processor and of drivers that are not there.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet_libraries():
        importlib.import_module("tensorflow").config.list_physical_devices()


@contextmanager
def showing_progress(console: Console) -> Iterator[dict[str, Any]]:
    """Show on a terminal how far the reading of a folder is; name what is left out.

    Yields
    ------
    The arguments ``progress`` and ``left_out`` of `edge_genre.models.data.audio_folder.read_folder`
    """
    from rich.progress import Progress

    with Progress(console=console, disable=not console.is_terminal) as view:
        bar = view.add_task("reading", total=None)

        def progress(done: int, total: int) -> None:
            view.update(bar, completed=done, total=total)

        def left_out(line: str) -> None:
            view.console.print(f"edge-genre: {line}", highlight=False, markup=False)

        yield {"progress": progress, "left_out": left_out}
