"""A real systemd in namespaces of its own, and a service that it runs."""

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import edge_genre
from edge_genre.service.unit import UNIT
from tests.support.waiting import PATIENCE

PACKAGES = Path(edge_genre.__file__).parents[1]
PROGRAM = Path(sys.executable).with_name("edge-genre")
# As a folder may be called: systemd has a meaning of its own for most of these.
ODD = """it's 100% "odd" \\ $HOME ${HOME} ; # %n ü"""


def missing() -> list[str]:
    """Debian packages that are needed and not installed."""
    return [] if shutil.which("systemd-analyze") else ["systemd"]


_BOOT = r"""
set -eu
units=$1 group=$2
shift 2
echo $$ > "$group/cgroup.procs"
exec unshare --mount --pid --fork --kill-child --uts --ipc --net --cgroup --mount-proc \
  bash -euc '
    units=$1
    shift
    mount --make-rprivate /
    mount -t tmpfs -o mode=755 none /run
    for folder in "$@"; do
      mkdir -p "/run/layers$folder/upper" "/run/layers$folder/work"
      [ "$folder" != /tmp ] || chmod 1777 "/run/layers$folder/upper"
      options="upperdir=/run/layers$folder/upper,workdir=/run/layers$folder/work"
      mount -t overlay -o "lowerdir=$folder,$options" none "$folder"
    done
    mount -t tmpfs none /etc/systemd/system
    mkdir -p /etc/systemd/system.conf.d
    printf "[Manager]\nDefaultStartLimitIntervalSec=1h\n" >/etc/systemd/system.conf.d/test.conf
    mount -t cgroup2 none /sys/fs/cgroup
    exec env -i container=test PATH="$PATH" SYSTEMD_UNIT_PATH="/etc/systemd/system:$units" \
      /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=no
  ' boot "$units" "$@"
"""


TARGETS = ("test", "sysinit", "basic", "sockets", "multi-user", "shutdown")


class Systemd:
    """A system manager, the first process of namespaces of its own. Use it as a context manager.

    It knows no units but those that a test gives it, and what it writes is in memory: nothing of
    the machine's own system is touched.
    """

    def __init__(self, folder: Path) -> None:
        self._units = folder / "units"
        self._log = folder / "systemd.log"

    def __enter__(self) -> "Systemd":
        self._units.mkdir()
        for name in TARGETS:
            text = "[Unit]\nDefaultDependencies=no\n"
            (self._units / f"{name}.target").write_text(text)
        self._group = _hierarchy() / f"edge-genre-test-{os.getpid()}"
        self._group.mkdir()
        layers = ["/etc", "/home", "/tmp", "/var", *_closed_folders()]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", _BOOT, "boot", str(self._units), str(self._group), *layers],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        until = time.monotonic() + 10
        while self._group.exists() and time.monotonic() < until:  # until its last process is gone
            for path in sorted(self._group.glob("**/"), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()
            time.sleep(0.05)

    @property
    def root(self) -> Path:
        """Its file system, as seen from here."""
        return Path(f"/proc/{self._first}/root")

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command beside it."""
        enter = ["nsenter", f"--target={self._first}", "--mount", "--pid", "--uts", "--ipc"]
        result = subprocess.run(
            [*enter, "--net", "--cgroup", "--", *command],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if check and result.returncode != 0:
            raise AssertionError(
                f"{command}: {result.stdout}{result.stderr}{self._log.read_text()}"
            )
        return result

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        """What systemctl prints."""
        return self.run("systemctl", "--no-pager", *arguments, check=check).stdout

    def state(self, *names: str, unit: str = UNIT) -> list[str]:
        """Properties of a unit."""
        shown = self.systemctl("show", unit, *(f"--property={name}" for name in names))
        found = dict(line.split("=", 1) for line in shown.splitlines())
        return [found[name] for name in names]

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                self._first = int(children.read_text())
                if (self.root / "run/systemd/private").exists():
                    return
            time.sleep(0.05)
        raise AssertionError(f"systemd does not start: {self._log.read_text()}")


def _hierarchy() -> Path:
    """Where the second version of control groups is."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(folder)
    raise AssertionError("no control groups of version 2")


def _closed_folders() -> list[str]:
    """Folders of this installation that other users may not enter, and a service must."""
    needed = (PACKAGES, Path(sys.prefix), Path(sys.base_prefix))
    folders = {part for path in needed for part in (path, *path.parents)}
    return [str(folder) for folder in folders if not folder.stat().st_mode & stat.S_IXOTH]


_STAND_IN = """\
#!{python}
import json, os, signal, sys, time
sys.path.insert(0, {packages!r})
from edge_genre.service.notify import ServiceManager

manager = ServiceManager()

def say(**values):
    print(json.dumps(values), file=sys.stderr, flush=True)

def serve(until=float("inf")):
    end = time.monotonic() + until
    while time.monotonic() < end:
        manager.alive()
        time.sleep(0.02)

def stop(number, frame):
    manager.stopping()
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
{body}
"""


# In place of the journal, and faster.
DROP_IN = """\
[Service]
StandardError=append:/run/said
RestartSec=100ms
{more}
"""


class Service:
    """The unit with a program in the place of edge-genre, and what that says."""

    def __init__(self, systemd: Systemd, program: str = "/run/program") -> None:
        self._systemd = systemd
        self.program = program

    def put(self, body: str) -> None:
        """Write the program."""
        root = self._systemd.root
        program = root / self.program[1:]
        program.parent.mkdir(exist_ok=True)
        text = _STAND_IN.format(python=sys.executable, packages=str(PACKAGES), body=body)
        program.write_text(text)
        program.chmod(0o755)
        (root / "run/said").write_text("")

    def install(self, body: str, unit: str, more: str = "") -> None:
        """Write the program, a unit and settings that go before its own."""
        root = self._systemd.root
        self.put(body)
        (root / "etc/systemd/system" / UNIT).write_text(unit)
        more_folder = root / f"etc/systemd/system/{UNIT}.d"
        more_folder.mkdir(exist_ok=True)
        (more_folder / "test.conf").write_text(DROP_IN.format(more=more))
        self._systemd.systemctl("daemon-reload")

    def start(self) -> None:
        try:
            self._systemd.systemctl("start", UNIT)
        except AssertionError as problem:
            raise AssertionError(self.said()) from problem

    def said(self) -> str:
        return (self._systemd.root / "run/said").read_text()

    def values(self) -> dict[str, Any]:
        """What it said first."""
        self.wait_for(lambda: bool(self.said()))
        return dict(json.loads(self.said().splitlines()[0]))

    def wait_for(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > until:
                raise AssertionError(self._systemd.systemctl("status", UNIT, check=False))
            time.sleep(0.05)

    def state(self, *names: str) -> list[str]:
        return self._systemd.state(*names)
