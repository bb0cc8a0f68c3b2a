"""The command line as a user runs it: in this process, as the real program, on a terminal."""

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from edge_genre.cli import main


def run(*arguments: object, stdin: bytes | None = None, code: int = 0) -> Result:
    """Run a command in this process and check its exit code."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)
    assert result.exit_code == code, result.output
    # The runner turns a crash into exit code 1.
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def command(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start the real program."""
    program = Path(sys.executable).with_name("edge-genre")
    return subprocess.Popen(
        [str(program), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which ``edge-genre`` stands for the real program."""
    program = Path(sys.executable).with_name("edge-genre")
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; edge-genre() {{ {program} "$@"; }}; {line}'],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def terminal(*arguments: object, columns: int = 60) -> str:
    """What the real program shows on a terminal of some width."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    program = Path(sys.executable).with_name("edge-genre")
    process = subprocess.Popen(
        [str(program), *map(str, arguments)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm", "COLUMNS": str(columns), "PYTHONUTF8": "1"},
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # which is how a terminal says that nobody writes any more
        while data := os.read(controller, 65_536):
            shown += data
    os.close(controller)
    assert process.wait(timeout=300) == 0, shown.decode()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
