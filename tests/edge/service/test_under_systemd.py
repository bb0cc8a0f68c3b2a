"""The units, run by a real systemd: what the service can do, and how it comes back."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from edge_genre.demo import clip
from edge_genre.service.unit import UNIT, Listening, session_unit, system_unit
from tests.support.requirements import lacking, require_system
from tests.support.systemd import (
    DROP_IN,
    ODD,
    PACKAGES,
    PROGRAM,
    TARGETS,
    Service,
    Systemd,
    missing,
)
from tests.support.virtual_microphone import missing as sound
from tests.support.waiting import PATIENCE

# It needs namespaces, which are root's to make, and takes minutes.
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systemd]:
    require_system(missing())
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        reason = "systemd cannot be given namespaces of its own: only root may, if at all"
        lacking(reason)
    with Systemd(tmp_path_factory.mktemp("systemd")) as manager:
        yield manager


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


@pytest.fixture(scope="module")
def session(systemd: Systemd) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs commands beside a user's manager, as that user."""
    variables = ("HOME=/home/daemon", "XDG_RUNTIME_DIR=/run/user/1", f"PYTHONPATH={PACKAGES}")
    path = "SYSTEMD_UNIT_PATH=/home/daemon/.config/systemd/user:/run/session"
    for folder in ("home/daemon", "run/user/1", "run/session"):
        (systemd.root / folder).mkdir(parents=True)
    systemd.run("chown", "daemon:", "/home/daemon", "/run/user/1")
    for name in TARGETS:
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
    (more / "test.conf").write_text(DROP_IN.format(more=""))
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
