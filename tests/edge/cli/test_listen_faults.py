"""What befalls `edge-genre listen` in weeks on a shelf: the whole program, and what it says.

It hears a microphone that has no clock, so that minutes of audio take seconds. Where a fault has
to be made inside of it, the program is started by a line of Python that makes it.
"""

import contextlib
import json
import os
import select
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_genre.audio.file import AudioFile
from edge_genre.demo import clip
from edge_genre.results import SILENCE
from tests.support.fed_microphone import RATE, FedMicrophone
from tests.support.mosquitto import Mosquitto
from tests.support.mosquitto import missing as broker_missing
from tests.support.requirements import require_mounts, require_system
from tests.support.virtual_microphone import missing as sound_missing
from tests.support.waiting import PATIENCE, on_time, wait_for

pytestmark = pytest.mark.alone

PROGRAM = "from edge_genre.cli import main; main()"
# A history that is written often, as it would be in a long time.
OFTEN = "import edge_genre.outputs.history as h; h.History.__init__.__kwdefaults__['pace'] = 0.05; "
OFTEN += "h._RETRY_SECONDS = 0.05; "
HOP = 1.0


class Listening:
    """`edge-genre listen --json` in a process of its own, and what it prints.

    Parameters
    ----------
    microphone : that it hears
    options : more of them
    fault : Python that runs before the program
    """

    def __init__(self, microphone: FedMicrophone, *options: object, fault: str = "") -> None:
        self.microphone = microphone
        self.windows: list[dict[str, Any]] = []
        self.arrived: list[float] = []
        self.said: list[str] = []
        words = ["listen", "--json", "--hop", str(HOP), *map(str, options)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", fault + PROGRAM, *words],
            env=microphone.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._window)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.said.append)),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: Any, take: Callable[[str], None]) -> None:
        for line in stream:
            take(line.rstrip("\n"))

    def _window(self, line: str) -> None:
        self.windows.append(json.loads(line))
        self.arrived.append(time.monotonic())

    @property
    def heard(self) -> float:
        """Seconds of audio that the newest window ends at."""
        return float(self.windows[-1]["end"]) if self.windows else 0.0

    def hear(self, seconds: float) -> None:
        """Let it hear so much more, as fast as it classifies."""
        until = self.microphone.given / RATE + seconds
        while (self.microphone.given + self.microphone.block) / RATE < until:
            # Not as far as the window after, so that it is never late.
            ahead = max(3.0 - HOP, self.heard) + HOP + 0.9
            self.microphone.give(int(min(until, ahead) * RATE))
            assert self.process.poll() is None, self.said
            time.sleep(0.001)
        wait_for(lambda: self.heard > until - HOP - 0.5)

    def rush(self, seconds: float) -> None:
        """Let it hear so much more at once, whatever becomes of it."""
        self.microphone.give(int((self.microphone.given / RATE + seconds) * RATE))

    def rush_block(self) -> None:
        """Let it hear one block more."""
        self.microphone.give(self.microphone.given + self.microphone.block)

    def terminate(self, *, silent: bool = False) -> float:
        """Send SIGTERM; return the seconds that it took to end. A silent device gives nothing."""
        begin = time.monotonic()
        self.process.terminate()
        while self.process.poll() is None and time.monotonic() < begin + PATIENCE:
            if not self.microphone.full and not silent:
                self.rush_block()
            time.sleep(0.01)
        took = time.monotonic() - begin
        assert self.process.poll() == 0, self.said
        self.join()
        return took

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.join()

    def join(self) -> None:
        for reader in self._readers:
            reader.join()
        assert not any("Traceback" in line for line in self.said), self.said


@pytest.fixture(scope="module")
def music() -> NDArray[np.float32]:
    with AudioFile(clip()) as file:
        return np.concatenate(list(file.blocks()))


@pytest.fixture
def microphone(music: NDArray[np.float32]) -> Iterator[FedMicrophone]:
    require_system([package for package in sound_missing() if package == "libportaudio2"])
    with FedMicrophone(music, hop=HOP) as fed:
        yield fed


@pytest.fixture
def listen(microphone: FedMicrophone) -> Iterator[Callable[..., Listening]]:
    started: list[Listening] = []

    def start(*options: object, fault: str = "") -> Listening:
        started.append(Listening(microphone, *options, fault=fault))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


def plays(path: Path) -> list[dict[str, Any]]:
    """What is in a history, after it has been checked."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        return [dict(row) for row in connection.execute("SELECT * FROM plays ORDER BY id")]


def stored(path: Path) -> int:
    """Windows in a history so far; 0 while there is none."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as found:
        return int(found.execute("SELECT sum(windows) FROM plays").fetchone()[0] or 0)
    return 0


def ends_within(seconds: float, took: float) -> None:
    on_time(took < seconds, f"ended {took:.2f} s after SIGTERM")


def test_busy_device(tmp_path: Path) -> None:
    """PortAudio leaves out a card that another program holds; the kernel knows which that is."""
    require_system([package for package in sound_missing() if package == "libportaudio2"])
    status = tmp_path / "proc/asound/card1/pcm0c/sub0/status"
    status.parent.mkdir(parents=True)
    status.write_text("state: RUNNING\nowner_pid   : 4711\ntrigger_time: 1.0\n")
    (tmp_path / "proc/4711").mkdir()
    (tmp_path / "proc/4711/comm").write_text("arecord\n")
    (tmp_path / ".asoundrc").write_text("pcm.!default { type hw card 99 }\n")
    fault = (
        "import pathlib, edge_genre.audio.microphone as m; "
        f"m._PROC = pathlib.Path({str(tmp_path / 'proc')!r}); "
    )
    result = subprocess.run(
        [sys.executable, "-c", fault + PROGRAM, "listen"],
        env={**os.environ, "HOME": str(tmp_path), "PULSE_SERVER": "unix:/nonexistent"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith(
        "; arecord (process 4711) has card 1: stop that, or choose its sound server"
    )


def test_overrun_storm(
    listen: Callable[..., Listening], report: Callable[[str], None], tmp_path: Path
) -> None:
    """Ten minutes of audio come while a single window is classified, and later as they should."""
    history, held = tmp_path / "plays.db", tmp_path / "held"
    # However fast a machine is, classifying stands still while the file is there.
    fault = (
        "import os, time, edge_genre.classifier as c; run = c.Classifier.run\n"
        "def waiting(*a):\n"
        f"    while os.path.exists({str(held)!r}): time.sleep(0.01)\n"
        "    return run(*a)\n"
        "c.Classifier.run = waiting\n"
    )
    listening = listen("--history", history, fault=fault)
    listening.hear(20)
    before = len(listening.windows)
    held.touch()
    listening.rush(600)
    held.unlink()
    # It is over once a window comes that is of later sound alone.
    quiet = listening.microphone.given / RATE + 3.0
    while listening.heard < quiet:
        listening.rush(0.5)
        time.sleep(0.2)
        assert listening.microphone.given / RATE < quiet + 60
    storm = listening.windows[before:]
    dropped = sum(window["dropped_samples"] for window in storm)
    skipped = sum(window["skipped_windows"] for window in storm)
    report(
        f"ten minutes at once: {dropped / RATE:.0f} s dropped, {skipped} windows skipped and said"
    )
    assert dropped > 60 * RATE
    assert skipped > 0
    listening.hear(30)
    later = listening.windows[-25:]
    assert sum(window["dropped_samples"] for window in later) == 0
    # No time is lost: what was dropped counts.
    assert listening.heard == pytest.approx(listening.microphone.given / RATE, abs=HOP + 0.5)
    listening.terminate()
    assert sum(play["windows"] for play in plays(history)) >= len(listening.windows) - 1


def test_slow_inference(listen: Callable[..., Listening], report: Callable[[str], None]) -> None:
    """Classifying takes two hops and a half: windows are left out, and results stay fresh."""
    fault = (
        "import time, edge_genre.classifier as c; run = c.Classifier.run; "
        "c.Classifier.run = lambda *a: (time.sleep(2.5), run(*a))[1]; "
    )
    listening = listen(fault=fault)
    begin = None
    while len(listening.windows) < 6:
        if begin is None and listening.microphone.full:
            begin = time.monotonic() - listening.microphone.given / RATE
        # In real time, from when it has begun to listen.
        now = 1e9 if begin is None else time.monotonic() - begin
        if not listening.microphone.full and listening.microphone.given / RATE < now:
            listening.rush_block()
        time.sleep(0.01)
        assert listening.process.poll() is None, listening.said
    assert begin is not None
    late = [
        arrived - begin - window["end"]
        for arrived, window in zip(listening.arrived, listening.windows, strict=False)
    ]
    skipped = [window["skipped_windows"] for window in listening.windows[2:]]
    report(f"2.5 s a window, one a second: {max(late[2:]):.1f} s late at most")
    dropped = sum(window["dropped_samples"] for window in listening.windows)
    on_time(all(1 <= count <= 3 for count in skipped), f"windows skipped: {skipped}")
    on_time(dropped == 0, f"{dropped} samples dropped")
    # What waits in the pipe and in blocks included.
    on_time(max(late[2:]) < 2.5 + HOP + 2.0, f"{max(late[2:]):.1f} s late")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    require_system(broker_missing())
    mosquitto = Mosquitto(tmp_path, "allow_anonymous true")
    mosquitto.start()
    yield mosquitto
    mosquitto.kill()


def test_broker_is_killed_and_started_again(
    listen: Callable[..., Listening], broker: Mosquitto
) -> None:
    """A broker that keeps nothing on its disk has everything again, and the newest state."""
    listening = listen(
        "--mqtt", f"mqtt://127.0.0.1:{broker.port}/music", "--smooth", "0", "--hold", "0"
    )
    listening.hear(10)
    wait_for(broker.state)
    before = broker.retained("#")
    broker.kill()
    listening.hear(300)
    assert sum(window["dropped_samples"] for window in listening.windows) == 0
    broker.start()
    wait_for(lambda: broker.word("music/availability") == "online")
    newest = listening.windows[-1]
    labels = [window["playing"]["label"] for window in listening.windows]
    changes = sum(a != b for a, b in pairwise(labels))
    assert changes > 10
    wait_for(lambda: (broker.state() or {}).get("playing", {}).get("label") == labels[-1])
    state = broker.state()
    assert state is not None
    assert {name: state[name] for name in ("label", "end")} == {
        name: newest[name] for name in ("label", "end")
    }
    assert set(broker.retained("#")) == set(before)
    back = next(line for line in listening.said if "states were dropped" in line)
    # One state waits, the others of the time without a broker are counted.
    assert 5 < int(back.split("; ")[1].split()[0]) <= changes
    ends_within(1.0, listening.terminate())
    assert broker.word("music/availability") == "offline"


def test_sigterm(listen: Callable[..., Listening], broker: Mosquitto, tmp_path: Path) -> None:
    history = tmp_path / "plays.db"
    listening = listen(*("--history", history, "--mqtt", f"mqtt://127.0.0.1:{broker.port}/music"))
    listening.hear(30)
    wait_for(broker.state)
    listening.rush_block()
    ends_within(1.0, listening.terminate())
    assert sum(play["windows"] for play in plays(history)) >= len(listening.windows) - 1
    assert not history.with_name("plays.db-wal").exists()
    assert broker.word("music/availability") == "offline"


def test_sigterm_while_the_device_hangs(listen: Callable[..., Listening], tmp_path: Path) -> None:
    """PortAudio waits for its thread, and that for the device, which gives nothing any more."""
    history = tmp_path / "plays.db"
    listening = listen("--history", history)
    listening.hear(20)
    ends_within(1.5, listening.terminate(silent=True))
    assert sum(play["windows"] for play in plays(history)) >= len(listening.windows) - 1


def test_sigkill(listen: Callable[..., Listening], tmp_path: Path) -> None:
    """The history is whole, and the next start goes on with it."""
    history = tmp_path / "plays.db"
    heard = []
    for _ in range(3):
        listening = listen("--history", history, fault=OFTEN)
        listening.microphone.given = 0
        listening.hear(40)
        heard.append(len(listening.windows))
        wait_for(lambda: stored(history) >= sum(heard))
        listening.kill()
    found = plays(history)
    runs = list(dict.fromkeys(play["run"] for play in found))
    assert len(runs) == 3
    assert [sum(p["windows"] for p in found if p["run"] == run) for run in runs] == heard


@pytest.mark.parametrize("jump", [-90_000, 90_000])
def test_clock_jumps(listen: Callable[..., Listening], tmp_path: Path, jump: int) -> None:
    """The wall clock is set by a day: no play is longer or shorter for it."""
    history = tmp_path / "plays.db"
    fault = (
        "import datetime as d, itertools, edge_genre.listening.events as l; n = itertools.count(); "
        f"l.events.__kwdefaults__['clock'] = lambda: d.datetime.now().astimezone() + "
        f"d.timedelta(seconds={jump} * (next(n) >= 40)); "
    )
    listening = listen("--history", history, fault=fault)
    listening.hear(90)
    ends = [window["end"] for window in listening.windows]
    assert np.diff(ends) == pytest.approx(np.full(len(ends) - 1, np.diff(ends)[0]), abs=2e-3)
    assert len({window["time"][:10] for window in listening.windows}) == 2
    listening.terminate()
    found = plays(history)
    assert sum(play["seconds"] for play in found) == pytest.approx(ends[-1], abs=HOP + 0.1)
    labels = [window["playing"]["label"] for window in listening.windows]
    assert len(found) == 1 + sum(a != b for a, b in pairwise(labels))


def test_stdout_is_closed(microphone: FedMicrophone, tmp_path: Path) -> None:
    """`edge-genre listen | head -1`: it ends in peace, with its history."""
    history = tmp_path / "plays.db"
    words = ["listen", "--json", "--hop", str(HOP), "--history", str(history)]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        env=microphone.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    microphone.give(int(3.5 * RATE))
    assert select.select([process.stdout], [], [], PATIENCE)[0]
    assert json.loads(process.stdout.readline())["label"] != SILENCE
    process.stdout.close()
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if not microphone.full:
            microphone.give(microphone.given + microphone.block)
        time.sleep(0.05)
    assert process.poll() == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert sum(play["windows"] for play in plays(history)) >= 1


@pytest.mark.slow
def test_history_disk_is_full(listen: Callable[..., Listening], tmp_path: Path) -> None:
    """Of a file system of its own; listening goes on, and in the end nothing is missing."""
    require_mounts()
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    try:
        history = disk / "plays.db"
        listening = listen("--history", history, "--smooth", "0", "--hold", "0", fault=OFTEN)
        listening.hear(30)
        wait_for(lambda: stored(history) >= len(listening.windows))
        with (disk / "filling").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        full = "the disk is full; plays wait in memory"
        for _ in range(20):
            listening.hear(60)
            if any(full in line for line in listening.said):
                break
            with (disk / "more").open("ab", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(512))
        assert any(full in line for line in listening.said)
        listening.hear(60)
        for name in ("filling", "more"):
            (disk / name).unlink(missing_ok=True)
        wait_for(lambda: stored(history) >= len(listening.windows))
        listening.hear(30)
        assert "is written again" in listening.said[-1]
        listening.terminate()
        assert sum(window["dropped_samples"] for window in listening.windows) == 0
        assert sum(play["windows"] for play in plays(history)) >= len(listening.windows) - 1
    finally:
        subprocess.run(["umount", disk], check=True)
