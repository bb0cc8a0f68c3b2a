"""What figures are measured on, in what condition it is, and whether they can be trusted."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_genre.host.record import Record

_PACKAGES = (
    "numpy",
    "ai-edge-litert",
    "tflite-runtime",
    "tensorflow",
    "onnxruntime",
    "onnxruntime-gpu",
)
# What the Raspberry Pi's firmware complains of, by bit; 16 bits higher stands what it has
# complained of since it was started.
_THROTTLED = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
_FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
_ZONES = ("cpu-thermal", "cpu_thermal", "x86_pkg_temp", "soc_thermal", "acpitz")
_SENSORS = ("k10temp", "coretemp", "zenpower")
_NVIDIA = ("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
_GLANCE = 0.3  # seconds in which others' load is looked at
_BUSY = 0.25  # of a core: more of others' load than that shows in the figures
_HOT = 80.0  # degrees at which a Raspberry Pi begins to slow down


@dataclass(frozen=True)
class Machine(Record):
    """One computer.

    Parameters
    ----------
    board : what the device tree calls it, such as a Raspberry Pi's model; empty elsewhere
    cpu : model
    cores : that this process may use
    virtual : whether it is a virtual machine, which shares its cores with others unseen
    memory_mb : all of it; None where it cannot be known
    system : operating system, its version, the kernel's, and the processor's architecture
    python : version
    packages : versions of what the figures depend on
    emulated : why times mean nothing, if another processor plays this one; else empty
    accelerator : name and driver of the GPU; empty without one
    """

    board: str
    cpu: str
    cores: int
    virtual: bool
    memory_mb: int | None
    system: str
    python: str
    packages: dict[str, str]
    emulated: str
    accelerator: str


@dataclass(frozen=True)
class Condition(Record):
    """How a computer is at a moment; None for what cannot be known.

    Parameters
    ----------
    time : UTC, in ISO 8601
    governor : of the first core's clock
    celsius : of the processor
    throttled : what the Raspberry Pi's firmware complains of now
    was_throttled : what it has complained of at any time since it was started
    slowed : how often the processor has been slowed for its heat since it was started
    load : cores that all others keep busy, looked at for a moment
    """

    time: str
    governor: str | None
    celsius: float | None
    throttled: tuple[str, ...]
    was_throttled: tuple[str, ...]
    slowed: int | None
    load: float | None


def this_machine(*packages: str, root: Path = Path("/")) -> Machine:
    """Describe the computer.

    Parameters
    ----------
    packages : to look for beside those that every figure depends on
    root : where ``proc``, ``sys`` and ``etc`` are
    """
    lines = [line.partition(":") for line in _text(root / "proc/cpuinfo").splitlines()]
    facts = {key.strip(): value.strip() for key, _, value in reversed(lines)}  # of the first core
    board = _text(root / "proc/device-tree/model").strip("\0\n ")
    return Machine(
        board=board,
        cpu=facts.get("model name") or facts.get("Model") or _cpu() or board or "unknown",
        cores=_cores(),
        virtual="hypervisor" in facts.get("flags", "").split(),
        memory_mb=_memory(root),
        system=_system(root),
        python=platform.python_version(),
        packages=_versions(*_PACKAGES, *packages),
        emulated=_emulated(root, facts),
        accelerator=_first_line(*_NVIDIA),
    )


def condition(root: Path = Path("/")) -> Condition:
    """Look at the computer; takes a third of a second."""
    cpu = root / "sys/devices/system/cpu/cpu0"
    complaints = _complaints(root)
    return Condition(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        governor=_text(cpu / "cpufreq/scaling_governor").strip() or None,
        celsius=_celsius(root),
        throttled=_named(complaints),
        was_throttled=_named(complaints >> 16),
        slowed=_number(_text(cpu / "thermal_throttle/package_throttle_count")),
        load=_load(root),
    )


def doubts(machine: Machine, before: Condition, after: Condition) -> list[str]:
    """Why figures that were measured between two moments cannot be trusted, a line each."""
    found = []
    if machine.emulated:
        found.append(f"EMULATED ({machine.emulated}): results are real, times would mean nothing")
    complaints = dict.fromkeys(before.throttled + after.throttled)
    if complaints:
        found.append(f"the firmware reports {', '.join(complaints)}: check power and cooling")
    if before.slowed is not None and after.slowed is not None and after.slowed > before.slowed:
        found.append("the processor was slowed for its heat while it was measured")
    if after.celsius is not None and after.celsius >= _HOT:
        found.append(f"the processor has {after.celsius:.0f} °C: it slows down from {_HOT:.0f} on")
    if before.governor in ("powersave", "conservative"):
        found.append(
            f"the clock's governor is {before.governor}: times are of a slow clock "
            "(echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor)"
        )
    for moment, look in (("before", before), ("after", after)):
        if look.load is not None and look.load > _BUSY:
            found.append(f"other programs kept {look.load:.1f} cores busy {moment} the measurement")
    return found


def _cpu() -> str:
    if sys.platform == "darwin":
        return _first_line("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory(root: Path) -> int | None:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024 // 1_000_000
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000
    except (AttributeError, ValueError, OSError):
        return None


def _system(root: Path) -> str:
    release = dict(
        line.split("=", 1) for line in _text(root / "etc/os-release").splitlines() if "=" in line
    )
    name = release.get("PRETTY_NAME", "").strip('"')
    kernel = f"{platform.system()} {platform.release()} {platform.machine()}"
    return f"{name}, {kernel}" if name else kernel


def _versions(*packages: str) -> dict[str, str]:
    # Imported here: it takes 3 MB, and a process whose memory is measured imports this module.
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _celsius(root: Path) -> float | None:
    zones = {
        _text(zone / "type").strip(): zone / "temp"
        for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    }
    sensors = {
        _text(sensor / "name").strip(): sensor / "temp1_input"
        for sensor in sorted((root / "sys/class/hwmon").glob("hwmon*"))
    }
    for path in [*map(zones.get, _ZONES), *map(sensors.get, _SENSORS)]:
        milli = _number(_text(path)) if path else None
        if milli is not None:
            return milli / 1000
    return None


def _complaints(root: Path) -> int:
    """Bits of the Raspberry Pi's firmware, by the kernel's file or by its own tool."""
    text = _text(root / _FIRMWARE).strip()
    if not text:
        text = _first_line("vcgencmd", "get_throttled").rpartition("=")[2]
    try:
        return int(text, 16)
    except ValueError:
        return 0


def _named(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in _THROTTLED.items() if bits >> bit & 1)


def _load(root: Path) -> float | None:
    """Busy cores while this process waits."""
    first = _busy_seconds(root)
    if first is None:
        return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    begin = time.perf_counter()
    time.sleep(_GLANCE)
    passed = time.perf_counter() - begin
    return round(max(0.0, ((_busy_seconds(root) or first) - first) / passed), 2)


def _busy_seconds(root: Path) -> float | None:
    fields = _text(root / "proc/stat").partition("\n")[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _first_line(*command: str) -> str:
    """What a program prints; nothing where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.partition("\n")[0].strip()


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _emulated(root: Path, facts: dict[str, str]) -> str:
    """By what another processor plays this one; empty where it does not."""
    try:
        stat = (root / "proc/self/stat").read_bytes()
    except OSError:
        if sys.platform != "darwin":
            return ""
        return "Rosetta" if _first_line("sysctl", "-n", "sysctl.proc_translated") == "1" else ""
    # QEMU's user emulation answers this path itself, with /proc mounted or not, and writes 0 for
    # what it does not know; no process that runs on a kernel has an address space of 0 bytes.
    if int(stat.rpartition(b")")[2].split()[20]) == 0:
        return "QEMU, a process"
    return "QEMU, a machine" if "QEMU TCG" in facts.get("model name", "") else ""
