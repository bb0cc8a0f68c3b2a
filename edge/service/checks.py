"""The checks of `edge-genre doctor`: what each looks at, and what it finds."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_genre.choices import ONNX_ENGINES, TFLITE_ENGINES
from edge_genre.errors import one_line
from edge_genre.host.files import reason
from edge_genre.model.bundled import DEFAULT, bundled_models

if TYPE_CHECKING:
    from edge_genre.host.machine import Condition, Machine

OK, WARNING, BROKEN = "ok", "warning", "broken"

_SETTLE, _RECORD = 0.3, 1.0  # seconds; the first are left out: a microphone begins with a click
_FULL_SCALE = 0.999
_CLIPPED = 1e-3  # share of samples at full scale from which a recording counts as clipped
_HOT = 80.0  # degrees Celsius at which a Raspberry Pi begins to slow down
_LITTLE_SPACE, _NO_SPACE = 200, 10  # MB


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Parameters
    ----------
    check : what was looked at
    state : ``"ok"``, ``"warning"`` or ``"broken"``
    found : what was seen; an error also says what to do
    advice : what to do; empty where there is nothing, or where `found` says it
    """

    check: str
    state: str
    found: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, str]) -> Finding:
        """Build from what `to_dict` returns; another value is a TypeError."""
        return cls(**values)


@dataclass(frozen=True)
class Options:
    """What to look at.

    Parameters
    ----------
    device : the microphone, as for ``edge-genre listen``; None for the default
    history : a file that listening shall write, if any
    recording : whether to record a second
    """

    device: str | None = None
    history: str | None = None
    recording: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Options:
        """Build from what `to_dict` returns."""
        return cls(**values)


Findings = Iterator[Finding]
Check = Callable[[Options, str], Findings]


def installed_engines() -> list[str]:
    """Engines to try: TensorFlow, which loads slowly, only where no other runs TFLite files."""
    found = [name for name in TFLITE_ENGINES if _is_installed(name)]
    light = [name for name in found if name != "tensorflow"]
    return [*(light or found), *filter(_is_installed, ONNX_ENGINES)]


def runnable_models() -> list[str]:
    """Bundled files that there is an engine for."""
    engines = installed_engines()
    kinds = {".onnx": ONNX_ENGINES, ".tflite": TFLITE_ENGINES}
    names = [path.name for path in bundled_models()]
    return [name for name in names if set(kinds[Path(name).suffix]) & set(engines)]


def _is_installed(package: str) -> bool:
    return find_spec(package.replace("-", "_")) is not None


def _python(options: Options, _: str) -> Findings:
    bits = 64 if sys.maxsize > 2**32 else 32
    found = f"{platform.python_version()}, {bits}-bit, {sys.executable}"
    if bits == 32 and platform.machine() == "aarch64":
        advice = "where you use pip, write linux32 pip: it takes the machine for a 64-bit one"
        yield Finding("python", OK, f"{found}, on a 64-bit kernel", advice)
    else:
        yield Finding("python", OK, found)


def _numpy(options: Options, _: str) -> Findings:
    """Arithmetic of the kinds that front ends do."""
    try:
        import numpy as np
    except ImportError as error:
        blas = "openblas" in str(error)
        advice = "sudo apt install libopenblas0" if blas else "pip install --force-reinstall numpy"
        yield Finding("numpy", BROKEN, f"does not load ({one_line(error)})", advice)
        return
    wave = np.cos(2 * np.pi * 8 * np.arange(64) / 64).astype(np.float32)
    line = np.zeros(33)
    line[8] = 32
    ones = np.ones((70, 70), np.float32)
    if np.allclose(np.fft.rfft(wave), line, atol=1e-4) and np.all(ones @ ones == 70):
        yield Finding("numpy", OK, np.__version__)
    else:
        advice = "install another version: this one was built for another processor"
        yield Finding("numpy", BROKEN, f"{np.__version__} computes wrongly", advice)


def _missing_engines(options: Options, _: str) -> Findings:
    """Kinds of models that nothing is installed for."""
    if not any(map(_is_installed, TFLITE_ENGINES)):
        advice = "pip install ai-edge-litert; on 32-bit Arm: linux32 pip install tflite-runtime"
        yield Finding("engine", BROKEN, "none for TFLite files", advice)
    if not any(map(_is_installed, ONNX_ENGINES)):
        advice = "only for .onnx files: pip install 'edge-genre[onnx]'"
        yield Finding("engine", OK, "none for ONNX files", advice)


def _engine(options: Options, name: str) -> Findings:
    """Whether it loads, and gives the default model's right answer."""
    from edge_genre.classifier import Classifier

    kind = "onnx" if name in ONNX_ENGINES else "tflite"
    classifier = Classifier.load(f"{DEFAULT}.{kind}", engine=name)
    passed = f"self-test passed, difference {classifier.self_test():.1g}"
    yield Finding("engine", OK, f"{classifier.engine.name}, {DEFAULT}.{kind}: {passed}")


def _model(options: Options, name: str) -> Findings:
    """Whether a bundled model gives its right answer, in the engine that it would run in."""
    from edge_genre.classifier import Classifier

    classifier = Classifier.load(name)
    test = classifier.info.self_test
    allowed = f" ({test.tolerance:.1g} allowed)" if test else ""
    passed = f"self-test passed, difference {classifier.self_test():.1g}{allowed}"
    yield Finding("model", OK, f"{name}: {passed}")


def _microphone(options: Options, _: str) -> Findings:
    """PortAudio, the input devices, and the rates that they really open at."""
    from edge_genre.audio.microphone import devices, find_device, supported_rates

    yield from closed_cards()
    found = devices()
    import sounddevice

    yield Finding("portaudio", OK, sounddevice.get_portaudio_version()[1].split(",")[0])
    if not found:
        advice = "plug one in; arecord -l lists what the system knows"
        yield Finding("microphone", BROKEN, "none found", advice)
        return
    chosen = find_device(options.device)
    for device in found:
        name = "microphone" if device == chosen else "device"
        text = f"{device.index}: {device.name} ({device.host}), channels: {device.channels}"
        rates = sorted(supported_rates(device))
        if rates:
            yield Finding(name, OK, f"{text}, opens at {', '.join(map(str, rates))} Hz")
        else:
            state = BROKEN if device == chosen else WARNING
            advice = "end what uses it (sudo fuser -v /dev/snd/*), or take another one (--device)"
            yield Finding(name, state, f"{text}, opens at no rate", advice)


def closed_cards(folder: Path = Path("/dev/snd")) -> Findings:
    """Sound cards that Linux does not let this user record from."""
    cards = sorted(folder.glob("pcmC*c"))
    closed = [card.name for card in cards if not os.access(card, os.R_OK | os.W_OK)]
    if closed:
        found = f"{', '.join(closed)} in {folder}: this user may not open it"
        advice = "sudo usermod -aG audio $USER, and log in again"
        yield Finding("microphone", WARNING, found, advice)


def _recording(options: Options, _: str) -> Findings:
    """Level and clipping of a second, on the path that listening takes."""
    import numpy as np

    from edge_genre.audio.microphone import Microphone
    from edge_genre.results import SILENCE_DBFS, level_dbfs

    with Microphone(options.device) as microphone:
        skipped, wanted = (round(seconds * microphone.rate) for seconds in (_SETTLE, _RECORD))
        blocks: list[Any] = []
        for block in microphone.blocks():
            blocks.append(block)
            if sum(map(len, blocks)) >= skipped + wanted:
                break
        lost = microphone.dropped or microphone.overflows
    samples = np.concatenate(blocks)[skipped:]
    clipped = float(np.mean(np.abs(samples) >= _FULL_SCALE))
    level = level_dbfs(samples)
    found = f"a second at {microphone.rate} Hz, {level:.1f} dBFS"
    if not samples.any():
        advice = "is it muted, or the wrong one? alsamixer, F4; --device takes another one"
        yield Finding("recording", WARNING, f"{found}: digital silence", advice)
    elif level < SILENCE_DBFS:
        advice = "with music on: raise the capture level (alsamixer, F4)"
        found += f": below {SILENCE_DBFS:g} dBFS it counts as silence"
        yield Finding("recording", WARNING, found, advice)
    elif clipped >= _CLIPPED:
        advice = "lower the capture level (alsamixer, F4), or move the microphone away"
        yield Finding("recording", WARNING, f"{found}: {clipped:.1%} of it is clipped", advice)
    else:
        yield Finding("recording", OK, found)
    if lost:
        advice = "end other programs; take another USB port"
        yield Finding("recording", WARNING, "some of it was lost on the way", advice)


def _machine(options: Options, _: str) -> Findings:
    """Its clock, power, heat and load."""
    from edge_genre.host.machine import condition, this_machine

    yield from machine(this_machine(), condition())


def machine(this: Machine, now: Condition) -> Findings:
    """What is to be said of a computer and its condition."""
    names = dict.fromkeys(part for part in (this.board, this.cpu) if part)
    found = ", ".join([*names, f"{this.cores} cores", this.system])
    if this.emulated:
        found += f", which {this.emulated} emulates"
        yield Finding("machine", WARNING, found, "results are right, but it may be too slow")
    else:
        yield Finding("machine", OK, found)
    # On a PC, the governor of that name goes by the load.
    if now.governor == "powersave" and this.board:
        advice = "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        yield Finding("clock", WARNING, "the governor powersave keeps it slow", advice)
    elif now.governor:
        yield Finding("clock", OK, f"governor {now.governor}")
    if now.was_throttled or now.throttled:
        advice = "under-voltage: take the board's own power supply; otherwise cool it"
        found = f"the firmware reports {', '.join(now.throttled)}"
        if not now.throttled:
            found = f"the firmware has reported {', '.join(now.was_throttled)} since the start"
        yield Finding("power", WARNING, found, advice)
    if now.celsius is not None:
        hot = now.celsius >= _HOT
        advice = "it slows down: give it air, a heat sink or a fan" if hot else ""
        yield Finding("heat", WARNING if hot else OK, f"{now.celsius:.0f} °C", advice)
    if now.load is not None:
        busy = now.load > this.cores - 0.5
        advice = "see top for what it is: listening may not get its turn" if busy else ""
        found = f"others keep {now.load:.1f} of {this.cores} cores busy"
        yield Finding("load", WARNING if busy else OK, found, advice)


def _disk(options: Options, _: str) -> Findings:
    """Space, whether a history can be written, and whether one that is there is whole."""
    path = Path(options.history or "history.db").absolute()
    failed = BROKEN if options.history else WARNING  # it need not be written here
    try:
        free = shutil.disk_usage(path.parent).free / 1e6
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        found = f"{path.parent}: cannot be written ({reason(error)})"
        advice = _DISK_ADVICE.get(error.errno or 0, "write a history elsewhere: --history FILE")
        yield Finding("disk", failed, found, advice)
        return
    found = f"{path.parent}: {free:,.0f} MB free, can be written"
    if free < _LITTLE_SPACE:
        advice = "make room: sudo apt clean; sudo journalctl --vacuum-size=50M"
        yield Finding("disk", failed if free < _NO_SPACE else WARNING, found, advice)
    else:
        yield Finding("disk", OK, found)
    if options.history and path.exists():
        yield from _history(path)


_DISK_ADVICE = {
    errno.EROFS: "mount what can be written there, or listen without --history",
    errno.ENOSPC: "make room: sudo apt clean; sudo journalctl --vacuum-size=50M",
    errno.EACCES: "sudo edge-genre doctor, or write it elsewhere: --history FILE",
    errno.ENOENT: "make the folder, or mount it",
}


def _history(path: Path) -> Findings:
    from edge_genre.outputs.history_file import reading

    with reading(path) as connection:
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        (plays,) = connection.execute("SELECT count(*) FROM plays").fetchone()
    if answer == "ok":
        yield Finding("history", OK, f"{path}: whole, plays: {plays}")
    else:
        advice = "move it away, and a new one is begun"
        yield Finding("history", BROKEN, f"{path}: is damaged ({one_line(answer)})", advice)


CHECKS: dict[str, Check] = {
    "python": _python,
    "numpy": _numpy,
    "engines": _missing_engines,
    "engine": _engine,
    "model": _model,
    "microphone": _microphone,
    "recording": _recording,
    "machine": _machine,
    "disk": _disk,
}
