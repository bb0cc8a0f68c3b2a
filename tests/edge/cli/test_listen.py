"""`edge-genre listen` on a microphone, in real time, and where there is none."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_genre import Classifier
from edge_genre.audio.file import AudioFile
from edge_genre.demo import clip
from edge_genre.results import SILENCE
from tests.support.requirements import require_system
from tests.support.virtual_microphone import VirtualMicrophone, missing
from tests.support.waiting import on_time

pytestmark = pytest.mark.alone

PROGRAM = str(Path(sys.executable).with_name("edge-genre"))


@pytest.fixture(scope="module")
def microphone() -> Iterator[VirtualMicrophone]:
    require_system(missing())
    with VirtualMicrophone() as virtual:
        yield virtual


@pytest.mark.parametrize(
    "minutes", [pytest.param(0, id="a clip"), pytest.param(5, marks=pytest.mark.slow)]
)
def test_labels_agree_with_classify(
    microphone: VirtualMicrophone, tmp_path: Path, minutes: int, report: Any
) -> None:
    """A clip that is played into the microphone, against the same clip as a file."""
    with AudioFile(clip()) as file:
        samples, rate = np.concatenate(list(file.blocks())), file.rate
    played = tmp_path / "played.wav"
    soundfile.write(played, np.resize(samples, max(len(samples), minutes * 60 * rate)), rate)
    classifier = Classifier.load()
    hop = classifier.round_hop(0.5)
    song = classifier.classify_file(played, hop=hop)
    seconds = song.duration + 7
    process = subprocess.Popen(
        [PROGRAM, "listen", "--json", "--hop", "0.5", "--seconds", str(seconds)],
        env=microphone.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()  # a window has been heard: the stream is running
    player = microphone.play(played)
    rest, errors = process.communicate(timeout=seconds + 40)
    assert player.wait(timeout=300) == 0
    assert process.returncode == 0, errors
    windows = [json.loads(line) for line in (first + rest).splitlines()]

    assert windows[0]["label"] == SILENCE
    lost = sum(window["dropped_samples"] + window["skipped_windows"] for window in windows)
    assert (lost > 0) == ("lost audio" in errors), "what is lost is said"
    on_time(lost == 0, f"{errors.count('lost audio')} times audio was lost")
    starts = [window["start"] for window in windows]
    # The last one ends with the audio, wherever that is.
    np.testing.assert_allclose(np.diff(starts[:-1]), hop, atol=2e-3)

    # Windows that hold nothing but the clip are as loud as its own.
    quietest = min(window.level_dbfs for window in song.windows)
    heard = [window for window in windows if window["level_dbfs"] > quietest - 0.2]
    assert len(heard) >= 0.7 * len(song.windows)
    # The same share of windows has the song's genre: they do not begin where the file's begin.
    agreeing = sum(window["label"] == song.label for window in heard) / len(heard)
    of_file = sum(window.label == song.label for window in song.windows) / len(song.windows)
    mean = np.mean([list(window["probabilities"].values()) for window in heard], axis=0)
    rows = [window.probabilities for window in song.windows if window.probabilities]
    expected = np.mean([list(row.values()) for row in rows], axis=0)
    report(
        f"{seconds:.0f} s in real time, nothing lost; listen: {agreeing:.0%} of {len(heard)} "
        f"windows {song.label}, classify: {of_file:.0%}; "
        f"largest difference of a mean probability {np.abs(mean - expected).max():.3f}"
    )
    assert abs(agreeing - of_file) < 0.15
    assert heard[-1]["playing"]["label"] == song.label
    assert np.abs(mean - expected).max() < 0.05


def test_pulled_out_and_plugged_in_again(microphone: VirtualMicrophone) -> None:
    """The device is lost in mid-run and comes back: said, counted, and no restart."""
    process = subprocess.Popen(
        [PROGRAM, "listen", "--json", "--hop", "0.5", "--seconds", "12"],
        env=microphone.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    microphone.pull_out()
    time.sleep(3)
    microphone.plug_in()
    player = microphone.play(clip())
    rest, errors = process.communicate(timeout=300)
    player.wait()
    assert process.returncode == 0, errors
    windows = [json.loads(line) for line in (first + rest).splitlines()]
    said = errors.splitlines()
    assert any("waiting for it to come back" in line for line in said)
    on_time(any("is back after" in line for line in said), "not back after 12 s")
    dropped = [window["dropped_samples"] for window in windows]
    gap = max(dropped)
    (after,) = np.flatnonzero(np.array(dropped) == gap)
    assert gap > 2 * 44_100
    # Time went on, and no window holds sound from both sides.
    assert windows[after]["start"] >= windows[after - 1]["end"] + gap / 44_100 - 0.6
    heard = [window["label"] for window in windows[after:] if window["label"] != SILENCE]
    on_time(len(heard) >= 5, f"{len(heard)} windows heard again")


def test_python_api(microphone: VirtualMicrophone) -> None:
    program = """
from edge_genre import Classifier
for window in Classifier.load().listen(hop=0.5):
    print(window.label, window.start)
    if window.start > 0.9:
        break
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=microphone.env,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert len(result.stdout.splitlines()) == 3


def test_devices(microphone: VirtualMicrophone) -> None:
    result = subprocess.run(
        [PROGRAM, "devices", "--json"],
        env=microphone.env,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [device["name"] for device in found if device["default"]] == ["default"]
    assert all(device["rate"] > 0 and device["channels"] > 0 for device in found)


def test_unknown_device(microphone: VirtualMicrophone) -> None:
    result = subprocess.run(
        [PROGRAM, "listen"],
        env=microphone.env | {"EDGE_GENRE_DEVICE": "gramophone"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 1
    assert "device 'gramophone' is no input device; there are" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["listen", "devices"])
def test_no_microphone(tmp_path: Path, command: str) -> None:
    """No sound card and no sound server: one line, exit 1."""
    require_system([package for package in missing() if package == "libportaudio2"])
    if (
        Path("/proc/asound/cards").exists()
        and "no soundcards" not in Path("/proc/asound/cards").read_text()
    ):
        pytest.skip("this machine has a sound card")
    result = subprocess.run(
        [PROGRAM, command],
        env={**os.environ, "HOME": str(tmp_path), "PULSE_SERVER": "unix:/nonexistent"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("edge-genre: no microphone found")


@pytest.mark.parametrize("command", ["listen", "devices"])
def test_portaudio_is_not_installed(tmp_path: Path, command: str) -> None:
    """What to install is said, and everything else works without it."""
    # sounddevice looks for the library through ctypes.util.find_library.
    (tmp_path / "sitecustomize.py").write_text(
        "import ctypes.util; ctypes.util.find_library = lambda name: None\n"
    )
    for arguments, code, text in (
        ([command], 1, "apt install libportaudio2"),
        (["classify", str(clip())], 0, ""),
    ):
        result = subprocess.run(
            [PROGRAM, *arguments],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == code, result.stderr
        assert text in result.stderr
        assert "Traceback" not in result.stderr
