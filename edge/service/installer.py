"""Puts a unit where systemd finds it, and takes it away again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from edge_genre.errors import EdgeGenreError, one_line
from edge_genre.host.files import reading, reason, write_whole, writing
from edge_genre.service.unit import MARK, UNIT

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


def own_program() -> Path:
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


class Installer:
    """Installs and removes the unit of one systemd manager.

    Parameters
    ----------
    session : of the user's own manager, not of the system's
    say : takes a line for the user
    """

    def __init__(self, *, session: bool, say: Callable[[str], None]) -> None:
        folder = Path("/etc")
        if session:
            folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        self.unit = folder / "systemd" / ("user" if session else "system") / UNIT
        self.variables = folder / "edge-genre" / "environment"
        self._session = session
        self._systemctl = "systemctl --user" if session else "systemctl"
        self._say = say

    def check_rights(self, option: str) -> None:
        """Raise an error where this user cannot install there.

        Parameters
        ----------
        option : that asks for it, for the message
        """
        if not sys.platform.startswith("linux"):
            raise EdgeGenreError("systemd is a part of Linux; here a unit can be printed only")
        if not self._session and os.geteuid() != 0:
            raise EdgeGenreError(
                f"{self.unit}: needs root: sudo {own_program()} service {option} ... (or --user)"
            )
        if self._session and os.geteuid() == 0 and os.environ.get("SUDO_USER"):
            raise EdgeGenreError("--user is for your own session: leave sudo out")

    def install(self, text: str, *, force: bool) -> None:
        """Write the unit, and a file for variables where there is none, and say what comes next.

        Raises
        ------
        EdgeGenreError
            Another unit is there and ``force`` is not set, or a file cannot be read or written.
        """
        there = _read(self.unit)
        if there is not None and there != text and not force:
            raise EdgeGenreError(
                f"{self.unit}: is there and differs: --force replaces it (what `{self._systemctl} "
                "edit edge-genre` made stays)"
            )
        if there == text:
            self._say(f"{self.unit}: is as it should be")
        else:
            _write(self.unit, text, 0o644)
            self._say(f"{self.unit}: written")
        if _read(self.variables) is None:
            _write(self.variables, _VARIABLES, 0o600)
            self._say(f"{self.variables}: written, for passwords")
        self._manage("daemon-reload")
        self._say_what_next()

    def uninstall(self, *, force: bool) -> None:
        """Stop the service and remove its unit.

        Raises
        ------
        EdgeGenreError
            There is none, it is not of edge-genre's making and ``force`` is not set, or it cannot
            be removed.
        """
        there = _read(self.unit)
        if there is None:
            raise EdgeGenreError(f"{self.unit}: there is none")
        if not there.startswith(MARK) and not force:
            raise EdgeGenreError(f"{self.unit}: is not of edge-genre's making: --force removes it")
        self._manage("disable", "--now", UNIT)
        try:
            self.unit.unlink()
        except OSError as error:
            raise EdgeGenreError(f"{self.unit}: cannot be removed ({reason(error)})") from None
        self._manage("daemon-reload")
        self._say(f"{self.unit}: removed; {self.variables} and recorded plays are kept")

    def _manage(self, *arguments: str) -> None:
        """Ask the manager for something, and say why if it does not do it."""
        try:
            done = subprocess.run(
                [*self._systemctl.split(), *arguments], capture_output=True, text=True, check=False
            )
        except OSError as error:
            self._say(f"systemctl: {reason(error)}")
            return
        if done.returncode != 0:
            self._say(f"{self._systemctl} {arguments[0]}: {one_line(done.stderr)}")

    def _say_what_next(self) -> None:
        sudo, of_user = ("", "--user-unit") if self._session else ("sudo ", "--unit")
        enable = f"{sudo}{self._systemctl} enable --now edge-genre"
        self._say(f"start it, now and at every boot: {enable}")
        if self._session:
            self._say("without a login, too: sudo loginctl enable-linger $USER")
        self._say(f"take a change over: {sudo}{self._systemctl} restart edge-genre")
        self._say(f"see how it is: {self._systemctl} status edge-genre")
        self._say(f"see what it said: journalctl {of_user} edge-genre")


def _read(path: Path) -> str | None:
    """What a file holds; None where there is none."""
    with reading(path, EdgeGenreError):
        try:
            return path.read_text(errors="replace")
        except FileNotFoundError:
            return None


def _write(path: Path, text: str, mode: int) -> None:
    """Write a whole file or nothing, also where the power fails; nobody else ever reads it open."""
    with writing(path, EdgeGenreError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text, mode=mode, lasting=True)
