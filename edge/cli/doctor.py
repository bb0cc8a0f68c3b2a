"""``edge-genre doctor``: what is wrong here, and what to do about it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from edge_genre.cli.options import json_option
from edge_genre.cli.view import console, print_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from edge_genre.service.checks import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "broken": "bold red"}


@click.command("doctor")
@click.option(
    "-d",
    "--device",
    envvar="EDGE_GENRE_DEVICE",
    show_envvar=True,
    metavar="DEVICE",
    help="The microphone, as for `edge-genre listen`.  [default: the system's]",
)
@click.option(
    "--history", metavar="FILE", help="Check that this history is whole and can be written."
)
@click.option("--no-recording", is_flag=True, help="Do not record from the microphone.")
@json_option
def command(device: str | None, history: str | None, no_recording: bool, as_json: bool) -> None:
    """Check this machine, its microphone and what is installed, and say what to do.

    It checks Python, NumPy and the engines (each in a process of its own, since a wheel for another
    processor ends it), the bundled models' self-tests, PortAudio, the microphones and the sample
    rates that they open at, the level of a recording of one second, the processor's clock, power
    and heat, and the disk.

    The exit code is 1 if something is broken.
    """
    from edge_genre.service.checks import BROKEN, WARNING, Options
    from edge_genre.service.doctor import examine

    options = Options(device=device, history=history, recording=not no_recording)
    states: Counter[str] = Counter()
    output = console()
    with _progress(output, quiet=as_json) as progress:
        for finding in examine(options, progress=progress):
            states[finding.state] += 1
            if as_json:
                print_json(finding.to_dict())
            else:
                output.print(_row(finding))
    broken, warnings = states[BROKEN], states[WARNING]
    plural = "" if warnings == 1 else "s"
    click.echo(f"{broken} broken, {warnings} warning{plural}", err=True)
    if broken:
        click.get_current_context().exit(1)


@contextlib.contextmanager
def _progress(output: Console, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is being looked at."""
    if quiet or not output.is_terminal:
        yield lambda _: None
        return
    with output.status("looking ...") as status:
        yield lambda name: status.update(f"looking at {name} ...")


def _row(finding: Finding) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(width=7)
    table.add_column(width=10)
    table.add_column(overflow="fold")
    text = Text(finding.found)
    if finding.advice:
        text.append(f"\n-> {finding.advice}", "dim" if finding.state == "ok" else "bold")
    table.add_row(Text(finding.state, _COLOURS[finding.state]), finding.check, text)
    return table
