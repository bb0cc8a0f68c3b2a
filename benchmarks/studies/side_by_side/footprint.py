"""What a program costs before and beside its work: start, memory, disk."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.studies.side_by_side.findings import Cost, InRam, Installation
from edge_genre.benchmarks.studies.side_by_side.turns import ENVIRONMENT, medians
from edge_genre.errors import EngineError

# What the wheel is made of.
_SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")
_PACKAGES = ("edge", "convert", "benchmarks", "models")
_LARGEST = 6


def edge_genre() -> str:
    """The command, as it is installed beside the interpreter.

    Raises
    ------
    EngineError
        It is not.
    """
    found = shutil.which("edge-genre", path=str(Path(sys.executable).parent))
    if found is None:
        raise EngineError(f"no command edge-genre beside {sys.executable}: pip install .")
    return found


def starts(commands: Mapping[str, Sequence[str]], count: int) -> dict[str, Cost]:
    """Start programs in turn, and take the time to the first line of each: ``wall`` seconds.

    ``cpu`` are the seconds of all their threads to their end. One start of each is not counted: it
    brings its files into the system's cache.

    Raises
    ------
    EngineError
        One fails.
    """
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for turn in range(count + 1):
        for name, command in commands.items():
            answer = _start(name, command)
            if turn:
                found[name].append(answer)
    return {name: medians(answers) for name, answers in found.items()}


def _start(name: str, command: Sequence[str]) -> Cost:
    before = os.times()
    begin = time.perf_counter()
    with TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        wall = time.perf_counter() - begin
        process.communicate()
        if process.returncode or not line:
            log.seek(0)
            said = (log.read().strip() or "nothing").splitlines()[-1]
            raise EngineError(f"{name}: ended with code {process.returncode}, saying: {said}")
    after = os.times()
    cpu = after.children_user + after.children_system
    return Cost(cpu=cpu - before.children_user - before.children_system, wall=wall)


def listening(model: Path, samples: NDArray[np.float32], rate: int, windows: int) -> InRam:
    """Memory of ``edge-genre listen`` after so many windows: ``resident`` and ``peak``, MB.

    Parameters
    ----------
    samples : float32 [shape=(n,)], more than the windows need
    rate : theirs, Hz
    """
    command = [edge_genre(), "listen", "--input", "-", "--format", "f32le", "--rate", str(rate)]
    process = subprocess.Popen(
        [*command, "--json", "--hop", "0.5", "--model", str(model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **ENVIRONMENT},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(samples.tobytes())
        process.stdin.flush()
        for _ in range(windows):
            if not process.stdout.readline():
                raise BrokenPipeError
        # It waits for more.
        status = Path(f"/proc/{process.pid}/status").read_text()
    except BrokenPipeError:
        raise EngineError(f"edge-genre listen --model {model}: ended before its time") from None
    finally:
        process.kill()
        process.communicate()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    resident, peak = (
        round(int(fields[field].split()[0]) * 1024 / 1e6, 1) for field in ("VmRSS", "VmHWM")
    )
    return InRam(resident, peak)


def installed(requirements: Sequence[str], cache: Path) -> Installation:
    """Install packages into a folder of their own and sum up its files; see `_size`.

    A result that ``cache`` holds is taken from there.
    """
    known = json.loads(cache.read_text()) if cache.is_file() else {}
    key = " ".join(requirements)
    if key not in known:
        known[key] = _size(requirements).to_dict()
        cache.write_text(json.dumps(known, indent=2) + "\n")
    return Installation.from_dict(known[key])


def installed_runtime(project: Path) -> Installation:
    """The same of this project's own runtime, from a folder with its sources."""
    with _sources(project) as copy:
        return _size([str(copy)])


# What `apt install --no-install-recommends python3-numpy` adds to Debian 12 with Python.
_DEBIAN_NUMPY = ("python3-numpy", "libblas3", "liblapack3", "libgfortran5", "libquadmath0")


def installed_small_runtime(project: Path) -> Installation | None:
    """The same of the smallest installation (see firmware_notes/raspberry_pi.md).

    Its NumPy is Debian's, which counts as large as Debian says; None where there is no Debian to
    ask, or no tflite-runtime for this Python (its last wheels are for 3.11).
    """
    if shutil.which("apt-cache") is None or sys.version_info >= (3, 12):
        return None
    shown = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", *_DEBIAN_NUMPY], capture_output=True, text=True
    )
    sizes = re.findall(r"^Installed-Size: (\d+)$", shown.stdout, re.MULTILINE)
    if len(sizes) != len(_DEBIAN_NUMPY):
        return None
    with _sources(project) as copy:
        # Not NumPy, which pip would take from its own index for a folder of its own.
        engine = ["--no-deps", str(copy), "tflite-runtime"]
        found = _size(["click", "rich", "sounddevice", "soundfile"], engine, leave_out=("numpy",))
    numpy = {"Debian's numpy": 1024 * sum(map(int, sizes))}
    largest = sorted((numpy | found.largest).items(), key=lambda item: -item[1])
    return Installation(
        bytes=found.bytes + sum(numpy.values()),
        largest=dict(largest[:_LARGEST]),
        versions=found.versions,
    )


@contextlib.contextmanager
def _sources(project: Path) -> Iterator[Path]:
    """A copy of what the wheel is made of, since building leaves files behind."""
    if not (project / "setup.cfg").is_file():
        raise EngineError(f"{project}: holds no setup.cfg: give the repository with --project")
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "edge-genre"
        copy.mkdir()
        for name in _SOURCES:
            shutil.copy(project / name, copy)
        for name in _PACKAGES:
            shutil.copytree(project / name, copy / name, ignore=shutil.ignore_patterns("*.pyc"))
        yield copy


def _size(*installs: Sequence[str], leave_out: Collection[str] = ()) -> Installation:
    """Bytes of the files without compiled Python, the largest packages, and the versions.

    Parameters
    ----------
    installs : what each ``pip install`` is given
    leave_out : packages that count nothing
    """
    with TemporaryDirectory() as folder:
        target = Path(folder) / "packages"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
        for arguments in installs:
            done = subprocess.run(
                [*command, "--target", target, *arguments], capture_output=True, text=True
            )
            if done.returncode:
                said = (done.stderr.strip() or "nothing").splitlines()[-1]
                raise EngineError(f"pip install {' '.join(arguments)}: {said}")
        sizes: dict[str, int] = {}
        for path in target.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.suffix != ".pyc":
                # The libraries that a wheel brings lie beside its package.
                top = path.relative_to(target).parts[0].removesuffix(".libs")
                if top.split("-")[0] not in leave_out:
                    sizes[top] = sizes.get(top, 0) + path.stat().st_size
        versions = dict(
            path.name.removesuffix(".dist-info").rsplit("-", 1)
            for path in target.glob("*.dist-info")
        )
    largest = sorted(sizes, key=lambda name: -sizes[name])[:_LARGEST]
    return Installation(
        bytes=sum(sizes.values()),
        largest={name: sizes[name] for name in largest},
        versions={name: found for name, found in versions.items() if name not in leave_out},
    )
