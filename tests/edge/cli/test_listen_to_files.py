"""`edge-genre listen` without a microphone: to files and to raw PCM."""

import time
from pathlib import Path

import pytest
import soundfile

from tests.support.command_line import lines, run

RATE = 22_050


def test_listen_to_raw_pcm(folder: Path, model: Path) -> None:
    samples, rate = soundfile.read(folder / "a.wav", dtype="int16")
    arguments = ("listen", "--input", "-", "--rate", rate, "-m", model, "--hop", "0.5")
    result = run(*arguments, "--json", stdin=samples.tobytes())
    windows = lines(result.stdout)
    hop = 11 * 1024 / RATE
    assert [window["start"] for window in windows[:3]] == pytest.approx([0, hop, 2 * hop], abs=1e-3)
    assert len(windows) >= 12
    first = run(*arguments, "--seconds", "2", stdin=samples.tobytes())
    assert first.stdout.splitlines()[0].startswith(windows[0]["label"])
    assert "hop: 0.511 s" in first.stderr


def test_listen_to_a_file_as_if_live(folder: Path, model: Path) -> None:
    begin = time.monotonic()
    result = run("listen", "--input", folder / "a.wav", "-m", model, "--seconds", 2, "--json")
    assert time.monotonic() - begin > 1.9
    assert lines(result.stdout)[-1]["end"] == pytest.approx(2, abs=0.06)
