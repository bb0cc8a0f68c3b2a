"""The command line. One file a command; each imports what it needs when it runs."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import Any

import click

from edge_genre import __version__
from edge_genre.errors import EdgeGenreError
from edge_genre.host.files import reason

# A command's module is loaded when the command is asked for: all of them take a tenth of a second.
_COMMANDS = (
    "benchmark",
    "classify",
    "convert",
    "devices",
    "doctor",
    "evaluate",
    "export",
    "frontend",
    "history",
    "inspect",
    "listen",
    "models",
    "service",
    "train",
)


class _Group(click.Group):
    """Loads commands, and turns what goes wrong into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"edge_genre.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib  # who types no wrong name does not wait for it

            similar = difflib.get_close_matches(args[0].lower(), _COMMANDS, n=1)
            if not similar:
                raise
            hint = f"{error.message} Did you mean {similar[0]!r}?"
            raise click.UsageError(hint, ctx) from None

    def main(self, *args: Any, **kwargs: Any) -> Any:
        _prepare_streams()
        # NumPy reads it when it is imported. For matrices as small as a front end's, OpenBLAS's
        # threads mostly wait, and they wait busily: listening took twenty times the CPU time.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        try:
            try:
                return super().main(*args, **kwargs)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            _discard_output()  # whoever read it has enough
            sys.exit(0)
        except OSError as error:
            _discard_output()
            click.echo(f"edge-genre: cannot write the output ({reason(error)})", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except EdgeGenreError as error:
            click.echo(f"edge-genre: {error}", err=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:  # here, since click would make it an error
            _discard_output()
            ctx.exit(0)
        except KeyboardInterrupt:
            click.echo(err=True)  # leave the line that shows ^C
            ctx.exit(130)
        return result


def _prepare_streams() -> None:
    """Give closed streams a place to write to, and let names that are not text be printed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Send what is still buffered nowhere: Python would complain again at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge-genre")
def main() -> None:
    """Music-genre models on small devices.

    Results go to the standard output, progress and messages to the standard error. Exit codes:
    0 done, 1 failed, 2 wrong usage, 3 a check failed (a conversion or comparison is
    beyond its limits), 130 interrupted.
    """
