"""How much memory a process holds."""

from __future__ import annotations

import sys
from pathlib import Path


def resident_mb() -> float | None:
    """Memory that this process has in RAM now, MB; None where the system does not say."""
    return _status("VmRSS")


def peak_mb() -> float | None:
    """The most that it has had, MB."""
    found = _status("VmHWM")
    if found is not None or sys.platform == "win32":
        return found
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)


def _status(field: str) -> float | None:
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return round(int(value.split()[0]) * 1024 / 1e6, 1)
    return None
