"""The doctor outlives what it looks at, and looks at everything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_genre.model.bundled import bundled_models
from edge_genre.service import checks, doctor
from edge_genre.service.checks import BROKEN, OK, WARNING, Finding, Options
from tests.support.doctor import PACKAGES, look, only, pretend_engine
from tests.support.virtual_microphone import VirtualMicrophone


def test_the_others_are_looked_at_all_the_same(
    pretended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_engine(pretended, "import os; os.abort()")
    monkeypatch.setattr(checks, "bundled_models", lambda: [Path("tiny-gtzan.tflite")])
    seen: list[str] = []
    options = Options(recording=False)
    findings = list(doctor.examine(options, progress=seen.append))
    states = {(found.check, found.state) for found in findings}
    assert {("engine", BROKEN), ("engine", OK), ("model", BROKEN), ("machine", OK)} <= states
    assert "model tiny-gtzan.tflite" in seen
    assert any("SIGABRT" in found.found for found in findings)


def test_nothing_is_recorded_where_there_is_no_microphone(
    pretended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pretended / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.setattr(checks, "installed_engines", list)
    seen: list[str] = []
    list(doctor.examine(Options(), progress=seen.append))
    assert "microphone" in seen
    assert "recording" not in seen


def test_an_illegal_instruction(pretended: Path) -> None:
    pretend_engine(pretended, "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    found = only(look("engine", "ai-edge-litert"))
    assert found.state == BROKEN
    assert found.found == ("ai-edge-litert: its process was ended by SIGILL (Illegal instruction)")
    assert "another version" in found.advice


def test_portaudio_ends_the_process(pretended: Path) -> None:
    (pretended / "sounddevice.py").write_text("import os; os.abort()")
    found = only(look("microphone"))
    assert "SIGABRT" in found.found
    assert "libportaudio2" in found.advice


def test_a_check_that_hangs(pretended: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_engine(pretended, "import time; time.sleep(600)")
    monkeypatch.setattr(doctor, "_CHILD_SECONDS", 3.0)
    found = only(look("engine", "ai-edge-litert"))
    assert (found.state, found.found) == (BROKEN, "ai-edge-litert: was not done after 3 s")


def test_a_process_that_ends_early(pretended: Path) -> None:
    pretend_engine(pretended, "import sys; print('lost the plot', file=sys.stderr); sys.exit(7)")
    found = only(look("engine", "ai-edge-litert"))
    assert found.found == "ai-edge-litert: its process ended with exit code 7 (lost the plot)"


def test_where_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under QEMU's emulation of one process."""
    monkeypatch.setattr(sys, "executable", "/none")
    assert only(look("numpy")) == Finding("numpy", OK, np.__version__)


@pytest.mark.alone
def test_everything(hearing: VirtualMicrophone, tmp_path: Path) -> None:
    """The whole program, where nothing is broken."""
    program = "from edge_genre.cli.doctor import command; command()"
    result = subprocess.run(
        [sys.executable, "-c", program, "--json", "--history", str(tmp_path / "plays.db")],
        env={**os.environ, "PYTHONPATH": PACKAGES},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    findings = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0, findings
    assert all(list(found) == ["check", "state", "found", "advice"] for found in findings)
    checks = [found["check"] for found in findings]
    assert list(dict.fromkeys(checks))[:5] == "python numpy engine model portaudio".split()
    assert {"microphone", "recording", "machine", "disk"} <= set(checks)
    assert checks.count("model") == len(bundled_models())
    warnings = sum(found["state"] == WARNING for found in findings)
    assert result.stderr.startswith(f"0 broken, {warnings} warning")
