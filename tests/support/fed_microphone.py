"""A microphone without a clock: PortAudio hears samples as soon as a test gives them.

ALSA's `file` plugin over its `null` device reads what it records from a named pipe; where the pipe
is empty, the recording waits. So a day of audio takes as long as listening to it costs.
"""

from __future__ import annotations

import array
import fcntl
import os
import tempfile
import termios
import time
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.microphone import block_seconds
from tests.support.waiting import PATIENCE

RATE = 44_100  # at which PortAudio opens ALSA's null device, in stereo and 32-bit floats
_PIPE_BYTES = 1 << 20  # as much as a pipe may have without root
_ASOUNDRC = """
pcm.!default {{ type file slave.pcm null file /dev/null infile {} format raw }}
"""


class FedMicrophone:
    """Use it as a context manager; ``env`` is the environment of a process that shall hear it.

    Parameters
    ----------
    sound : float32 [shape=(n,)], at `RATE`, heard again and again
    hop : of who hears it, seconds
    """

    def __init__(self, sound: NDArray[np.float32], *, hop: float) -> None:
        self._sound = np.repeat(sound.astype("<f4"), 2).tobytes()  # both channels
        self.given = 0  # frames
        self.block = round(block_seconds(hop) * RATE)  # frames that PortAudio asks for at once

    def __enter__(self) -> FedMicrophone:
        self._folder = tempfile.TemporaryDirectory(prefix="fed-microphone-")
        home = Path(self._folder.name)
        pipe = home / "pipe"
        os.mkfifo(pipe)
        # For reading too: neither side waits for the other to open it, and none finds it closed.
        self._pipe = os.open(pipe, os.O_RDWR)
        fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        (home / ".asoundrc").write_text(_ASOUNDRC.format(pipe))
        self.env = {**os.environ, "HOME": str(home), "PULSE_SERVER": f"unix:{home / 'none'}"}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._pipe)
        self._folder.cleanup()

    def give(self, frames: int) -> None:
        """Let whole blocks be heard, as many as fit into so many frames since the beginning."""
        while self.given + self.block <= frames:
            # A block at once: of a pipe with less in it the plugin takes what there is, and what
            # it records then has a hole.
            start = self.given * 8 % len(self._sound)
            block = self._sound[start : start + self.block * 8]
            block += self._sound[: self.block * 8 - len(block)]
            patience = time.monotonic() + PATIENCE
            while self.full:
                assert time.monotonic() < patience, "nobody listens"
                time.sleep(0.001)
            assert os.write(self._pipe, block) == len(block)
            self.given += self.block

    @property
    def full(self) -> bool:
        """Whether a second and a half is there that nobody has heard yet."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self._pipe, termios.FIONREAD, waiting)
        return waiting[0] > _PIPE_BYTES // 2
