"""What a test needs beyond the developers' installation."""

import importlib
import os
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


def _skip(reason: str) -> NoReturn:
    if os.environ.get("EDGE_GENRE_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)
