"""What a test needs beyond the developers' installation."""

import importlib
import os
import shutil
import subprocess
from types import ModuleType
from typing import NoReturn

import pytest


def require_system(missing: list[str]) -> None:
    """Skip a test whose Debian packages are missing, or fail it, as `lacking` does."""
    if not missing:
        return
    lacking(f"not installed: {' '.join(missing)}")


def require_package(name: str) -> ModuleType:
    """Import a large Python package that the extra `dev` does not bring; or skip, or fail."""
    try:
        return importlib.import_module(name)
    except ImportError:
        lacking(f"not installed: {name}")


def require_root(why: str) -> None:
    """Skip a test that only root may run; or fail it."""
    if os.geteuid() != 0:
        lacking(f"not root: {why}")


def require_mounts() -> None:
    """Skip, or fail, a test that mounts file systems: in most containers root may not."""
    require_root("cannot mount the file systems that fail")
    require_system([name for name in ("mount", "unshare") if not shutil.which(name)])
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/tmp"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        lacking(f"root may not mount here: {tried.stderr.strip()}")


def lacking(reason: str) -> NoReturn:
    """Skip a test for what the machine lacks; with EDGE_GENRE_REQUIRE_ALL=1, fail it."""
    if os.environ.get("EDGE_GENRE_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)
