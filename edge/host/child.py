"""Child processes: how one is started, how it is ended, and how its end reads.

What speaks with a child is built on this: `edge_genre.host.process` (an object that answers),
`edge_genre.convert.isolation` (tasks, each with a time limit) and the checks of
`edge_genre.service.doctor`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class End:
    """How a child ended.

    Parameters
    ----------
    code : its exit code, or the number of the signal that ended it, below 0; None if it was not
        done in time
    output, errors : what it wrote to pipes
    """

    code: int | None
    output: bytes = b""
    errors: bytes = b""


class Child:
    """A Python process of its own.

    Parameters
    ----------
    arguments : of the interpreter, such as ``"-m", MODULE``
    environment : variables that it has beside this process's
    group : whether it has a process group of its own: Ctrl-C on a terminal is then for this process
        alone, and what the child starts ends with it
    text : whether pipes carry text
    stdin, stdout, stderr : as `subprocess.Popen` takes them; there is no input if left out

    Raises
    ------
    OSError
        It cannot be started.
    """

    def __init__(
        self,
        *arguments: str | Path,
        environment: Mapping[str, str] | None = None,
        group: bool = True,
        text: bool = False,
        stdin: int | IO[Any] | None = subprocess.DEVNULL,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
    ) -> None:
        self._group = group
        self._process: subprocess.Popen[Any] = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=text,
            env={**os.environ, **(environment or {})},
            start_new_session=group,
        )
        self.stdin, self.stdout = self._process.stdin, self._process.stdout

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit code, as of `End`; None, and it goes on, if it is not done after ``timeout``."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def finish(self, timeout: float) -> End:
        """Read what it writes to pipes until it ends, and end it if that takes too long."""
        try:
            output, errors = self._process.communicate(timeout=timeout)
            code: int | None = self._process.returncode
        except subprocess.TimeoutExpired:
            self.kill()
            output, errors = self._process.communicate()
            code = None
        finally:
            self.kill()
        return End(code, output or b"", errors or b"")

    def kill(self) -> None:
        """End it now, with all of its group, if it still runs."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                if self._group:
                    os.killpg(self._process.pid, signal.SIGKILL)
                else:
                    self._process.kill()
            self._process.wait()


def death(code: int) -> str:
    """What ended a process, such as ``was ended by SIGSEGV (Segmentation fault)``."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name} ({signal.strsignal(-code)})"
    return f"ended with exit code {code}"
