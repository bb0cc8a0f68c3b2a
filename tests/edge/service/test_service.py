"""`edge-genre service`: the units that it makes, judged by systemd and run by it."""

import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import soundfile
from click.testing import CliRunner, Result

import edge_genre
from edge_genre.cli import main, service
from edge_genre.cli.service import UNIT, Listening, session_unit, system_unit
from edge_genre.demo import clip
from tests.support.requirements import require_system
from tests.support.virtual_microphone import missing as sound
from tests.support.waiting import PATIENCE

# What starts a real systemd, in namespaces of its own, needs root and takes minutes.
slow = pytest.mark.slow

PACKAGES = Path(edge_genre.__file__).parents[1]
PROGRAM = Path(sys.executable).with_name("edge-genre")
# As a folder may be called: systemd has a meaning of its own for most of these.
ODD = """it's 100% "odd" \\ $HOME ${HOME} ; # %n ü"""


def missing() -> list[str]:
    return [] if shutil.which("systemd-analyze") else ["systemd"]


def run(*arguments: object, code: int = 0, **options: Any) -> Result:
    words = ["service", *(str(one) for one in arguments)]
    result = CliRunner().invoke(main, words, **options)
    assert result.exit_code == code, result.output
    return result


def error(*arguments: object) -> str:
    """The line that a user sees."""
    result = CliRunner().invoke(main, ["service", *(str(one) for one in arguments)])
    assert result.exit_code == 1, result.output
    program, line = result.stderr.splitlines()[-1].split(": ", 1)  # notes may stand before it
    assert program == "edge-genre"
    return line


def settings(text: str) -> dict[str, str]:
    """What a unit says, without comments; where a name comes twice, the last."""
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


# What edge-genre prints and installs


def test_prints_a_unit_of_the_system() -> None:
    found = settings(run("--", "--device", "USB Audio", "--hop", "0.5").stdout)
    assert found["ExecStart"] == f'{PROGRAM} listen --device "USB Audio" --hop 0.5'
    assert found["Type"] == "notify"
    assert found["DynamicUser"] == "yes"
    assert found["StandardOutput"] == "null"
    assert found["PrivateNetwork"] == "yes"
    assert "StateDirectory" not in found
    assert found["WantedBy"] == "multi-user.target"


def test_prints_a_unit_of_the_session() -> None:
    found = settings(run("--user").stdout)
    assert found["ExecStart"] == f"{PROGRAM} listen"
    assert found["WantedBy"] == "default.target"
    assert not {"DynamicUser", "SupplementaryGroups", "ProtectSystem"} & set(found)


def test_a_unit_asks_for_what_listen_needs() -> None:
    history = settings(run("--", "--history", "plays.db").stdout)
    assert history["StateDirectory"] == "edge-genre"
    assert history["WorkingDirectory"] == "/var/lib/edge-genre"
    absolute = settings(run("--", "--history", "/var/lib/edge-genre/plays.db").stdout)
    assert absolute["StateDirectory"] == "edge-genre"
    elsewhere = settings(run("--run-as", "pi", "--", "--history", "/media/a b/plays.db").stdout)
    assert elsewhere["ReadWritePaths"] == '"/media/a b"'
    assert elsewhere["User"] == "pi"
    assert "DynamicUser" not in elsewhere
    broker = settings(run("--", "--mqtt", "mqtts://broker/music").stdout)
    assert "PrivateNetwork" not in broker
    assert "AF_INET" in broker["RestrictAddressFamilies"]
    assert settings(run("--", "--json").stdout)["StandardOutput"] == "journal"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--", "--hopp", "1"), "No such option"),
        (("--", "--hop", "never"), "'never' is not a valid float"),
        (("--", "--input", "-"), "no standard input"),
        (("--", "--mqtt", "broker"), "is not the URL of an MQTT broker"),
        (("--", "--model", "mine.tflite"), "mine.tflite: give its whole path"),
        (("--", "--history", "/home/pi/plays.db"), "--history plays.db"),
        (("--", "--history", "../plays.db"), "--history plays.db"),
        (("--user", "--run-as", "pi"), "--user and --run-as exclude each other"),
        (("--install", "--uninstall"), "--install and --uninstall exclude each other"),
        (("--uninstall", "--", "--hop", "1"), "--uninstall takes no options"),
    ],
)
def test_wrong_usage_is_found_out_at_once(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.tflite").touch()
    assert message in run(*arguments, code=2).stderr


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of a user whose systemd does not run."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("SUDO_USER", raising=False)
    return tmp_path


def test_installs_into_the_session(home: Path) -> None:
    first = run("--user", "--install", "--", "--hop", "2")
    unit, variables = home / "systemd/user" / UNIT, home / "edge-genre/environment"
    assert unit.read_text() == run("--user", "--", "--hop", "2").stdout
    assert stat.S_IMODE(unit.stat().st_mode) == 0o644
    assert stat.S_IMODE(variables.stat().st_mode) == 0o600
    assert "#EDGE_GENRE_MQTT_PASSWORD=" in variables.read_text()
    assert f"{unit}: written" in first.stderr
    assert "systemctl --user enable --now edge-genre" in first.stderr
    assert first.stdout == ""
    assert sorted(path.name for path in unit.parent.iterdir()) == [UNIT]

    variables.write_text("EDGE_GENRE_MQTT_PASSWORD=secret\n")
    again = run("--user", "--install", "--", "--hop", "2")
    assert f"{unit}: is as it should be" in again.stderr
    assert variables.read_text() == "EDGE_GENRE_MQTT_PASSWORD=secret\n"


def test_a_unit_that_differs_is_kept(home: Path) -> None:
    unit = home / "systemd/user" / UNIT
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    assert f"{unit}: is there and differs: --force" in error("--user", "--install")
    assert f"{unit}: is not of edge-genre's making" in error("--user", "--uninstall")
    assert unit.read_text() == "[Service]\nExecStart=/bin/true\n"
    run("--user", "--install", "--force")
    assert unit.read_text() == run("--user").stdout
    assert "differs" in error("--user", "--install", "--", "--hop", "2")
    run("--user", "--uninstall")
    assert not unit.exists()
    assert (home / "edge-genre/environment").exists()
    assert f"{unit}: there is none" in error("--user", "--uninstall")


def test_a_path_that_systemd_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "it's").mkdir()
    (tmp_path / "it's/edge-genre").touch()
    monkeypatch.setattr(service.sysconfig, "get_path", lambda *_: str(tmp_path / "it's"))
    assert "quotes or backslashes" in error()


def test_a_folder_that_takes_no_files(home: Path) -> None:
    (home / "systemd").write_text("a file")
    assert "cannot be" in error("--user", "--install")


def test_the_system_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for option in ("--install", "--uninstall"):
        assert f"needs root: sudo {PROGRAM} service {option}" in error(option)


def test_a_session_is_not_that_of_sudo(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "pi")
    assert "leave sudo out" in error("--user", "--install")
    assert not (home / "systemd").exists()


def test_a_closed_home_is_no_place_for_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pi/venv/bin/edge-genre"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    (tmp_path / "pi").chmod(0o700)
    monkeypatch.setattr(service, "_program", lambda: program)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "is closed to the user that systemd makes for the service" in error("--install")
    told = ("--", "--json")
    assert "is closed to the user" in run(*told).stderr
    assert run("--run-as", "daemon", *told).stderr == ""


def test_a_user_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert error("--install", "--run-as", "pirate") == "pirate: there is no such user"
    assert "note: pirate: there is no such user" in run("--run-as", "pirate").stderr


def test_a_service_that_tells_nobody() -> None:
    assert "nobody will know" in run("--user").stderr
    for told in (("--history", "plays.db"), ("--mqtt", "mqtt://broker"), ("--json",)):
        assert run("--user", "--", *told).stderr == ""


# What systemd says of it

VARIANTS = {
    "alone": Listening(PROGRAM),
    "history": Listening(PROGRAM, ("--history", "plays.db"), history=Path("plays.db")),
    "elsewhere": Listening(PROGRAM, history=Path(f"/media/{ODD}/plays.db")),
    "network": Listening(PROGRAM, ("--mqtt", "mqtt://broker/a%20b"), network=True),
    "odd": Listening(PROGRAM, ("--device", ODD, "", "\n\t\x07", ";", "@x", "-", "é")),
}


@pytest.fixture(params=["system", "account", "session"])
def make(request: pytest.FixtureRequest) -> Callable[[Listening], str]:
    return {
        "system": system_unit,
        "account": lambda listening: system_unit(listening, "daemon"),
        "session": session_unit,
    }[request.param]


@pytest.mark.parametrize("name", VARIANTS)
def test_systemd_verifies_it(make: Callable[[Listening], str], name: str, tmp_path: Path) -> None:
    require_system(missing())
    path = tmp_path / UNIT
    path.write_text(make(VARIANTS[name]))
    session = ["--user"] if make is session_unit else []
    result = subprocess.run(
        ["systemd-analyze", *session, "verify", str(path)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", VARIANTS)
def test_exposure(name: str, tmp_path: Path) -> None:
    """By systemd's own count, from 0 to 10; its word for below 2 is OK."""
    require_system(missing())
    for listening, account in ((VARIANTS[name], None), (VARIANTS[name], "daemon")):
        path = tmp_path / UNIT
        path.write_text(system_unit(listening, account))
        result = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout.splitlines()[-1]


# What it does when systemd runs it

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
_TARGETS = ("test", "sysinit", "basic", "sockets", "multi-user", "shutdown")


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
        for name in _TARGETS:
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


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systemd]:
    require_system(missing())
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        reason = "systemd cannot be given namespaces of its own: only root may, if at all"
        (pytest.fail if os.environ.get("EDGE_GENRE_REQUIRE_ALL") == "1" else pytest.skip)(reason)
    with Systemd(tmp_path_factory.mktemp("systemd")) as manager:
        yield manager


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
_DROP_IN = """\
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
        (more_folder / "test.conf").write_text(_DROP_IN.format(more=more))
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


@pytest.fixture
def unit(systemd: Systemd) -> Iterator[Service]:
    yield Service(systemd)
    systemd.systemctl("stop", UNIT, check=False)
    systemd.systemctl("reset-failed", check=False)


def listening(**values: Any) -> Listening:
    return Listening(Path("/run/program"), **values)


@slow
def test_start_waits_until_it_is_ready(unit: Service, systemd: Systemd) -> None:
    go = systemd.root / "run/go"
    body = (
        "time.sleep(1); manager.ready('hears the radio')\n"
        "while not os.path.exists('/run/go'): serve(0.05)\n"
        "manager.status('jazz'); serve()"
    )
    unit.install(body, system_unit(listening()))
    begin = time.monotonic()
    unit.start()
    assert time.monotonic() - begin > 1
    assert unit.state("ActiveState", "SubState") == ["active", "running"]
    assert unit.state("StatusText") == ["hears the radio"]
    go.touch()
    unit.wait_for(lambda: unit.state("StatusText") == ["jazz"])
    go.unlink()


@slow
def test_stops_in_order(unit: Service, systemd: Systemd) -> None:
    unit.install("manager.ready(); serve()", system_unit(listening()))
    unit.start()
    systemd.systemctl("stop", UNIT)
    assert unit.state("ActiveState", "Result", "NRestarts") == ["inactive", "success", "0"]


@slow
def test_watchdog_ends_what_hangs_and_starts_it_again(unit: Service) -> None:
    body = "manager.ready(); serve(3)\ndef hangs(): time.sleep(60)\nhangs()"
    unit.install(body, system_unit(listening()), "WatchdogSec=2")
    begin = time.monotonic()
    unit.start()
    unit.wait_for(lambda: unit.state("NRestarts") != ["0"])
    # Fed for three seconds, it is left alone for as long, and two more.
    assert time.monotonic() - begin > 4.5
    assert "Fatal Python error: Aborted" in unit.said()
    assert "in hangs" in unit.said()


@slow
def test_never_gives_up(unit: Service) -> None:
    unit.install("sys.exit(1)", system_unit(listening()), "RestartSec=10ms")
    with pytest.raises(AssertionError):
        unit.start()
    # This systemd gives up after 5 starts in an hour if it is let.
    unit.wait_for(lambda: int(unit.state("NRestarts")[0]) >= 8)
    assert unit.state("ActiveState") == ["activating"]


@slow
@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGSEGV)", "manager.ready(); 1 / 0"])
def test_starts_again_after_a_crash(unit: Service, end: str) -> None:
    unit.install(end, system_unit(listening()))
    with contextlib.suppress(AssertionError):
        unit.start()
    unit.wait_for(lambda: int(unit.state("NRestarts")[0]) >= 1)


@slow
def test_wrong_options_are_not_tried_again(unit: Service) -> None:
    unit.install("sys.exit(2)", system_unit(listening()))
    with pytest.raises(AssertionError):
        unit.start()
    assert unit.state("ActiveState", "NRestarts") == ["failed", "0"]


@slow
def test_arguments_arrive_as_they_are(systemd: Systemd, unit: Service) -> None:
    folder = "".join(letter for letter in ODD if letter not in "\"'\\")  # which systemd refuses
    odd = Service(systemd, f"/run/{folder}/edge-genre")
    arguments = ("--device", ODD, "", "\n\t\x07", ";", "@x", "-", "a b", "$$", "%%", "é")
    text = system_unit(Listening(Path(odd.program), arguments))
    odd.install("say(argv=sys.argv); manager.ready(); serve()", text)
    odd.start()
    assert odd.values()["argv"] == [odd.program, "listen", *arguments]


_CONFINED = """
import grp, pathlib, socket
def works(action):
    try:
        action()
    except OSError as error:
        return error.strerror
    return True
def write(path):
    return works(lambda: pathlib.Path(path, "file").write_text("x"))
def number(path):
    with open(path, "rb"):
        pass
say(
    uid=os.getuid(),
    groups=[grp.getgrgid(group).gr_name for group in os.getgroups()],
    here=os.getcwd(),
    state=write("."),
    temporary=write("/tmp"),
    elsewhere=[write(path) for path in ("/etc", "/var/lib", "/usr", "/home", "/opt", "/run")],
    internet=works(lambda: socket.socket(socket.AF_INET)),
    local=works(lambda: socket.socket(socket.AF_UNIX)),
    null=works(lambda: number("/dev/null")),
    device=works(lambda: number("/run/device")),
    processor="processor" in pathlib.Path("/proc/cpuinfo").read_text(),
    privileges=works(lambda: os.setuid(0)),
    variable=os.environ.get("EDGE_GENRE_MQTT_PASSWORD"),
)
manager.ready(); serve()
"""


@pytest.fixture
def device(systemd: Systemd) -> None:
    """A device that everybody may read (as /dev/zero, but not one that every service may use)."""
    systemd.run("bash", "-c", "[ -e /run/device ] || mknod --mode=666 /run/device c 1 11")


@pytest.fixture
def variables(systemd: Systemd) -> None:
    folder = systemd.root / "etc/edge-genre"
    folder.mkdir(exist_ok=True)
    (folder / "environment").write_text("EDGE_GENRE_MQTT_PASSWORD=a b$c\n")
    (folder / "environment").chmod(0o600)


@slow
@pytest.mark.usefixtures("device", "variables")
def test_what_it_can_do_and_what_not(unit: Service, systemd: Systemd) -> None:
    unit.install(_CONFINED, system_unit(listening(history=Path("plays.db"))))
    unit.start()
    found = unit.values()
    assert found["uid"] > 60_000
    assert "audio" in found["groups"]
    assert found["here"] == "/var/lib/private/edge-genre"
    assert found["state"] is True
    assert found["temporary"] is True
    assert True not in found["elsewhere"]
    assert found["internet"] == "Address family not supported by protocol"
    assert found["local"] is True
    assert found["null"] is True
    assert found["device"] == "Operation not permitted"
    assert found["processor"] is True
    assert found["privileges"] == "Operation not permitted"
    assert found["variable"] == "a b$c"
    assert (systemd.root / "var/lib/private/edge-genre/file").read_text() == "x"
    assert not (systemd.root / "tmp/file").exists()


@slow
def test_account_and_broker(unit: Service) -> None:
    unit.install(_CONFINED, system_unit(listening(network=True), "daemon"))
    unit.start()
    found = unit.values()
    assert found["uid"] == 1
    assert set(found["groups"]) == {"audio", "daemon"}
    assert found["internet"] is True
    assert True not in found["elsewhere"]


@pytest.fixture
def read_only(systemd: Systemd) -> Iterator[None]:
    """A card that is never written to: /run alone takes files."""
    switch = "for folder in / /etc /home /tmp /var; do mount -o remount,bind,{} $folder; done"
    systemd.run("bash", "-c", switch.format("ro"))
    yield
    systemd.systemctl("stop", UNIT, check=False)
    systemd.run("bash", "-c", switch.format("rw"))


@slow
def test_read_only_root(unit: Service, request: pytest.FixtureRequest) -> None:
    unit.install(_CONFINED, system_unit(listening()))
    request.getfixturevalue("read_only")
    unit.start()
    found = unit.values()
    assert found["here"] == "/"
    assert True not in (found["state"], *found["elsewhere"])


@slow
def test_history_on_a_read_only_root(
    unit: Service, systemd: Systemd, request: pytest.FixtureRequest
) -> None:
    """One start on a root that can be written to, then a mount in the place of its folder."""
    unit.install(_CONFINED, system_unit(listening(history=Path("plays.db"))))
    unit.start()
    systemd.systemctl("stop", UNIT)
    request.getfixturevalue("read_only")
    with pytest.raises(AssertionError):
        systemd.run("touch", "/var/lib/private/edge-genre/file")
    folder = "/var/lib/private/edge-genre"
    systemd.run("mount", "-t", "tmpfs", "none", folder)
    (systemd.root / "run/said").write_text("")
    unit.start()
    found = unit.values()
    systemd.systemctl("stop", UNIT)
    assert found["state"] is True
    assert True not in found["elsewhere"]
    systemd.run("umount", folder)


_SERVICE = (str(PROGRAM), "service")


@slow
def test_installs_into_the_system(systemd: Systemd) -> None:
    beside = ("env", f"PYTHONPATH={PACKAGES}", *_SERVICE)
    systemd.run("rm", "-rf", f"/etc/systemd/system/{UNIT}", "/etc/edge-genre")
    said = systemd.run(*beside, "--install", "--", "--device", "USB").stderr
    assert "systemctl enable --now edge-genre" in said
    assert "listen --device USB" in systemd.systemctl("cat", UNIT)
    assert systemd.state("LoadState") == ["loaded"]
    systemd.systemctl("enable", UNIT)
    assert systemd.systemctl("is-enabled", UNIT).strip() == "enabled"
    mode = systemd.run("stat", "--format=%a %U", "/etc/edge-genre/environment").stdout
    assert mode.strip() == "600 root"
    refused = systemd.run(*beside, "--install", check=False)
    assert refused.returncode == 1
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("edge-genre: ")]
    assert "/etc/systemd/system/edge-genre.service: is there and differs: --force" in line
    systemd.run("rm", "-rf", f"/etc/systemd/system/{UNIT}.d")
    systemd.run(*beside, "--uninstall")
    assert systemd.state("LoadState") == ["not-found"]
    assert systemd.systemctl("is-enabled", UNIT, check=False).strip() != "enabled"


# A user's manager


@pytest.fixture(scope="module")
def session(systemd: Systemd) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs commands beside a user's manager, as that user."""
    variables = ("HOME=/home/daemon", "XDG_RUNTIME_DIR=/run/user/1", f"PYTHONPATH={PACKAGES}")
    path = "SYSTEMD_UNIT_PATH=/home/daemon/.config/systemd/user:/run/session"
    for folder in ("home/daemon", "run/user/1", "run/session"):
        (systemd.root / folder).mkdir(parents=True)
    systemd.run("chown", "daemon:", "/home/daemon", "/run/user/1")
    for name in _TARGETS:
        text = "[Unit]\nDefaultDependencies=no\n"
        (systemd.root / f"run/session/{name}.target").write_text(text)
    (systemd.root / "etc/systemd/system/session.service").write_text(
        "[Service]\nUser=daemon\nDelegate=yes\n"
        f"Environment={path} {' '.join(variables)}\n"
        "ExecStart=/lib/systemd/systemd --user --unit=test.target\n"
    )
    systemd.systemctl("daemon-reload")
    systemd.systemctl("start", "session")
    until = time.monotonic() + PATIENCE
    while not (systemd.root / "run/user/1/systemd/private").exists():
        assert time.monotonic() < until, systemd.systemctl("status", "session", check=False)
        time.sleep(0.05)

    def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        user = ["setpriv", "--reuid=1", "--regid=1", "--clear-groups"]
        return systemd.run(*user, "env", *variables, *command, check=check)

    return run


@slow
def test_session(
    systemd: Systemd, session: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    said = session(*_SERVICE, "--user", "--install", "--", "--device", "USB").stderr
    assert "systemctl --user enable --now edge-genre" in said
    assert "loginctl enable-linger" in said
    systemctl = ("systemctl", "--user", "--no-pager")
    assert "listen --device USB" in session(*systemctl, "cat", UNIT).stdout
    text = session_unit(listening())
    (systemd.root / f"home/daemon/.config/systemd/user/{UNIT}").write_text(text)
    Service(systemd).put(_CONFINED)
    (systemd.root / "run/said").chmod(0o666)
    more = systemd.root / f"home/daemon/.config/systemd/user/{UNIT}.d"
    more.mkdir()
    (more / "test.conf").write_text(_DROP_IN.format(more=""))
    session(*systemctl, "daemon-reload")
    session(*systemctl, "start", UNIT)
    found = Service(systemd).values()
    assert found["uid"] == 1
    assert found["here"] == "/home/daemon"
    assert found["state"] is True
    assert found["internet"] == "Address family not supported by protocol"
    assert found["privileges"] == "Operation not permitted"
    session(*systemctl, "stop", UNIT)
    state = session(*systemctl, "show", "--property=Result", UNIT).stdout
    assert state.strip() == "Result=success"


# The real thing


@pytest.fixture
def microphone(systemd: Systemd) -> None:
    """The demo clip as what ALSA's default device hears; it has no clock, and gives it at once."""
    samples, rate = soundfile.read(clip(), dtype="int16", always_2d=True)
    (systemd.root / "run/clip.raw").write_bytes(samples[:, 0].tobytes())
    (systemd.root / "etc/asound.conf").write_text(
        "pcm.clip { type file slave.pcm null file /dev/null infile /run/clip.raw format raw }\n"
        "pcm.!default { type plug slave { pcm clip format S16_LE "
        f"rate {rate} channels 1 }} }}\n"
    )


@slow
@pytest.mark.usefixtures("microphone")
@pytest.mark.alone
def test_listens_as_a_service(unit: Service, systemd: Systemd) -> None:
    """The unit as it is installed, the real program, PortAudio and ALSA; only no sound card."""
    require_system([package for package in sound() if package == "libportaudio2"])
    arguments = ("--hop", "0.5", "--history", "plays.db")
    text = system_unit(Listening(PROGRAM, arguments, history=Path("plays.db")))
    unit.install("", text, f"WatchdogSec=5\nEnvironment=PYTHONPATH={PACKAGES}")
    unit.start()
    unit.wait_for(lambda: unit.state("StatusText") != [""])
    time.sleep(7)  # longer than the watchdog waits
    assert unit.state("ActiveState", "NRestarts") == ["active", "0"]
    systemd.systemctl("stop", UNIT)
    assert unit.state("Result") == ["success"], unit.said()
    assert "Traceback" not in unit.said()
    database = "/var/lib/edge-genre/plays.db"
    program = f"import sqlite3; print(*sqlite3.connect({database!r}).execute('pragma quick_check'))"
    assert systemd.run(sys.executable, "-c", program).stdout == "('ok',)\n"


@slow
@pytest.mark.alone
def test_tells_the_manager(tmp_path: Path) -> None:
    """The real program, with the manager's socket in the hand of this test."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1500000"}
        process = subprocess.Popen(
            [PROGRAM, "listen", "--hop", "0.5", "--input", str(clip())],
            env={**os.environ, **environment, "PYTHONPATH": str(PACKAGES)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        heard: list[str] = []
        while heard.count("WATCHDOG=1") < 4:
            heard += manager.recv(4096).decode().splitlines()
        process.terminate()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0
        manager.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                heard += manager.recv(4096).decode().splitlines()
    assert heard[0] == "READY=1"
    assert any(line.startswith("STATUS=") for line in heard)
    assert heard[-1] == "STOPPING=1"
    assert "Traceback" not in errors
