"""`edge-genre service`: what it prints, installs, removes and refuses."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_genre.cli import main
from edge_genre.cli import service as command
from edge_genre.service import installer
from edge_genre.service.unit import UNIT
from tests.support.systemd import PROGRAM


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
        (("--", "--frontend", "levels=fe.json"), "fe.json: give its whole path"),
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
    for name in ("mine.tflite", "fe.json"):
        (tmp_path / name).touch()
    assert message in run(*arguments, code=2).stderr


def test_a_path_that_systemd_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "it's").mkdir()
    (tmp_path / "it's/edge-genre").touch()
    monkeypatch.setattr(installer.sysconfig, "get_path", lambda *_: str(tmp_path / "it's"))
    assert "quotes or backslashes" in error()


def test_a_closed_home_is_no_place_for_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pi/venv/bin/edge-genre"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    (tmp_path / "pi").chmod(0o700)
    monkeypatch.setattr(command, "own_program", lambda: program)
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
