"""What a test needs beyond the developers' installation."""

import importlib
import os
import shutil
import subprocess
from types import ModuleType
from typing import NoReturn

import pytest


def require_system(missing: list[str]) -> None:
    """Skip a test whose Debian packages are missing; with EDGE_GENRE_REQUIRE_ALL=1, fail it."""
    if not missing:
        return
    _skip(f"not installed: {' '.join(missing)}")


def require_package(name: str) -> ModuleType:
    """Import a large Python package that is no part of the extra `dev`; skip or fail as above."""
    try:
        return importlib.import_module(name)
    except ImportError:
        _skip(f"not installed: {name}")


def require_root(why: str) -> None:
    """Skip a test that only root may run; or fail it, as above."""
    if os.geteuid() != 0:
        _skip(f"not root: {why}")


def require_mounts() -> None:
    """Skip, or fail as above, a test that mounts file systems: in most containers root may not."""
    require_root("cannot mount the file systems that fail")
    require_system([name for name in ("mount", "unshare") if not shutil.which(name)])
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/tmp"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        _skip(f"root may not mount here: {tried.stderr.strip()}")


def _skip(reason: str) -> NoReturn:
    if os.environ.get("EDGE_GENRE_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)
