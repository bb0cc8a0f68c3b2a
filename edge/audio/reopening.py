"""A microphone that may go away and come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.microphone import Microphone, rescan
from edge_genre.audio.resample import Resampler
from edge_genre.errors import DeviceError

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds from one attempt to the next
_TICK = 0.25


class ReopeningMicrophone:
    """A microphone that is opened again, by its name, whenever it is lost.

    What is missed meanwhile counts as dropped. Should it come back at another rate, it is resampled
    to the first one. Use it as a context manager.

    Parameters
    ----------
    device, block : see `edge_genre.audio.microphone.Microphone`
    say : is told in a line that it has gone, and that it is back
    alive : is called with every block, and a few times a second without a device

    Raises
    ------
    DeviceError
        It does not open the first time.
    """

    def __init__(
        self,
        device: str | int | None = None,
        *,
        block: float,
        say: Callable[[str], None] = lambda _: None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._block = block
        self._microphone: Microphone | None = Microphone(device, block=block)
        self.name = self._microphone.device.name
        self.rate = self._microphone.rate
        # By its number it might be another one next time.
        self._wanted = device if device in (None, "") else self.name
        self._say = say
        self._alive = alive
        self._missed = 0  # samples, of streams that have ended and of the time between them
        self._overflows = 0

    @property
    def dropped(self) -> int:
        """Samples lost so far."""
        return self._missed + (self._microphone.dropped if self._microphone else 0)

    @property
    def overflows(self) -> int:
        """Times that PortAudio itself lost samples."""
        return self._overflows + (self._microphone.overflows if self._microphone else 0)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield samples as they come, for ever; while there are none, an empty block at times."""
        while True:
            assert self._microphone is not None
            heard = time.monotonic()
            resampler = Resampler(self._microphone.rate, self.rate)
            try:
                for block in self._microphone.blocks():
                    heard = time.monotonic()
                    self._alive()
                    yield resampler.process(block)
            except DeviceError as error:
                self._say(f"{error}; waiting for it to come back")
            self._close()
            for _ in self._reopened():
                yield np.empty(0, np.float32)
            away = time.monotonic() - heard
            self._missed += round(away * self.rate)
            self._say(f"{self.name}: is back after {away:.0f} s")

    def _reopened(self) -> Iterator[None]:
        """Try again and again until it opens, and yield in between."""
        wait = _FIRST_WAIT
        while True:
            try:
                rescan()
                self._microphone = Microphone(self._wanted, block=self._block)
            except DeviceError:
                until = time.monotonic() + wait
                while time.monotonic() < until:
                    self._alive()
                    yield
                    time.sleep(_TICK)
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                return

    def _close(self) -> None:
        if self._microphone is not None:
            self._missed += self._microphone.dropped
            self._overflows += self._microphone.overflows
            self._microphone.close()
            self._microphone = None

    def __enter__(self) -> ReopeningMicrophone:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()
