"""A process that listens and writes a history, for so many windows or for ever; tests kill it."""

import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from edge_genre.outputs.history import History
from tests.support.history import GENRES, TAGS, events, in_turns, tagged
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]


def listen_for_ever(path: str, windows: int, many: bool) -> None:
    """What `Listener` runs: a change of label every ten windows, a write every few milliseconds."""
    if many:
        history = History(path, model="m", task=TAGS, pace=0.002)
        heard = tagged(in_turns(100_000))
    else:
        history = History(path, model="m", pace=0.002)
        heard = events(GENRES[n // 10 % 5] for n in range(10**9))
    for index, one in enumerate(heard):
        history.write(one)
        if index == 0:
            sys.stdout.write("listening\n")
            sys.stdout.flush()
        time.sleep(0.0005)
        if index + 1 == windows:
            break
    history.close()


class Listener:
    """This module as a process that listens until it is killed, perhaps with many labels."""

    def __init__(self, path: Path, windows: int = 0, *, many: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(path), str(windows), "many" * many],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n", self.kill()

    def running(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """Let it come to its own end."""
        assert self._process.wait(timeout=300) == 0

    def said(self) -> str:
        """Return the next line of it, after waiting for that."""
        assert self._process.stderr is not None
        assert select.select([self._process.stderr], [], [], PATIENCE)[0]
        return self._process.stderr.readline()

    def kill(self) -> str:
        """Return what else it has said."""
        self._process.send_signal(signal.SIGKILL)
        return self._process.communicate(timeout=300)[1]


if __name__ == "__main__":
    listen_for_ever(sys.argv[1], int(sys.argv[2]), bool(sys.argv[3]))
