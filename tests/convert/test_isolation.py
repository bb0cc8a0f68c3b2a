"""What a child process may do to its parent: nothing."""

import os
import threading
import time
from pathlib import Path

import pytest

from edge_genre.convert.isolation import Children
from tests.support.misbehaving_worker import Crash, Exit, Hang, Number, Obey, Refuse
from tests.support.waiting import PATIENCE, on_time, wait_for

WORKER = "tests.support.misbehaving_worker"


@pytest.fixture(autouse=True)
def _find_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def children(tmp_path: Path) -> Children:
    return Children(tmp_path, PATIENCE, worker=WORKER)


def test_what_a_step_finds_comes_back(children: Children) -> None:
    outcome = children.run(Obey((1, 2)))
    assert outcome.status == "done"
    assert outcome.found == Number(42, (1, 2))
    assert outcome.log == ("converting ...",)


def test_a_refusal_is_a_message(children: Children) -> None:
    outcome = children.run(Refuse(()))
    assert (outcome.status, outcome.message) == ("failed", "unsupported")


def test_a_crash_is_named_with_its_signal(children: Children) -> None:
    outcome = children.run(Crash(()))
    assert outcome.status == "crashed"
    assert "the converter was ended by SIGSEGV (Segmentation fault): " in outcome.message
    assert "converting ..." in outcome.log


def test_an_early_end_is_named_with_what_it_printed(children: Children) -> None:
    outcome = children.run(Exit(()))
    assert outcome.status == "crashed"
    assert outcome.message == (
        "the converter ended with exit code 7: RuntimeError: no such operator"
    )


def test_a_hang_ends_at_the_time_limit(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    begin = time.monotonic()
    outcome = Children(tmp_path, 2, worker=WORKER).run(Hang(str(pid)))
    assert time.monotonic() - begin < 300  # it hangs for twice as long
    assert outcome.status == "timed out"
    assert "2 s" in outcome.message
    on_time(_written(pid), "the worker had not begun to hang after 2 s")
    assert not _alive(int(pid.read_text()))


def test_leaving_ends_what_still_runs(tmp_path: Path) -> None:
    """As on Ctrl-C."""
    pid = tmp_path / "pid"
    with Children(tmp_path, 60, worker=WORKER) as children:
        thread = threading.Thread(target=children.run, args=(Hang(str(pid)),))
        thread.start()
        wait_for(lambda: _written(pid))
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not _alive(int(pid.read_text()))


def _written(path: Path) -> bool:
    return path.exists() and bool(path.read_text())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
