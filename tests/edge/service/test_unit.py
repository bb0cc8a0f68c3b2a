"""The units, judged by systemd's own tools."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_genre.service.unit import UNIT, Listening, session_unit, system_unit
from tests.support.requirements import require_system
from tests.support.systemd import ODD, PROGRAM, missing

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
