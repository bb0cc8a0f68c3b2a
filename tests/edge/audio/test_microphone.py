"""The microphone that other tests listen to: it records what is played, at once and whole."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.support.requirements import require_system
from tests.support.virtual_microphone import VirtualMicrophone, missing, no_microphone
from tests.support.waiting import on_time

pytestmark = pytest.mark.alone

SINK_RATE = 44_100
SECONDS = 2.0

# Arguments: rate, seconds, file. A line when the first block is there, with the wait for it.
RECORDER = """
import sys, time
import numpy as np
import sounddevice

rate, file = int(sys.argv[1]), sys.argv[3]
blocks, lost = [], 0
with sounddevice.InputStream(samplerate=rate, channels=1, dtype="float32") as stream:
    begin = time.monotonic()  # opening takes what the processor needs, which is not the point
    while sum(map(len, blocks)) < float(sys.argv[2]) * rate:
        block, overflowed = stream.read(512)
        blocks.append(block[:, 0].copy())
        lost += overflowed
        if len(blocks) == 1:
            print(time.monotonic() - begin, flush=True)
print(lost)
np.save(file, np.concatenate(blocks))
"""


@pytest.fixture(scope="module")
def microphone() -> Iterator[VirtualMicrophone]:
    require_system(missing())
    with VirtualMicrophone(SINK_RATE) as virtual:
        yield virtual


def chirp(rate: int) -> NDArray[np.float32]:
    """A tone that climbs from 100 to 2,000 Hz: every moment of it is unlike the others."""
    t = np.arange(round(SECONDS * rate)) / rate
    phase = 2 * np.pi * (100 * t + (2000 - 100) / (2 * SECONDS) * t**2)
    return (0.5 * np.sin(phase)).astype(np.float32)


def find(sound: NDArray[np.float32], recording: NDArray[np.float32]) -> int:
    """The sample of the recording at which the sound begins, by cross-correlation."""
    size = 1 << (len(sound) + len(recording)).bit_length()
    product = np.fft.rfft(recording, size) * np.conj(np.fft.rfft(sound, size))
    return int(np.argmax(np.fft.irfft(product, size)[: len(recording) - len(sound) + 1]))


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_recording_is_what_was_played(
    microphone: VirtualMicrophone, tmp_path: Path, rate: int
) -> None:
    played, recorded = tmp_path / "played.wav", tmp_path / "recorded.npy"
    soundfile.write(played, chirp(SINK_RATE), SINK_RATE, subtype="FLOAT")
    recorder = subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(rate), str(SECONDS + 1.5), str(recorded)],
        env=microphone.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert recorder.stdout is not None
    waited = recorder.stdout.readline()
    assert microphone.play(played).wait(timeout=300) == 0
    lost, errors = recorder.communicate(timeout=300)
    assert recorder.returncode == 0, errors
    on_time(float(waited) < 0.5, f"the first block came after {float(waited):.2f} s")
    on_time(int(lost) == 0, f"{lost.strip()} blocks were lost")

    expected, recording = chirp(rate), np.load(recorded)
    begin = find(expected, recording)
    found = recording[begin : begin + len(expected)]
    # The sink swallows a sound's first milliseconds; then nothing may be missing or moved.
    edge = rate // 50  # 20 ms
    if rate == SINK_RATE:
        off = np.abs(found[edge:] - expected[edge:]).max()
        on_time(off < 1e-4, f"off by {off:.1e}")
    for block in np.array_split(np.arange(edge, len(expected) - edge), 20):
        norms = np.linalg.norm(found[block]) * np.linalg.norm(expected[block])
        # PulseAudio's resampler moves the sound by a fraction of a sample.
        on_time(found[block] @ expected[block] > 0.95 * norms, "another sound than was played")


def query_devices(env: dict[str, str]) -> str:
    program = "import sounddevice; print([d['name'] for d in sounddevice.query_devices()])"
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return result.stdout.strip()


def test_no_microphone(microphone: VirtualMicrophone, tmp_path: Path) -> None:
    assert "default" in query_devices(microphone.env)
    silent = no_microphone(tmp_path)
    assert query_devices(silent) == "[]"
    # The ALSA configuration alone does it, with a sound server within reach.
    alsa = {"ALSA_CONFIG_PATH": silent["ALSA_CONFIG_PATH"]}
    assert query_devices(microphone.env | alsa) == "[]"


def test_processes_end(tmp_path: Path) -> None:
    require_system(missing())
    with VirtualMicrophone() as virtual:
        home = Path(virtual.env["HOME"])
        assert home.is_dir()
        alive = subprocess.run(["pactl", "info"], env=virtual.env, capture_output=True, check=False)
        assert alive.returncode == 0
    assert not home.exists()
    gone = subprocess.run(["pactl", "info"], env=virtual.env, capture_output=True, check=False)
    assert gone.returncode != 0
