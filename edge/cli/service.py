"""``edge-genre service``: listening from boot on, under systemd."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from edge_genre.cli import listen
from edge_genre.errors import EdgeGenreError

UNIT = "edge-genre.service"
_MARK = "# Written by edge-genre service"
_STATE = Path("/var/lib/edge-genre")
_HOMES = ("/home", "/root", "/run/user")
_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
_NO_PATH = re.compile(r"[\"'\\\x00-\x1f\x7f]")

_VARIABLES = """\
# Variables of the service edge-genre, one a line. Keep this file to its owner (chmod 600).
#EDGE_GENRE_MQTT_USERNAME=
#EDGE_GENRE_MQTT_PASSWORD=
#EDGE_GENRE_MQTT_CA=
#EDGE_GENRE_MQTT_CERT=
#EDGE_GENRE_MQTT_KEY=
#EDGE_GENRE_DEVICE=
#EDGE_GENRE_MODEL=
"""


@dataclass(frozen=True)
class Listening:
    """What the service runs, and what of the system it needs for that.

    Parameters
    ----------
    program : edge-genre's own, with its whole path
    arguments : for ``edge-genre listen``
    model : a file that it reads, if it is not a bundled one
    history : a file that it writes, if any; relative to the service's own folder
    network : whether it talks to a broker
    prints : whether somebody wants what it prints
    """

    program: Path
    arguments: tuple[str, ...] = ()
    model: Path | None = None
    history: Path | None = None
    network: bool = False
    prints: bool = False


@click.command("service")
@click.argument("arguments", nargs=-1, metavar="[-- OPTIONS OF LISTEN...]")
@click.option(
    "--user",
    "session",
    is_flag=True,
    help="A unit of your own session, which shares the microphone by PipeWire or PulseAudio, "
    "instead of the system's, which uses ALSA.",
)
@click.option(
    "--run-as",
    "account",
    metavar="USER",
    help="Who runs the system's unit.  [default: a user made for it]",
)
@click.option("--install", is_flag=True, help="Install the unit instead of printing it.")
@click.option("--uninstall", is_flag=True, help="Stop the service and remove its unit.")
@click.option("--force", is_flag=True, help="Replace or remove a unit that differs.")
def command(
    arguments: tuple[str, ...],
    session: bool,
    account: str | None,
    install: bool,
    uninstall: bool,
    force: bool,
) -> None:
    """Print or install a systemd unit that listens from boot on.

    What stands after -- goes to edge-genre listen:

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
    place = _place(session)
    if uninstall:
        if arguments:
            raise click.UsageError("--uninstall takes no options of listen.")
        place.check_rights("--uninstall")
        _uninstall(place, force)
        return
    listening = _listening(arguments, session=session, account=account)
    text = session_unit(listening) if session else system_unit(listening, account)
    obstacle = None if session else _obstacle(listening, account)
    if not (listening.history or listening.network or listening.prints):
        _say("note: without --history and --mqtt after --, nobody will know what it heard")
    if not install:
        if obstacle:
            _say(f"note: {obstacle}")
        click.echo(text, nl=False)
        return
    place.check_rights("--install")
    if obstacle:
        raise EdgeGenreError(obstacle)
    _install(text, place, force)


def _listening(arguments: Sequence[str], *, session: bool, account: str | None) -> Listening:
    """Read listen's options as it will itself, so that a wrong one is not found out at boot."""
    parent = click.get_current_context().parent
    values = listen.command.make_context("listen", list(arguments), parent=parent).params
    for name in ("model", "frontend", "labels", "path"):
        value = str(values[name] or "")
        if value == "-":
            raise click.UsageError("a service has no standard input: leave --input - out.")
        if value and Path(value).is_file() and not Path(value).is_absolute():
            raise click.UsageError(f"{value}: give its whole path; a service runs elsewhere.")
    if values["mqtt_url"]:
        _check_broker(values["mqtt_url"])
    model = Path(values["model"] or "")
    history: Path | None = values["history"]
    if history and not session and not account and not _is_state(history):
        raise click.UsageError(
            f"{history}: without --run-as, the service can write in {_STATE} only; "
            f"give a relative path, which is there: --history {history.name}"
        )
    return Listening(
        program=_program(),
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


def _program() -> Path:
    """The program of the installation that runs now."""
    schemes = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
    for scheme in schemes:
        program = Path(sysconfig.get_path("scripts", scheme), "edge-genre")
        if program.is_file():
            if _NO_PATH.search(str(program)):
                raise EdgeGenreError(
                    f"{program}: systemd starts nothing with quotes or backslashes in its path: "
                    "install edge-genre in another folder"
                )
            return program
    raise EdgeGenreError(f"{sys.executable}: has no program edge-genre: pip install edge-genre")


def system_unit(listening: Listening, account: str | None = None) -> str:
    """The text of a unit of the system, which owns the sound card and little else.

    Parameters
    ----------
    listening : what it runs
    account : whose; None for a user whom systemd makes up
    """
    user = "DynamicUser=yes" if account is None else f"User={_word(account)}"
    network = [] if listening.network else ["PrivateNetwork=yes"]
    return _SYSTEM.format(
        service="\n".join([*_service(listening), user, *_storage(listening)]),
        home=_protect_home(listening),
        confinement="\n".join([*network, *_confinement(listening)]),
    )


def session_unit(listening: Listening) -> str:
    """The text of a unit of a user's own manager, beside the sound server of the session."""
    return _SESSION.format(
        service="\n".join(_service(listening)), confinement="\n".join(_confinement(listening))
    )


_SYSTEM = (
    _MARK
    + """
# For changes of yours: systemctl edit edge-genre
[Unit]
Description=edge-genre: which genre is playing
# Before there is a sound card, there is no group of devices that could be allowed.
Wants=modprobe@snd.service
After=modprobe@snd.service sound.target
# Never give up: a microphone may be away for weeks.
StartLimitIntervalSec=0

[Service]
{service}
SupplementaryGroups=audio

# Sound cards, and of all else what it cannot do without.
DevicePolicy=closed
DeviceAllow=char-alsa rw
ProtectSystem=strict
ProtectHome={home}
PrivateMounts=yes
PrivateTmp=yes
CapabilityBoundingSet=
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictRealtime=yes
{confinement}
# Left out, since it would not work with them: ProcSubset (engines read /proc/cpuinfo),
# ProtectProc (who holds a busy microphone is looked up there), PrivateDevices,
# MemoryDenyWriteExecute (callbacks from C into Python may need such memory).

[Install]
WantedBy=multi-user.target
"""
)

_SESSION = (
    _MARK
    + """
# For changes of yours: systemctl --user edit edge-genre
[Unit]
Description=edge-genre: which genre is playing
After=pipewire.service wireplumber.service pulseaudio.service
# Never give up: a microphone may be away for weeks.
StartLimitIntervalSec=0

[Service]
{service}
WorkingDirectory=%h

{confinement}

[Install]
WantedBy=default.target
"""
)


def _service(listening: Listening) -> list[str]:
    words = [_word(text, variables=True) for text in ("listen", *listening.arguments)]
    return [
        "Type=notify",
        f"ExecStart={' '.join([_word(str(listening.program)), *words])}",
        "EnvironmentFile=-%E/edge-genre/environment",
        "# Where it stood when a watchdog ended it is in the journal then.",
        "Environment=PYTHONFAULTHANDLER=1",
        "LimitCORE=0",
        "# A line a window would wear a card out: results go to --history and --mqtt.",
        f"StandardOutput={'journal' if listening.prints else 'null'}",
        "StandardError=journal",
        "Restart=on-failure",
        "RestartSec=10",
        "# Wrong options do not get right by trying again.",
        "RestartPreventExitStatus=2",
        "WatchdogSec=60",
        "TimeoutStopSec=10",
        "UMask=0077",
    ]


def _storage(listening: Listening) -> list[str]:
    """Where it may write: nowhere, unless it keeps a history."""
    if listening.history is None:
        return []
    if _is_state(listening.history):
        return [f"StateDirectory={_STATE.name}", f"WorkingDirectory={_STATE}"]
    return [f"ReadWritePaths={_word(str(listening.history.parent))}"]


def _confinement(listening: Listening) -> list[str]:
    """What a user's own manager can enforce, too."""
    families = "AF_UNIX AF_INET AF_INET6 AF_NETLINK" if listening.network else "AF_UNIX"
    return [
        "NoNewPrivileges=yes",
        "LockPersonality=yes",
        f"RestrictAddressFamilies={families}",
        "RestrictNamespaces=yes",
        "RestrictSUIDSGID=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged",
        "SystemCallErrorNumber=EPERM",
    ]


def _protect_home(listening: Listening) -> str:
    texts = [str(path) for path in _needed(listening)]
    texts += [str(listening.history.parent)] if listening.history else []
    inside = any(text == home or text.startswith(f"{home}/") for text in texts for home in _HOMES)
    return "read-only" if inside else "yes"


def _needed(listening: Listening) -> list[Path]:
    """What the service reads, and the Python below a virtual environment."""
    paths = [listening.program, Path(sys.prefix), Path(sys.base_prefix)]
    return [*paths, *([listening.model] if listening.model else [])]


def _obstacle(listening: Listening, account: str | None) -> str | None:
    """Why the system's service could not start the program, if so."""
    if account is not None:
        return None if _is_user(account) else f"{account}: there is no such user"
    for path in _needed(listening):
        for part in (path, *path.parents, *path.resolve().parents):
            if _closed(part):
                return (
                    f"{part}: is closed to the user that systemd makes for the service, which "
                    f"needs {path}: install edge-genre below /opt, or give --run-as USER"
                )
    return None


def _is_user(name: str) -> bool:
    if not sys.platform.startswith("linux"):
        return True  # who knows who is where the unit will be installed
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _closed(path: Path) -> bool:
    """Whether others than a file's owner and group may not use it."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return True
    return not mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH)


def _is_state(path: Path) -> bool:
    """Whether a file is in the service's own folder."""
    return _STATE in (_STATE / path).parents and ".." not in path.parts


def _word(text: str, *, variables: bool = False) -> str:
    """A word of a unit file that stands for a text as it is.

    Parameters
    ----------
    variables : whether systemd replaces $NAME there, as it does in the arguments of a command (and
        not in its path)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise EdgeGenreError(f"{text!r}: is not UTF-8, which systemd takes alone") from None
    quoted = text if _PLAIN.fullmatch(text) else f'"{_escaped(text)}"'
    quoted = quoted.replace("%", "%%")
    return quoted.replace("$", "$$") if variables else quoted


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return re.sub(r"[\x01-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", text)


@dataclass(frozen=True)
class _Place:
    """Where a unit and its variables are, and how its manager is spoken to."""

    session: bool
    unit: Path
    variables: Path

    @property
    def systemctl(self) -> str:
        return "systemctl --user" if self.session else "systemctl"

    def check_rights(self, option: str) -> None:
        """Raise an error where a unit cannot be installed there by this user."""
        if not sys.platform.startswith("linux"):
            raise EdgeGenreError("systemd is a part of Linux; here a unit can be printed only")
        if not self.session and os.geteuid() != 0:
            raise EdgeGenreError(
                f"{self.unit}: needs root: sudo {_program()} service {option} ... (or --user)"
            )
        if self.session and os.geteuid() == 0 and os.environ.get("SUDO_USER"):
            raise EdgeGenreError("--user is for your own session: leave sudo out")

    def manage(self, *arguments: str) -> None:
        """Ask the manager for something, and say why if it does not do it."""
        try:
            done = subprocess.run(
                [*self.systemctl.split(), *arguments], capture_output=True, text=True, check=False
            )
        except OSError as error:
            _say(f"systemctl: {error.strerror}")
            return
        if done.returncode != 0:
            _say(f"{self.systemctl} {arguments[0]}: {' '.join(done.stderr.split())}")


def _place(session: bool) -> _Place:
    folder = Path("/etc")
    if session:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    units = folder / "systemd" / ("user" if session else "system")
    return _Place(session, units / UNIT, folder / "edge-genre" / "environment")


def _install(text: str, place: _Place, force: bool) -> None:
    there = _read(place.unit)
    if there is not None and there != text and not force:
        raise EdgeGenreError(
            f"{place.unit}: is there and differs: --force replaces it (what `{place.systemctl} "
            "edit edge-genre` made stays)"
        )
    if there == text:
        _say(f"{place.unit}: is as it should be")
    else:
        _write(place.unit, text, 0o644)
        _say(f"{place.unit}: written")
    if _read(place.variables) is None:
        _write(place.variables, _VARIABLES, 0o600)
        _say(f"{place.variables}: written, for passwords")
    place.manage("daemon-reload")
    sudo, of_user = ("", "--user-unit") if place.session else ("sudo ", "--unit")
    _say(f"start it, now and at every boot: {sudo}{place.systemctl} enable --now edge-genre")
    if place.session:
        _say("without a login, too: sudo loginctl enable-linger $USER")
    _say(f"take a change over: {sudo}{place.systemctl} restart edge-genre")
    _say(f"see how it is: {place.systemctl} status edge-genre")
    _say(f"see what it said: journalctl {of_user} edge-genre")


def _uninstall(place: _Place, force: bool) -> None:
    there = _read(place.unit)
    if there is None:
        raise EdgeGenreError(f"{place.unit}: there is none")
    if not there.startswith(_MARK) and not force:
        raise EdgeGenreError(f"{place.unit}: is not of edge-genre's making: --force removes it")
    place.manage("disable", "--now", UNIT)
    try:
        place.unit.unlink()
    except OSError as error:
        raise EdgeGenreError(f"{place.unit}: cannot be removed ({error.strerror})") from None
    place.manage("daemon-reload")
    _say(f"{place.unit}: removed; {place.variables} and recorded plays are kept")


def _read(path: Path) -> str | None:
    """What a file holds; None where there is none."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EdgeGenreError(f"{path}: cannot be read ({error.strerror})") from None


def _write(path: Path, text: str, mode: int) -> None:
    """Write a whole file or nothing, also where the power fails; nobody else ever reads it open."""
    draft = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise EdgeGenreError(f"{path}: cannot be written ({error.strerror})") from None


def _say(line: str) -> None:
    click.echo(line, err=True)
