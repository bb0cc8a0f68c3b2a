"""``edge-genre models``: what is bundled."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_genre.cli.options import json_option
from edge_genre.cli.view import console, print_json, table

if TYPE_CHECKING:
    from edge_genre.model.file import ModelFile, ModelInfo


@click.command("models")
@json_option
def command(as_json: bool) -> None:
    """List the bundled models; * marks the default one."""
    from edge_genre.model.bundled import bundled_models
    from edge_genre.model.file import read
    from edge_genre.task import noun_of_all, plural

    default = _default()
    files = [read(path) for path in bundled_models()]
    if as_json:
        for file in files:
            assert file.info is not None
            values = {"file": file.path.name, "default": file.path == default, "bytes": file.size}
            values |= {"labels": list(file.info.labels)}
            print_json(values | file.info.to_dict())
        return
    noun = noun_of_all(file.info.task.noun for file in files if file.info)
    columns = ("", "file", "size", "weights", "window", plural(noun), "tracks right")
    shown = table(*columns, caption=_caption(files))
    for file in files:
        assert file.info is not None
        assert file.info.front_end is not None
        shown.add_row(
            "*" if file.path == default else "",
            file.path.name,
            f"{file.size / 1000:.0f} kB",
            file.info.quantization,
            f"{file.info.front_end.window_seconds:g} s",
            str(len(file.info.labels)),
            _accuracy(file.info),
        )
    console().print(shown)


def _default() -> Path | None:
    from edge_genre.errors import ModelError
    from edge_genre.model.bundled import find_model

    try:
        return find_model()
    except ModelError:  # what the environment names is not there
        return None


def _caption(files: Iterable[ModelFile]) -> str:
    """What the columns mean, and each model's licence: a line for each that there is."""
    licences: dict[str, list[str]] = {}
    for file in files:
        assert file.info is not None
        names = licences.setdefault(file.info.license or "none stated", [])
        if file.info.name not in names:
            names.append(file.info.name)
    return "\n".join(
        [
            "Tracks right: validation tracks by artists that are not in the training data.",
            *(f"Licence of the weights: {key} ({', '.join(of)})" for key, of in licences.items()),
        ]
    )


def _accuracy(info: ModelInfo) -> str:
    for figure in info.accuracy:
        if figure["unit"] == "track":
            return f"{figure['correct'] / figure['n']:.1%} of {figure['n']}"
    return ""
