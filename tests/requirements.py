"""System packages that a test needs."""

import os

import pytest


def require_system(missing: list[str]) -> None:
    """Skip a test whose Debian packages are missing; with EDGE_GENRE_REQUIRE_ALL=1, fail it."""
    if not missing:
        return
    reason = f"not installed: {' '.join(missing)}"
    if os.environ.get("EDGE_GENRE_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
