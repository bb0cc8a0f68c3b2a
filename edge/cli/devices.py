"""``edge-genre devices``: the microphones."""

from __future__ import annotations

import dataclasses

import click

from edge_genre.cli.options import json_option
from edge_genre.cli.view import console, print_json, table
from edge_genre.errors import DeviceError


@click.command("devices")
@json_option
def command(as_json: bool) -> None:
    """List the input devices; * marks the default one.

    The rates are those that a device opens at: none while another program uses it.
    """
    from edge_genre.audio.microphone import devices, supported_rates

    found = devices()
    if not found:
        raise DeviceError("no microphone found: plug one in, and check that the system lists it")
    if as_json:
        for device in found:
            print_json(dataclasses.asdict(device) | {"rates": supported_rates(device)})
        return
    from rich.text import Text

    shown = table("", "index", "name", "driver", "channels", "rates in Hz")
    for device in found:
        shown.add_row(
            "*" if device.default else "",
            str(device.index),
            Text(device.name),
            Text(device.host),
            str(device.channels),
            ", ".join(map(str, supported_rates(device))) or "none: it is busy",
        )
    console().print(shown)
