"""The command line. One file a command; each imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Any

import click

from edge_genre.cli import classify, devices, inspect, listen, models
from edge_genre.errors import EdgeGenreError


class _Group(click.Group):
    """Turns what goes wrong into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except EdgeGenreError as error:
            click.echo(f"edge-genre: {error}", err=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # Whoever read the output has enough of it. Python would complain again at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except KeyboardInterrupt:
            click.echo(err=True)  # leave the line that shows ^C
            ctx.exit(130)
        return result


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("edge-genre"), prog_name="edge-genre")
def main() -> None:
    """Music-genre models on small devices.

    Results go to the standard output, progress and messages to the standard error. Exit codes:
    0 done, 1 failed, 2 wrong usage, 3 a gate failed, 130 interrupted.
    """


for _module in (classify, devices, inspect, listen, models):
    main.add_command(_module.command)
