"""`edge-genre doctor`: what it prints, and when it fails."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from edge_genre.cli import main
from edge_genre.service import doctor
from edge_genre.service.checks import BROKEN, OK, WARNING, Finding, Options


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    found = [
        Finding("python", OK, "3.11"),
        Finding("clock", WARNING, "slow", "wind it up"),
        Finding("disk", BROKEN, "gone", "buy [one]"),
    ]
    monkeypatch.setattr(doctor, "examine", lambda options, progress: iter(found))
    return found


def test_prints_lines_and_fails(findings: list[Finding]) -> None:
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    rows = [line.rstrip() for line in result.stdout.splitlines()]
    assert rows == [
        "ok       python      3.11",
        "warning  clock       slow",
        "                     -> wind it up",
        "broken   disk        gone",
        "                     -> buy [one]",
    ]
    assert result.stderr == "1 broken, 1 warning\n"


def test_prints_json(findings: list[Finding]) -> None:
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines == [found.to_dict() for found in findings]


def test_warnings_are_no_failure(findings: list[Finding]) -> None:
    del findings[2]
    result = CliRunner().invoke(main, ["doctor"])
    assert (result.exit_code, result.stderr) == (0, "0 broken, 1 warning\n")


def test_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Options] = []
    monkeypatch.setattr(doctor, "examine", lambda options, progress: seen.append(options) or [])
    monkeypatch.setenv("EDGE_GENRE_DEVICE", "USB")
    arguments = ["--history", "plays.db", "--no-recording"]
    assert CliRunner().invoke(main, ["doctor", *arguments]).exit_code == 0
    assert seen == [Options(device="USB", history="plays.db", recording=False)]


def test_nothing_heavy_is_loaded() -> None:
    program = (
        "import sys, edge_genre.service.doctor, edge_genre.cli.doctor as d; d.command(['--help'], "
    )
    program += "standalone_mode=False); print([n for n in ('numpy', 'rich') if n in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"
