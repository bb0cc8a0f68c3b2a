"""A real broker, its own clients, and what Debian calls them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_for

PATH = f"{os.environ['PATH']}:/usr/sbin"


def missing() -> list[str]:
    """Debian packages that are needed and not installed."""
    programs = {"mosquitto": "mosquitto", "mosquitto_sub": "mosquitto-clients"}
    return [package for name, package in programs.items() if not shutil.which(name, path=PATH)]


class Mosquitto:
    """A broker on a port of its own; ``configuration`` is added to its file."""

    def __init__(self, folder: Path, *configuration: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._file = folder / f"mosquitto-{self.port}.conf"
        lines = (f"listener {self.port} 127.0.0.1", "user root", *configuration)
        self._file.write_text("\n".join(lines) + "\n")
        self.options: tuple[str, ...] = ()  # for its clients

    def start(self) -> None:
        program = shutil.which("mosquitto", path=PATH)
        assert program is not None
        self.process = subprocess.Popen(
            [program, "-c", self._file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._listens)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def subscriber(self, topic: str, *options: str) -> subprocess.Popen[str]:
        """Somebody who prints topic, whether it was retained, QoS, and payload."""
        command = ("mosquitto_sub", "-h", "localhost", "-p", str(self.port), "-q", "2", "-t", topic)
        return subprocess.Popen(
            [*command, "-F", "%t\t%r\t%q\t%p", *self.options, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def retained(self, topic: str, count: int = 99) -> dict[str, str]:
        """What somebody gets who comes now, and waits for so many messages or a second."""
        options = ("--retained-only", "-C", str(count), "-W", "1")
        found, _ = self.subscriber(topic, *options).communicate(timeout=300)
        rows = [line.split("\t", 3) for line in found.splitlines()]
        assert all(row[1:3] == ["1", "1"] for row in rows)  # retained, and at least once
        return {row[0]: row[3] for row in rows}

    def word(self, topic: str) -> str | None:
        return self.retained(topic, 1).get(topic)

    def state(self, topic: str = "music") -> dict[str, Any] | None:
        text = self.word(topic)
        return None if text is None else json.loads(text)
