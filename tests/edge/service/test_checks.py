"""What the doctor's checks find wrong, and what they advise."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_genre.host.machine import Condition, Machine
from edge_genre.listening.playing import NowPlaying
from edge_genre.model.bundled import bundled_models
from edge_genre.outputs import Event
from edge_genre.outputs.history import History
from edge_genre.results import WindowResult
from edge_genre.service import checks, doctor
from edge_genre.service.checks import BROKEN, OK, WARNING, Finding, Options, closed_cards, machine
from tests.support.doctor import PACKAGES, look, only, pretend_engine
from tests.support.requirements import require_mounts, require_system
from tests.support.virtual_microphone import VirtualMicrophone, missing, no_microphone
from tests.support.waiting import on_time

RATE = 44_100


def test_engines_and_models_that_work() -> None:
    engine = only(look("engine", "ai-edge-litert"))
    assert engine.state == OK
    assert engine.found.startswith("ai-edge-litert ")
    model = only(look("model", "tiny-gtzan.onnx"))
    assert model.state == OK
    assert model.found.startswith("tiny-gtzan.onnx: self-test passed, difference ")
    assert only(look("numpy")) == Finding("numpy", OK, np.__version__)


def test_an_engine_that_answers_wrongly(pretended: Path) -> None:
    body = """
from ai_edge_litert.interpreter import Interpreter as Right
class Interpreter(Right):
    def get_tensor(self, index):
        print("a library may print, too")
        return super().get_tensor(index)[..., ::-1].copy()
"""
    pretend_engine(pretended, body, "tflite_runtime")
    found = only(look("engine", "tflite-runtime"))
    assert found.state == BROKEN
    assert "self-test failed with tflite-runtime" in found.found


def test_no_numpy(pretended: Path) -> None:
    (pretended / "numpy.py").write_text(
        "raise ImportError('libopenblas.so.0: cannot open shared object file')"
    )
    found = only(look("numpy"))
    assert (found.state, found.advice) == (BROKEN, "sudo apt install libopenblas0")
    found = only(look("engine", "ai-edge-litert"))
    assert found.state == BROKEN
    assert "libopenblas" in found.found


def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_is_installed", lambda name: False)
    findings = list(doctor._guarded("engines", "", Options()))
    assert [found.state for found in findings] == [BROKEN, OK]
    assert "pip install ai-edge-litert" in findings[0].advice
    assert checks.installed_engines() == []
    assert checks.runnable_models() == []


def test_tensorflow_only_where_it_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"ai-edge-litert", "tensorflow"}
    monkeypatch.setattr(checks, "_is_installed", lambda name: name in names)
    assert checks.installed_engines() == ["ai-edge-litert"]
    names.remove("ai-edge-litert")
    assert checks.installed_engines() == ["tensorflow"]
    assert checks.runnable_models() == [
        path.name for path in bundled_models() if path.suffix == ".tflite"
    ]


@pytest.mark.alone
def test_devices_and_rates(hearing: VirtualMicrophone) -> None:
    findings = look("microphone")
    assert {found.state for found in findings} == {OK}
    assert findings[0].check == "portaudio"
    assert "PortAudio V19" in findings[0].found
    chosen = only([found for found in findings if found.check == "microphone"])
    assert ": default (ALSA)" in chosen.found
    assert "44100" in chosen.found
    assert "48000" in chosen.found
    _, other = look("microphone", device="gramophone")
    assert other.state == BROKEN
    assert "'gramophone' is no input device" in other.found


def sine(level: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """A minute of a tone with a level in dBFS; above -3, it is clipped."""
    t = np.arange(60 * RATE) / RATE
    return np.clip(np.sqrt(2) * 10 ** (level / 20) * np.sin(2 * np.pi * 440 * t), -1, 1)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("level", "state", "said", "advice"),
    [
        (-20.0, OK, "-20.0 dBFS", ""),
        (-75.0, WARNING, "below -60 dBFS it counts as silence", "raise the capture level"),
        (3.0, WARNING, "of it is clipped", "lower the capture level"),
        (None, WARNING, "digital silence", "is it muted"),
    ],
)
def test_recording(
    hearing: VirtualMicrophone,
    tmp_path: Path,
    level: float | None,
    state: str,
    said: str,
    advice: str,
) -> None:
    path = tmp_path / "tone.wav"
    player = None
    if level is not None:
        soundfile.write(path, sine(level), RATE, subtype="FLOAT")
        player = hearing.play(path)
        time.sleep(0.5)
    found = only(look("recording"))
    if player is not None:
        player.kill()
        player.wait()
    assert found.found.startswith(f"a second at {RATE} Hz")
    # A sound server without a processor plays silence in between.
    on_time(found.state == state and said in found.found, found.found)
    assert advice in found.advice


def test_no_microphone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_system([package for package in missing() if package == "libportaudio2"])
    for name, value in no_microphone(tmp_path).items():
        monkeypatch.setenv(name, value)
    portaudio, found = look("microphone")
    assert portaudio.state == OK
    assert (found.check, found.state, found.found) == ("microphone", BROKEN, "none found")
    assert "plug one in" in found.advice


def test_portaudio_is_not_installed(pretended: Path) -> None:
    (pretended / "sitecustomize.py").write_text(
        "import ctypes.util; ctypes.util.find_library = lambda name: None\n"
    )
    found = only(look("microphone"))
    assert found.state == BROKEN
    assert "apt install libportaudio2" in found.found


def test_sound_cards_of_another_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pcmC1D0c", "pcmC0D0p", "controlC1"):
        (tmp_path / name).touch()
    assert list(closed_cards(tmp_path)) == []
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = only(list(closed_cards(tmp_path)))
    assert found.state == WARNING
    assert found.found.startswith("pcmC1D0c in ")
    assert "usermod -aG audio" in found.advice


PI = Machine(
    board="Raspberry Pi 4 Model B Rev 1.4",
    cpu="Cortex-A72",
    cores=4,
    virtual=False,
    memory_mb=4000,
    system="Debian GNU/Linux 12 (bookworm), Linux 6.6 aarch64",
    python="3.11.2",
    packages={},
    emulated="",
    accelerator="",
)


WELL = Condition(
    time="2026-01-01T00:00:00+00:00",
    governor="ondemand",
    celsius=48.2,
    throttled=(),
    was_throttled=(),
    slowed=None,
    load=0.1,
)


def test_a_machine_that_is_well() -> None:
    findings = list(machine(PI, WELL))
    assert {found.state for found in findings} == {OK}
    assert findings[0].found.startswith("Raspberry Pi 4 Model B Rev 1.4, Cortex-A72, 4 cores")
    assert [found.found for found in findings[1:]] == [
        "governor ondemand",
        "48 °C",
        "others keep 0.1 of 4 cores busy",
    ]
    unknown = replace(WELL, governor=None, celsius=None, load=None)
    assert [found.check for found in machine(PI, unknown)] == ["machine"]


@pytest.mark.parametrize(
    ("change", "check", "said", "advice"),
    [
        ({"governor": "powersave"}, "clock", "powersave keeps it slow", "scaling_governor"),
        ({"throttled": ("under-voltage",)}, "power", "reports under-voltage", "power supply"),
        ({"was_throttled": ("throttled",)}, "power", "has reported throttled since", "cool it"),
        ({"celsius": 82.0}, "heat", "82 °C", "heat sink"),
        ({"load": 3.9}, "load", "others keep 3.9 of 4 cores busy", "top"),
    ],
)
def test_a_machine_that_is_not(
    change: dict[str, object], check: str, said: str, advice: str
) -> None:
    findings = machine(PI, replace(WELL, **change))  # type: ignore[arg-type]
    found = only([found for found in findings if found.state != OK])
    assert (found.check, found.state) == (check, WARNING)
    assert said in found.found
    assert advice in found.advice


def test_the_governor_of_a_pc() -> None:
    """intel_pstate's powersave goes by the load."""
    pc = replace(PI, board="")
    assert {found.state for found in machine(pc, replace(WELL, governor="powersave"))} == {OK}


_MOUNT = """
set -e
mount -t tmpfs -o "$1" none "$2"
cd "$2"
[ -z "$3" ] || head --bytes="$3" /dev/zero >file
exec "$4" -m edge_genre.service.doctor disk "" "{\\"history\\": \\"$2/plays.db\\"}"
"""


def in_mount(options: str, folder: Path, fill: str = "") -> Finding:
    """The disk's check on a file system of its own."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    if not user:
        require_mounts()
    result = subprocess.run(
        [
            "unshare",
            *user,
            "--mount",
            "sh",
            "-c",
            _MOUNT,
            "sh",
            options,
            folder,
            fill,
            sys.executable,
        ],
        env={**os.environ, "PYTHONPATH": PACKAGES},
        capture_output=True,
        text=True,
        check=False,
    )
    if user and result.returncode:
        pytest.skip(f"only root may mount here: {result.stderr}")
    return Finding(**json.loads(result.stdout))


def test_read_only_disk(tmp_path: Path) -> None:
    found = in_mount("ro", tmp_path)
    assert found.state == BROKEN
    assert found.found == f"{tmp_path}: cannot be written (Read-only file system)"
    assert "without --history" in found.advice


def test_full_disk(tmp_path: Path) -> None:
    found = in_mount("size=8k", tmp_path, fill="8k")
    assert found.state == BROKEN
    assert "No space left on device" in found.found
    assert "make room" in found.advice


def test_little_space(tmp_path: Path) -> None:
    assert in_mount("size=100m", tmp_path).state == WARNING
    assert in_mount("size=5m", tmp_path).state == BROKEN


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    found = only(look("disk", history=str(tmp_path / "none/plays.db")))
    assert (found.state, found.advice) == (BROKEN, "make the folder, or mount it")


def test_where_no_history_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = only(look("disk"))
    assert found.state == OK
    assert found.found.startswith(f"{tmp_path}: ")
    assert list(tmp_path.iterdir()) == []


def a_history(path: Path) -> None:
    history, playing = History(path, model="test"), NowPlaying()
    for second in range(10):
        result = WindowResult(
            start=float(second),
            end=second + 3.0,
            labels=("jazz",),
            probabilities={"jazz": 0.9, "rock": 0.1},
            level_dbfs=-20.0,
            front_end_ms=1.0,
            inference_ms=1.0,
        )
        history.write(Event(datetime.now(UTC), result, playing.update(result)))
    history.close()


def test_a_history_that_is_whole(tmp_path: Path) -> None:
    a_history(tmp_path / "plays.db")
    disk, found = look("disk", history=str(tmp_path / "plays.db"))
    assert disk.state == OK
    assert (found.state, found.found) == (OK, f"{tmp_path / 'plays.db'}: whole, plays: 1")


@pytest.mark.parametrize("kind", ["damaged", "no database", "another's"])
def test_a_history_that_is_not(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "plays.db"
    if kind == "damaged":
        a_history(path)
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xff" * len(content[4096:])
        path.write_bytes(content)
    elif kind == "no database":
        path.write_text("a shopping list, which is long enough to have a header of 100 bytes" * 3)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE songs (name TEXT)")
    _, found = look("disk", history=str(path))
    assert found.state == BROKEN
    assert str(path) in found.found
