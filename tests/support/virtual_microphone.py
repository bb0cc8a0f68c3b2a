"""A microphone without a sound card: a null sink of a private PulseAudio, as PortAudio hears it."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from tests.support.waiting import wait_for

_ASOUNDRC = """
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


def missing() -> list[str]:
    """Debian packages that are needed and not installed."""
    needed = {
        "libportaudio2": ctypes.util.find_library("portaudio"),
        "pulseaudio": shutil.which("pulseaudio"),
        "pulseaudio-utils": shutil.which("paplay"),
        "libasound2-plugins": next(Path("/usr/lib").glob("**/libasound_module_pcm_pulse.so"), None),
    }
    return [package for package, found in needed.items() if not found]


def no_microphone(folder: Path) -> dict[str, str]:
    """The environment of a process whose PortAudio finds no device, whatever the machine has.

    ``folder`` is an empty one, for its home. The ALSA configuration there knows no sound card, but
    one device that does not open: PortAudio aborts the process where it finds none to try.
    """
    configuration = folder / "alsa.conf"
    configuration.write_text("pcm.absent { type hw card 99 }\n")
    return {
        **os.environ,
        "HOME": str(folder),
        "ALSA_CONFIG_PATH": str(configuration),
        "PULSE_SERVER": f"unix:{folder / 'none'}",
    }


class VirtualMicrophone:
    """Use it as a context manager; ``env`` is the environment of a process that shall hear it.

    ``rate`` is that of PortAudio's default device there, so that PulseAudio resamples nothing: its
    quick resampler dulls the top bands, and the probabilities with them (by 0.1).
    """

    def __init__(self, rate: int = 44_100) -> None:
        self._rate = rate

    def __enter__(self) -> VirtualMicrophone:
        self._folder = tempfile.TemporaryDirectory(prefix="virtual-microphone-")
        home = Path(self._folder.name)
        socket = home / "socket"
        (home / ".asoundrc").write_text(_ASOUNDRC)
        self.env = {
            **os.environ,
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "PULSE_RUNTIME_PATH": str(home),
            "PULSE_SERVER": f"unix:{socket}",
        }
        self._socket = socket
        self._listener: subprocess.Popen[bytes] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        self._log = (home / "log").open("w+")
        try:
            self.plug_in()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.pull_out()
        self._log.close()
        self._folder.cleanup()

    def plug_in(self) -> None:
        """Let the device be there."""
        self._socket.unlink(missing_ok=True)
        sink = f"module-null-sink sink_name=vmic rate={self._rate} channels=1"
        native = f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"
        self._daemon = subprocess.Popen(
            [
                *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
                *("--disable-shm=yes", "--realtime=no", "--high-priority=no"),
                *("-L", native, "-L", sink),
            ],
            env=self.env,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._wait_for(self._daemon)
        self._pactl("set-default-source", "vmic.monitor")
        # A sink that nobody hears works in blocks of 2 s, and a new stream waits for the end of
        # one. A listener that stays keeps the blocks short; the recording waits for the first.
        self._listener = subprocess.Popen(
            ["parec", "--latency-msec=20", "--device=vmic.monitor"],
            env=self.env,
            stdout=subprocess.DEVNULL,
        )
        self._record(0.1)

    def pull_out(self) -> None:
        """Let the device be gone, in the middle of whatever is recorded from it."""
        for process in (self._listener, self._daemon):
            if process is not None:
                _stop(process)
        self._listener = self._daemon = None

    def play(self, path: Path) -> subprocess.Popen[bytes]:
        """Start playing a WAV, FLAC or Ogg file into the microphone; wait() for its end.

        Its first 10 ms may be silent: the sink is changing its block length.
        """
        return subprocess.Popen(["paplay", "--device=vmic", str(path)], env=self.env)

    def _wait_for(self, daemon: subprocess.Popen[bytes]) -> None:
        wait_for(lambda: self._socket.exists() or daemon.poll() is not None)
        if daemon.poll() is not None:
            self._log.seek(0)
            raise RuntimeError(f"PulseAudio did not start: {self._log.read()}")

    def _pactl(self, *arguments: str) -> None:
        subprocess.run(["pactl", *arguments], env=self.env, check=True, timeout=300)

    def _record(self, seconds: float) -> None:
        program = (
            "import sounddevice as s; "
            f"s.rec(int({seconds} * 44100), samplerate=44100, channels=1, blocking=True)"
        )
        subprocess.run([sys.executable, "-c", program], env=self.env, check=True, timeout=300)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
