"""``edge-genre frontend``: the features that models take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from edge_genre.cli.options import json_option, read_spec
from edge_genre.cli.view import console, print_json

if TYPE_CHECKING:
    from edge_genre.frontend import FrontEndSpec


@click.command("frontend")
@click.argument("spec", required=False, metavar="[PRESET|FILE.json]")
@json_option
def command(spec: str | None, as_json: bool) -> None:
    """Show a front end: how features are computed from audio.

    Without an argument, all presets are listed. A preset is printed as JSON: write that to a file,
    change what your model was trained with, and give the file to --frontend. A file is checked, and
    printed with the defaults of the keys that it leaves out; further keys, which not every version
    knows, are shown where they are used. The window's length, the features' shape and the hash go
    to the standard error.
    """
    from edge_genre.frontend import PRESETS

    if spec is None:
        if as_json:
            for name, preset in PRESETS.items():
                print_json(_values(name, preset))
        else:
            _list(PRESETS)
        return
    found = read_spec(spec)
    if as_json:
        print_json(_values(spec, found))
        return
    click.echo(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    click.echo(f"{_window(found)}; features {_shape(found)}; hash {found.hash}", err=True)


def _values(name: str, spec: FrontEndSpec) -> dict[str, Any]:
    return {
        "name": name,
        "hash": spec.hash,
        "window_samples": spec.window_samples,
        "shape": list(spec.shape),
        "front_end": spec.to_dict(),
    }


def _list(presets: dict[str, FrontEndSpec]) -> None:
    from rich.table import Table

    table = Table("preset", "kind", "window", "features")
    for name, preset in presets.items():
        table.add_row(name, preset.kind, _window(preset), _shape(preset))
    console().print(table)


def _window(spec: FrontEndSpec) -> str:
    return f"{spec.window_seconds:g} s at {spec.sample_rate} Hz"


def _shape(spec: FrontEndSpec) -> str:
    return " x ".join(map(str, spec.shape))
