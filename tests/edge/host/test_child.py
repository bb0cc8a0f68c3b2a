"""Child processes, which end with all that they started, and whose end is put into words."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from edge_genre.host.child import Child, death
from tests.support.waiting import wait_for

FAMILY = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(str(child.pid))
print("begun", flush=True)
child.wait()
"""


def test_what_it_writes_and_how_it_ends() -> None:
    program = (
        "import os, sys; print(os.environ['GREETING']); print('why', file=sys.stderr); exit(7)"
    )
    child = Child(
        *("-c", program),
        environment={"GREETING": "hello"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    end = child.finish(300)
    assert (end.code, end.output, end.errors) == (7, b"hello\n", b"why\n")


def test_it_has_no_input() -> None:
    end = Child("-c", "print(input())", stderr=subprocess.PIPE).finish(300)
    assert end.code == 1
    assert b"EOFError" in end.errors


def test_what_takes_too_long_ends_with_all_that_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    child = Child("-c", FAMILY, pid, stdout=subprocess.PIPE)
    wait_for(lambda: pid.exists() and pid.read_text() != "")
    end = child.finish(0.1)
    assert (end.code, end.output) in ((None, b"begun\n"), (None, b""))
    wait_for(lambda: not _alive(int(pid.read_text())))


@pytest.mark.parametrize("group", [True, False])
def test_it_is_waited_for_and_ended(group: bool) -> None:
    child = Child("-c", "import time; time.sleep(600)", group=group)
    assert child.wait(0.1) is None
    child.kill()
    assert child.wait() == -signal.SIGKILL
    child.kill()  # once more does nothing


def test_ends_in_words() -> None:
    child = Child("-c", "import os; os.abort()", stderr=subprocess.DEVNULL)
    code = child.wait()
    assert code is not None
    assert death(code) == "was ended by SIGABRT (Aborted)"
    assert death(3) == "ended with exit code 3"


def _alive(pid: int) -> bool:
    """Whether it runs; one that ended and is waited for by nobody does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
