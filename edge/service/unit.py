"""The text of a systemd unit that runs `edge-genre listen`, and what of the system it needs."""

from __future__ import annotations

import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from edge_genre.errors import EdgeGenreError

UNIT = "edge-genre.service"
MARK = "# Written by edge-genre service"  # the first line
STATE = Path("/var/lib/edge-genre")
_HOMES = ("/home", "/root", "/run/user")
_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


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
        service="\n".join([*_service_lines(listening), user, *_storage(listening)]),
        home=_protect_home(listening),
        confinement="\n".join([*network, *_confinement(listening)]),
    )


def session_unit(listening: Listening) -> str:
    """The text of a unit of a user's own manager, beside the sound server of the session."""
    return _SESSION.format(
        service="\n".join(_service_lines(listening)), confinement="\n".join(_confinement(listening))
    )


_SYSTEM = (
    MARK
    + """
# For changes of yours: systemctl edit edge-genre
[Unit]
Description=edge-genre: what is playing
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
    MARK
    + """
# For changes of yours: systemctl --user edit edge-genre
[Unit]
Description=edge-genre: what is playing
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


def _service_lines(listening: Listening) -> list[str]:
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
    if is_state(listening.history):
        return [f"StateDirectory={STATE.name}", f"WorkingDirectory={STATE}"]
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


def obstacle(listening: Listening, account: str | None) -> str | None:
    """Why the system's service could not start the program; None where it could.

    Parameters
    ----------
    account : whose; None for a user whom systemd makes up
    """
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


def is_state(path: Path) -> bool:
    """Whether a file is in the service's own folder."""
    return STATE in (STATE / path).parents and ".." not in path.parts


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
