"""Keeping C libraries from writing to the terminal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Send the process's standard error nowhere for a moment.

    For notes that a library prints by itself and has no setting for; its errors arrive as
    exceptions in any case. What other threads write in that moment is lost too.
    """
    try:
        saved = os.dup(2)
    except OSError:  # a service without a standard error
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
