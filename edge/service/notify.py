"""Telling the service manager how a service is, by the protocol of sd_notify(3).

systemd gives a service of ``Type=notify`` the address of a datagram socket in ``$NOTIFY_SOCKET``,
and with ``WatchdogSec=`` the longest silence that it allows in ``$WATCHDOG_USEC``.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

# The manual advises half of the interval; with a third, one call may come late.
_PER_INTERVAL = 3


class ServiceManager:
    """What a running service tells the service manager; nothing at all where there is none.

    No call ever waits or fails: the manager may be busy or gone, and a service goes on all the
    same.

    Parameters
    ----------
    environment : where the manager's variables are
    clock : monotonic time, seconds
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        self.watchdog_seconds = _watchdog_seconds(environment) if self._socket else None
        self._clock = clock
        self._alive_next = float("-inf")
        self._status = ""
        self._owed: tuple[str, ...] = ()

    def ready(self, status: str = "") -> None:
        """Say that the service is up; the units that wait for it start."""
        self._owed = ("READY=1",)
        self.status(status)
        if self._owed:
            self._send()

    def status(self, text: str) -> None:
        """Say in a line what ``systemctl status`` shall show; the same line is not said twice."""
        line = " ".join(text.split())
        if line and line != self._status and self._send(f"STATUS={line}"):
            self._status = line

    def alive(self) -> None:
        """Say that the service works; to be called often, from the loop that does the work.

        Only as many calls are passed on as the watchdog needs. Where they stop, the manager kills
        the service and starts it again.
        """
        if self.watchdog_seconds is None:
            if self._owed:
                self._send()
            return
        now = self._clock()
        if now >= self._alive_next and self._send("WATCHDOG=1"):
            self._alive_next = now + self.watchdog_seconds / _PER_INTERVAL

    def stopping(self) -> None:
        """Say that the service is about to end."""
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> bool:
        """Send what is owed and some lines more, and return whether the manager has them."""
        if self._socket is None:
            return False
        try:
            message = "\n".join((*self._owed, *lines))
            self._socket.sendto(message.encode(errors="replace"), self._address)
        except OSError:  # its queue is full, or it is gone
            return False
        self._owed = ()
        return True


def _address(text: str) -> str:
    """The address of a socket; a name without a file begins with a zero byte where @ stands."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else ""


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """The longest silence that the manager allows this process, if it watches it."""
    try:
        seconds = int(environment.get("WATCHDOG_USEC", "")) / 1e6
        pid = int(environment.get("WATCHDOG_PID") or os.getpid())
    except ValueError:
        return None
    return seconds if seconds > 0 and pid == os.getpid() else None
