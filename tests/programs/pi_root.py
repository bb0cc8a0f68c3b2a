"""A Raspberry Pi's system in a folder, whose programs QEMU runs: no board, no virtual machine.

    python -m tests.programs.pi_root [arm64] [armhf]

makes one for each board below ``build/pi``, or says in a line why it cannot. Debian's packages are
unpacked, edge-genre is installed from its wheel, and wheels for the board's processor are added
until every requirement is met. /proc and /sys stay unmounted inside: they would be this machine's.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import click
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
BUILD = REPOSITORY / "build" / "pi"
# What the wheel is made of.
SOURCES = ["setup.cfg", "pyproject.toml", "README.md", "LICENSE"]
SOURCES += ["edge", "convert", "benchmarks", "models"]
PACKAGE = "opt/edge-genre"  # in a root: edge-genre alone, so that it can be replaced
OLDEST_GLIBC = 17  # 2.17, that of the wheels called manylinux2014


class RootError(Exception):
    """A root folder cannot be made or entered; one line says why."""


@dataclass(frozen=True)
class Board:
    """A kind of Raspberry Pi.

    Parameters
    ----------
    name : of its architecture in Debian
    qemu : the emulator of its processor
    cpu : which of them: the oldest, whose instructions all later ones have
    requirement : what is installed
    packages : Debian's, beside Python
    """

    name: str
    qemu: str
    cpu: str
    requirement: str
    packages: tuple[str, ...] = ()


# Raspberry Pi 3 and Zero 2 W.
ARM64 = Board("arm64", "qemu-aarch64-static", "cortex-a53", "edge-genre[onnx]")
# Raspberry Pi 2. PyPI has wheels neither of NumPy nor of cffi for it, soundfile's is without
# libsndfile, and of ONNX Runtime there is none.
ARMHF = Board(
    "armhf",
    "qemu-arm-static",
    "cortex-a7",
    "edge-genre",
    ("python3-numpy", "python3-cffi", "libsndfile1"),
)
BOARDS = (ARM64, ARMHF)


@dataclass(frozen=True)
class Root:
    """A board's system below ``path``."""

    board: Board
    path: Path

    def python(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run its Python."""
        emulator = (f"/{self.board.qemu}", "-cpu", self.board.cpu)
        return subprocess.run(
            [*_entering(), f"--root={self.path}", *emulator, "/usr/bin/python3"]
            + [str(argument) for argument in arguments],
            # Threads would wait for one another: this machine's cores are not the board's.
            env={"PATH": os.defpath, "PYTHONPATH": f"/{PACKAGE}", "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    def edge_genre(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run the program as it is installed there."""
        return self.python(f"/{PACKAGE}/bin/edge-genre", *arguments)


def prepare(board: Board) -> Root:
    """Make a board's root folder, as far as it is not there already.

    Raises
    ------
    RootError
        A program or a right is missing, or Debian's or Python's packages cannot be had.
    """
    qemu = _program(board.qemu, package="qemu-user-static")
    folder = BUILD / board.name
    folder.mkdir(parents=True, exist_ok=True)
    root = Root(board, folder / "root")
    system, package = folder / "system", folder / "package"  # what was made of which inputs
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        inputs = _digest([Path(__file__), REPOSITORY / "setup.cfg", qemu])
        if not _holds(system, inputs):
            package.unlink(missing_ok=True)
            _unpack_debian(root, folder / "apt")
            shutil.copy(qemu, root.path)
            _check(root)
            system.write_text(inputs)
        inputs = _digest(REPOSITORY / name for name in SOURCES)
        if not _holds(package, inputs):
            _install_package(root)
            _install_requirements(root)
            package.write_text(inputs)
    return root


def _entering() -> list[str]:
    """Program that changes the root folder, for root and for others."""
    command = [str(_program("unshare", package="util-linux"))]
    return command if os.geteuid() == 0 else [*command, "--map-root-user"]


def _program(name: str, *, package: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise RootError(f"{name} is not installed (Debian: apt-get install {package})")
    return Path(found)


def _run(*command: object) -> None:
    words = [str(word) for word in command]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RootError(f"{Path(words[0]).name} failed: {_last_line(result)}")


def _last_line(result: subprocess.CompletedProcess[str]) -> str:
    return ((result.stderr or result.stdout).strip().splitlines() or ["no message"])[-1]


def _digest(paths: Iterable[Path]) -> str:
    """Hash of files and of what is in folders."""
    total = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                total.update(f"{file.relative_to(path.parent)} {file.stat().st_size}\n".encode())
                total.update(file.read_bytes())
    return total.hexdigest()


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


def _unpack_debian(root: Root, apt: Path) -> None:
    """Fill a root with Debian's packages, of the release and from the servers of this machine.

    apt keeps its lists and packages in a folder of its own and takes it that none is installed.
    """
    shutil.rmtree(root.path, ignore_errors=True)
    for name in ("lists", "cache"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    (apt / "status").write_text("")
    settings = {
        "APT::Architecture": root.board.name,
        "APT::Architectures": root.board.name,
        "APT::Sandbox::User": "root",
        "Dir::State": apt,
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
    }
    get = [str(_program("apt-get", package="apt")), "--quiet=2"]
    get += [f"--option={key}={value}" for key, value in settings.items()]
    shutil.rmtree(apt / "cache" / "archives", ignore_errors=True)
    # Lists that this machine alone needs may be missing for the board's processor.
    subprocess.run([*get, "update"], capture_output=True, check=False)
    packages = ("python3", "libstdc++6", *root.board.packages)
    _run(*get, "install", "--download-only", "--no-install-recommends", "--yes", *packages)
    for package in sorted((apt / "cache" / "archives").glob("*.deb")):
        _run(_program("dpkg-deb", package="dpkg"), "--extract", package, root.path)
    # What Debian's choice between alternatives would link, such as blas/libblas.so.3.
    for library in root.path.glob("usr/lib/*/*/lib*.so.3"):
        library.parent.with_name(library.name).symlink_to(f"{library.parent.name}/{library.name}")
    # soundfile's second guess: its first is to ask ldconfig, and no program can start another.
    for library in root.path.glob("usr/lib/*/libsndfile.so.1"):
        library.with_suffix("").symlink_to(library.name)
    (root.path / "dev").mkdir(exist_ok=True)
    (root.path / "dev" / "null").write_bytes(b"")  # swallows what little is written to it


def _check(root: Root) -> None:
    """Refuse a system that does not start."""
    result = root.python("--version")
    if result.returncode:
        raise RootError(
            f"no program starts below {root.path}: be root, or allow user namespaces "
            f"({_last_line(result)})"
        )


def _install_package(root: Root) -> None:
    """Install edge-genre alone, from a wheel of the working tree."""
    shutil.rmtree(root.path / PACKAGE, ignore_errors=True)
    with tempfile.TemporaryDirectory() as source:
        for name in SOURCES:
            path, copy = REPOSITORY / name, Path(source, name)
            if path.is_dir():
                shutil.copytree(path, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, copy)
        _pip("--target", root.path / PACKAGE, source)


def _install_requirements(root: Root) -> None:
    """Install wheels until all that edge-genre requires there is met.

    Markers speak of the board, which pip on this machine cannot know: one round installs what the
    packages found so far ask for.
    """
    program = "import json, os, platform; print(json.dumps([platform.machine(), "
    program += "platform.python_version(), os.confstr('CS_GNU_LIBC_VERSION').split('.')[1]]))"
    machine, python, glibc = json.loads(root.python("-c", program).stdout)
    version = python.rpartition(".")[0]
    target = root.path / f"usr/local/lib/python{version}/dist-packages"
    folders = [root.path / "usr/lib/python3/dist-packages", target, root.path / PACKAGE]
    environment = {"python_version": version, "python_full_version": python}
    environment["platform_machine"] = machine
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(OLDEST_GLIBC, int(glibc) + 1)]
    platforms.append(f"manylinux2014_{machine}")
    while missing := _missing(root.board.requirement, folders, environment):
        _pip(
            *("--target", target, "--python-version", version, "--only-binary=:all:"),
            *(f"--platform={name}" for name in platforms),
            *missing,
        )


def _missing(wanted: str, folders: Sequence[Path], environment: dict[str, str]) -> list[str]:
    """Requirements, direct and indirect, that no package in the folders meets."""
    # The last folder's wins, as it does there.
    installed = distributions(path=[str(folder) for folder in folders])
    found = {canonicalize_name(each.name): each for each in installed}
    missing = []
    queue = [Requirement(wanted)]
    for requirement in queue:  # which grows
        package = found.get(canonicalize_name(requirement.name))
        if package is None or package.version not in requirement.specifier:
            missing.append(f"{requirement.name}{requirement.specifier}")
            continue
        for extra in ("", *requirement.extras):
            here = {**environment, "extra": extra}
            for each in map(Requirement, package.requires or ()):
                if each not in queue and (each.marker is None or each.marker.evaluate(here)):
                    queue.append(each)
    return missing


def _pip(*arguments: object) -> None:
    _run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *arguments)


def _report(board: Board) -> str:
    begin = time.monotonic()
    root = prepare(board)
    return f"{root.path.relative_to(REPOSITORY)}: ready after {time.monotonic() - begin:.1f} s"


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([board.name for board in BOARDS]))
def main(names: tuple[str, ...]) -> None:
    """Make the root folders of some boards, or of all."""
    boards = [board for board in BOARDS if not names or board.name in names]
    try:
        with ThreadPoolExecutor() as threads:
            for line in threads.map(_report, boards):
                click.echo(line)
    except RootError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
