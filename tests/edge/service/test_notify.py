"""The protocol of sd_notify(3), on the manager's side of a real socket."""

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_genre.service.notify import ServiceManager


class Manager:
    """The end of the socket at which the service manager listens."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """Datagrams that have come since the last call."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    names = {"path": str(tmp_path / "notify"), "abstract": f"@edge-genre-test-{os.getpid()}"}
    manager = Manager(names[request.param])
    yield manager
    manager.socket.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_service_from_start_to_end(manager: Manager) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": manager.address})
    service.ready("listening to USB Audio")
    service.status("jazz")
    service.status("jazz")  # no news
    service.status("hip\nhop\tand more")  # a line that would be two of the protocol
    service.stopping()
    assert manager.heard() == [
        "READY=1\nSTATUS=listening to USB Audio",
        "STATUS=jazz",
        "STATUS=hip hop and more",
        "STOPPING=1",
    ]


def test_ready_alone(manager: Manager) -> None:
    ServiceManager({"NOTIFY_SOCKET": manager.address}).ready()
    assert manager.heard() == ["READY=1"]


def test_watchdog_is_fed_as_often_as_it_needs(manager: Manager) -> None:
    clock = Clock()
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "60000000"}
    service = ServiceManager(environment | {"WATCHDOG_PID": str(os.getpid())}, clock=clock)
    assert service.watchdog_seconds == 60
    times = []
    for tenth in range(1201):
        clock.now = tenth / 10
        service.alive()
        times += [clock.now] * len(manager.heard())
    assert times == [0, 20, 40, 60, 80, 100, 120]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "often"},
        {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"},  # another process is watched
        {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "me"},
    ],
)
def test_no_watchdog(manager: Manager, variables: dict[str, str]) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": manager.address, **variables})
    assert service.watchdog_seconds is None
    service.alive()
    assert manager.heard() == []


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative", "/" + "long" * 50])
def test_no_manager(address: str) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
    service.ready("up")
    service.status("still up")
    service.alive()
    service.stopping()


def fill(sender: socket.socket, manager: Manager) -> int:
    """Send until nothing more is taken; return how many datagrams were."""
    sender.setblocking(False)
    for sent in itertools.count():
        try:
            sender.sendto(b"noise", manager.socket.getsockname())
        except BlockingIOError:
            return sent
    raise AssertionError


def test_what_a_manager_missed_is_said_again(manager: Manager) -> None:
    """Its queue is full, and nothing waits for it."""
    with contextlib.ExitStack() as stack:
        sent = 1
        while sent:  # one sender's own buffer is full before the manager's queue is
            sender = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            sent = fill(sender, manager)
    clock = Clock()
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "3000000"}
    service = ServiceManager(environment, clock=clock)
    service.ready("up")
    service.alive()
    assert set(manager.heard()) == {"noise"}
    service.alive()
    service.status("up")
    assert manager.heard() == ["READY=1\nWATCHDOG=1", "STATUS=up"]


def test_manager_goes_away(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    service = ServiceManager({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "3000000"})
    manager.socket.close()
    service.ready()
    (tmp_path / "notify").unlink()
    service.alive()
    again = Manager(manager.address)
    service.alive()
    with again.socket:
        assert again.heard() == ["READY=1\nWATCHDOG=1"]
