"""Rehearse a release: build an sdist and a wheel, check both, install the wheel and run it.

Run it as ``python -m tests.programs.release`` (``make release``). What it leaves in ``dist`` is
what was tested. It needs a package index to install from, and uploads nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import click

from edge_genre.demo import clip

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
# What setuptools adds to an sdist by itself.
_ADDED = ("PKG-INFO", "edge_genre.egg-info/")
_HEAVY = ("tensorflow", "torch", "librosa", "scipy")


def build() -> tuple[Path, Path]:
    """Make the sdist, and the wheel of the sdist."""
    shutil.rmtree(DIST, ignore_errors=True)
    _run(sys.executable, "-m", "build", "--outdir", DIST, ROOT)
    (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    return sdist, wheel


def problems_of_sdist(sdist: Path, tracked: set[str]) -> list[str]:
    """What an sdist lacks of the repository's files, and what it should not have."""
    with tarfile.open(sdist) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    found = {name for name in names if not name.startswith(_ADDED)}
    return [f"lacks {name}" for name in sorted(tracked - found)] + [
        f"has {name}, which is not in the repository" for name in sorted(found - tracked)
    ]


def problems_of_wheel(wheel: Path, tracked: set[str]) -> list[str]:
    """What a wheel has beside the package, and what it lacks of the bundled models."""
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"edge_genre/{name.removeprefix('models/')}"
        for name in tracked
        if name.startswith("models/bundled/")
    } | {"edge_genre/py.typed", "edge_genre/demo/demo.ogg"}
    outside = {name for name in names if not name.startswith(("edge_genre/", "edge_genre-"))}
    return [f"lacks {name}" for name in sorted(wanted - names)] + [
        f"has {name} outside the package" for name in sorted(outside)
    ]


def tracked_files() -> set[str]:
    """The repository's files."""
    listed = _run("git", "-C", ROOT, "ls-files", "-z").split("\0")
    return {name for name in listed if name}


def try_out(wheel: Path) -> None:
    """Install a wheel where nothing else is, and run the program there."""
    with tempfile.TemporaryDirectory(prefix="edge-genre-release-") as folder:
        environment = Path(folder) / "environment"
        venv.create(environment, with_pip=True)
        programs = environment / ("Scripts" if os.name == "nt" else "bin")
        _run(programs / "python", "-m", "pip", "install", "--quiet", wheel)
        listed = _run(programs / "python", "-m", "pip", "list", "--format=freeze").lower()
        for package in _HEAVY:
            if f"\n{package}==" in f"\n{listed}":
                sys.exit(f"release: the wheel installs {package}")
        song = shutil.copy(clip(), Path(folder) / "song.ogg")
        for arguments in (("--version",), ("models",), ("classify", song)):
            click.echo(_run(programs / "edge-genre", *arguments, cwd=folder), nl=False)


def main() -> None:
    """All steps; the first that fails ends them."""
    tracked = tracked_files()
    sdist, wheel = build()
    _run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    expected = version("edge-genre")
    problems = [
        f"{path.name}: not version {expected}"
        for path in (sdist, wheel)
        if f"-{expected}" not in path.name
    ]
    problems += [f"{sdist.name} {line}" for line in problems_of_sdist(sdist, tracked)]
    problems += [f"{wheel.name} {line}" for line in problems_of_wheel(wheel, tracked)]
    if problems:
        sys.exit("\n".join(f"release: {line}" for line in problems))
    try_out(wheel)
    click.echo(f"release: {sdist.name} and {wheel.name} are in {DIST}")


def _run(*command: object, cwd: str | None = None) -> str:
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("EDGE_GENRE_", "PYTHON"))
    }
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        sys.exit(f"release: {' '.join(map(str, command))} failed:\n{result.stdout}{result.stderr}")
    return result.stdout


if __name__ == "__main__":
    main()
