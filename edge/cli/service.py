"""``edge-genre service``: listening from boot on, under systemd."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from edge_genre.cli import listen
from edge_genre.errors import EdgeGenreError
from edge_genre.service.installer import Installer, own_program
from edge_genre.service.unit import STATE, Listening, is_state, obstacle, session_unit, system_unit


@click.command("service")
@click.argument("arguments", nargs=-1, metavar="[-- OPTIONS OF LISTEN...]")
@click.option(
    "--user",
    "session",
    is_flag=True,
    help="Make a unit of your own session, which shares the microphone by PipeWire or PulseAudio, "
    "instead of the system's, which uses ALSA.",
)
@click.option(
    "--run-as",
    "account",
    metavar="USER",
    help="The account that runs the system's unit.  [default: one that systemd makes for it]",
)
@click.option("--install", is_flag=True, help="Install the unit instead of printing it.")
@click.option("--uninstall", is_flag=True, help="Stop the service and remove its unit.")
@click.option(
    "--force",
    is_flag=True,
    help="Replace a unit that differs, or remove one that edge-genre did not write.",
)
def command(
    arguments: tuple[str, ...],
    session: bool,
    account: str | None,
    install: bool,
    uninstall: bool,
    force: bool,
) -> None:
    """Print or install a systemd unit that listens from boot on.

    What follows -- are options of `edge-genre listen`:

    \b
        sudo edge-genre service --install -- --device USB --history plays.db

    A service has no terminal: give it --history or --mqtt, or nobody will know what it heard. A
    relative --history is in /var/lib/edge-genre, with --user in your home. Passwords belong in a
    file that only its owner reads: --install makes it and says where.
    """
    if install and uninstall:
        raise click.UsageError("--install and --uninstall exclude each other.")
    if session and account is not None:
        raise click.UsageError("--user and --run-as exclude each other.")
    installer = Installer(session=session, say=_to_stderr)
    if uninstall:
        if arguments:
            raise click.UsageError("--uninstall takes no options of listen.")
        installer.check_rights("--uninstall")
        installer.uninstall(force=force)
        return
    listening = _listening(arguments, session=session, account=account)
    text = session_unit(listening) if session else system_unit(listening, account)
    problem = None if session else obstacle(listening, account)
    if not (listening.history or listening.network or listening.prints):
        _to_stderr("note: without --history and --mqtt after --, nobody will know what it heard")
    if not install:
        if problem:
            _to_stderr(f"note: {problem}")
        click.echo(text, nl=False)
        return
    installer.check_rights("--install")
    if problem:
        raise EdgeGenreError(problem)
    installer.install(text, force=force)


def _listening(arguments: Sequence[str], *, session: bool, account: str | None) -> Listening:
    """Read listen's options as it will itself, so that a wrong one is not found out at boot."""
    parent = click.get_current_context().parent
    values = listen.command.make_context("listen", list(arguments), parent=parent).params
    front_ends = [text.rpartition("=")[2] for text in values["frontends"]]  # NAME=SPEC
    for given in (values["model"], *front_ends, values["labels"], values["path"]):
        value = str(given or "")
        if value == "-":
            raise click.UsageError("a service has no standard input: leave --input - out.")
        if value and Path(value).is_file() and not Path(value).is_absolute():
            raise click.UsageError(f"{value}: give its whole path; a service runs elsewhere.")
    if values["mqtt_url"]:
        _check_broker(values["mqtt_url"])
    model = Path(values["model"] or "")
    history: Path | None = values["history"]
    if history and not session and not account and not is_state(history):
        raise click.UsageError(
            f"{history}: without --run-as, the service can write in {STATE} only; "
            f"give a relative path, which is there: --history {history.name}"
        )
    return Listening(
        program=own_program(),
        arguments=tuple(arguments),
        model=model if model.is_absolute() else None,
        history=history,
        network=bool(values["mqtt_url"]),
        prints=values["as_json"] or values["as_csv"],
    )


def _check_broker(url: str) -> None:
    from edge_genre.outputs.mqtt import Broker

    try:
        Broker.from_url(url, {})  # the service has variables of its own
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)
