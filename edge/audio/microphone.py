"""The microphone, through PortAudio."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.ring import Ring
from edge_genre.errors import DeviceError, one_line

_RATES = (48_000, 44_100, 32_000, 22_050, 16_000, 96_000, 11_025, 8_000)
_ALSA = re.compile(r"(?:plug)?hw:(?:CARD=)?([^,]+)(?:,(?:DEV=)?(\d+))?$")
_PROC = Path("/proc")
RING_SECONDS = 10.0
# Audio comes in blocks that are long enough to cost little: waking up for each of those of 9 ms
# that PortAudio would choose costs more than classifying. The device itself buffers two of them,
# for when the machine is too busy to take one.
_SHORTEST_BLOCK, _LONGEST_BLOCK = 0.2, 0.5  # seconds
# A device that gives nothing for so long has gone.
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Device:
    """An input device, as PortAudio describes it."""

    index: int
    name: str
    host: str  # ALSA, Core Audio, ...
    channels: int
    rate: int  # Hz, its native one
    default: bool


def devices() -> list[Device]:
    """List the input devices.

    Raises
    ------
    DeviceError
        PortAudio is not installed.
    """
    sounddevice = _sounddevice()
    hosts = sounddevice.query_hostapis()
    default = sounddevice.default.device[0]
    return [
        Device(
            index=index,
            name=found["name"],
            host=hosts[found["hostapi"]]["name"],
            channels=found["max_input_channels"],
            rate=round(found["default_samplerate"]),
            default=index == default,
        )
        for index, found in enumerate(sounddevice.query_devices())
        if found["max_input_channels"] > 0
    ]


def find_device(wanted: str | int | None = None) -> Device:
    """Find an input device by index, by a part of its name, or the default one.

    On Linux a card's own name fits too, as ``arecord -L`` shows it: ``plughw:CARD=Device,DEV=0``.

    Raises
    ------
    DeviceError
        There is none, or the name fits several; the message lists them.
    """
    found = devices()
    if not found:
        raise DeviceError(
            f"no microphone found: plug one in, and see `edge-genre devices`{_holders()}"
        )
    if wanted is None or wanted == "":
        return next((device for device in found if device.default), found[0])
    text = str(wanted)
    alsa = _ALSA.match(text)
    if alsa:
        card = f"(hw:{_card_number(alsa[1])},{alsa[2] or ''}"
        fits = [device for device in found if card in device.name]
    elif text.isdigit():
        fits = [device for device in found if device.index == int(text)]
    else:
        fits = [device for device in found if device.name == text]
        fits = fits or [device for device in found if text.lower() in device.name.lower()]
    if len(fits) == 1:
        return fits[0]
    what = f"fits {len(fits)} devices" if fits else "is no input device"
    names = ", ".join(f"{device.index}: {device.name}" for device in fits or found)
    holders = "" if fits else _holders()
    raise DeviceError(f"device {text!r} {what}; there are {names}{holders}")


def supported_rates(device: Device) -> tuple[int, ...]:
    """Rates that the device opens at, its native one first; none while another program holds it."""
    sounddevice = _sounddevice()
    found = []
    for rate in dict.fromkeys((device.rate, *_RATES)):
        try:
            sounddevice.check_input_settings(
                device=device.index, channels=min(2, device.channels), samplerate=rate
            )
        except sounddevice.PortAudioError:
            continue
        found.append(rate)
    return tuple(found)


def rescan() -> None:
    """Let PortAudio look for devices anew; no stream may be open."""
    sounddevice = _sounddevice()
    # PortAudio lists devices once, when it is initialised.
    sounddevice._terminate()
    sounddevice._initialize()


def _card_number(card: str) -> str:
    """The number of an ALSA card, which changes from boot to boot, by its name, which does not."""
    if not card.isdigit():
        with contextlib.suppress(OSError):
            return (_PROC / "asound" / card).readlink().name.removeprefix("card")
    return card


def _holders(device: Device | None = None) -> str:
    """Which programs record from an ALSA card now, or from any, as far as the kernel says.

    A card that another program holds when PortAudio looks for devices is none of them.
    """
    folder = "card*/pcm*c"
    if device is not None:
        number = re.search(r"\(hw:(\d+),(\d+)\)", device.name)
        if number is None:
            return ""
        folder = f"card{number[1]}/pcm{number[2]}c"
    owners = []
    for status in sorted(_PROC.glob(f"asound/{folder}/sub*/status")):
        with contextlib.suppress(OSError):
            pid = re.search(r"owner_pid\s*:\s*(\d+)", status.read_text())
            if pid:
                name = (_PROC / pid[1] / "comm").read_text().strip()
                card = "" if device else f" card {status.parts[-4].removeprefix('card')}"
                owners.append(f"{name} (process {pid[1]}) has{card or ' it'}")
    return f"; {', '.join(owners)}: stop that, or choose its sound server" if owners else ""


def block_seconds(hop: float) -> float:
    """How much audio to take at once for windows so many seconds apart: as much, if it can be."""
    return min(max(_SHORTEST_BLOCK, hop), _LONGEST_BLOCK)


class Microphone:
    """An input device at a rate that it supports. Use it as a context manager.

    PortAudio's thread copies into a bounded ring and does nothing else; what does not fit, and what
    PortAudio itself lost, is counted.

    Parameters
    ----------
    device : index, part of a name, or None for the default
    block : seconds of audio that come at once, see `block_seconds`

    Raises
    ------
    DeviceError
        PortAudio or the device is missing, or the device does not open.
    """

    def __init__(self, device: str | int | None = None, *, block: float = _SHORTEST_BLOCK) -> None:
        sounddevice = _sounddevice()
        self.device = find_device(device)
        self.rate = next(iter(supported_rates(self.device)), self.device.rate)
        self._ring = Ring(round(RING_SECONDS * self.rate))
        self._overflows = 0
        try:
            self._stream = sounddevice.InputStream(
                device=self.device.index,
                channels=min(2, self.device.channels),
                samplerate=self.rate,
                blocksize=round(block * self.rate),
                latency=2 * block,
                dtype="float32",
                callback=self._receive,
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise DeviceError(
                f"{self.device.name}: does not open ({one_line(error)}){_holders(self.device)}"
            ) from None

    @property
    def dropped(self) -> int:
        """Samples lost so far because nobody took them in time."""
        return self._ring.dropped

    @property
    def overflows(self) -> int:
        """Times that PortAudio itself lost samples; it does not say how many."""
        return self._overflows

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield samples as they come, for ever.

        Raises
        ------
        DeviceError
            The device gives nothing more.
        """
        while True:
            block = self._ring.read(TIMEOUT_SECONDS)
            if not len(block):
                raise DeviceError(
                    f"{self.device.name}: no sound for {TIMEOUT_SECONDS:g} s; was it unplugged?"
                )
            yield block

    def close(self) -> None:
        """End the stream; the device is free."""
        self._stream.close(ignore_errors=True)

    def _receive(self, data: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
        if status.input_overflow:
            self._overflows += 1
        self._ring.write(data)

    def __enter__(self) -> Microphone:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _sounddevice() -> ModuleType:
    try:
        import sounddevice
    except OSError:
        raise DeviceError(
            "PortAudio is not installed: sudo apt install libportaudio2 (Debian, Raspberry Pi OS), "
            "brew install portaudio (macOS)"
        ) from None
    module: ModuleType = sounddevice
    return module
