"""What is said of a computer, from the files that its kernel would show."""

from pathlib import Path

import pytest

from edge_genre.host.machine import Condition, condition, doubts, this_machine

_STAT = "1 (python) S 1 1 1 0 -1 4194560 900 0 0 0 5 1 0 0 20 0 1 0 100 {} 2000\n"
_PI = {
    "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\n\nprocessor\t: 1\n\n"
    "Hardware\t: BCM2835\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n",
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/meminfo": "MemTotal:        3885396 kB\nMemFree: 1 kB\n",
    "proc/self/stat": _STAT.format(18_280_448),
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "70005\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48312\n",
}


def _root(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def _quiet(**values: object) -> Condition:
    usual = {"time": "", "governor": "performance", "celsius": 40.0}
    usual |= {"throttled": (), "was_throttled": ()}
    return Condition(**{**usual, "slowed": 0, "load": 0.0, **values})  # type: ignore[arg-type]


def test_a_raspberry_pi(tmp_path: Path) -> None:
    root = _root(tmp_path, _PI)
    machine, now = this_machine(root=root), condition(root)
    assert machine.board == "Raspberry Pi 4 Model B Rev 1.4"
    assert machine.cpu == machine.board
    assert machine.memory_mb == 3978
    assert machine.system.startswith("Debian GNU/Linux 12 (bookworm), ")
    assert not machine.emulated
    assert not machine.virtual
    assert now.governor == "ondemand"
    assert now.celsius == 48.312
    assert now.throttled == ("under-voltage", "throttled")  # bits 0 and 2
    assert now.was_throttled == ("under-voltage", "frequency capped", "throttled")  # 16 to 18
    (doubt,) = doubts(machine, _quiet(throttled=now.throttled), _quiet())
    assert doubt == "the firmware reports under-voltage, throttled: check power and cooling"


def test_emulated_by_qemu(tmp_path: Path) -> None:
    machine = this_machine(root=_root(tmp_path, _PI | {"proc/self/stat": _STAT.format(0)}))
    assert "QEMU" in machine.emulated
    (doubt,) = doubts(machine, _quiet(), _quiet())
    assert doubt.startswith("EMULATED")


def test_nothing_to_read(tmp_path: Path) -> None:
    machine, now = this_machine(root=tmp_path), condition(tmp_path)
    assert machine.cpu
    assert machine.cores >= 1
    assert (now.governor, now.celsius, now.throttled, now.slowed) == (None, None, (), None)


def test_this_very_computer() -> None:
    machine = this_machine("pytest", "no-such-package")
    assert not machine.emulated
    assert machine.packages["pytest"]
    assert "no-such-package" not in machine.packages
    assert machine.memory_mb is None or machine.memory_mb > 100
    load = condition().load
    assert load is None or load >= 0


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        ({"governor": "powersave"}, {}, "powersave"),
        ({}, {"celsius": 83.0}, "83 °C"),
        ({}, {"slowed": 2}, "slowed"),
        ({"load": 1.5}, {}, "1.5 cores busy before"),
        ({}, {"load": 0.5}, "0.5 cores busy after"),
    ],
)
def test_doubts(before: dict[str, object], after: dict[str, object], word: str) -> None:
    (doubt,) = doubts(this_machine(), _quiet(**before), _quiet(**after))
    assert word in doubt


def test_no_doubts() -> None:
    assert not doubts(this_machine(), _quiet(load=0.2), _quiet(load=None, celsius=None))
