"""What is wrong with an installation, a machine and its microphone, and what to do about it.

Whatever runs others' machine code does so in a child process: wheels have ended whole processes
with an illegal instruction, and PortAudio aborts the one in which it finds no device to try. Such
an end is a finding like any other.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable

from edge_genre.errors import EdgeGenreError, one_line
from edge_genre.service import checks
from edge_genre.service.checks import BROKEN, CHECKS, Finding, Findings, Options

_CHILD_SECONDS = 120.0  # a Pi Zero takes ten to load an engine from a slow card
_REINSTALL = "its wheel may be for another processor: pip install another version of it"
# Checks that are made in a process of their own, and what to do where it ends early.
_IN_CHILD = {
    "numpy": _REINSTALL,
    "engine": _REINSTALL,
    "model": "see the engine that runs it",
    "microphone": "sudo apt install --reinstall libportaudio2",
    "recording": "unplug it and plug it in again, or take another one (--device)",
    "disk": "see dmesg: the disk may be failing",
}


def examine(options: Options, *, progress: Callable[[str], None] = lambda _: None) -> Findings:
    """Look at everything, and yield each finding as soon as it is made.

    No failure of a check, nor the end of its process, keeps another one from being made.

    Parameters
    ----------
    options : what to look at
    progress : is told what is looked at now
    """

    def look(name: str, subject: str = "") -> list[Finding]:
        progress(f"{name} {subject}".strip())
        make = _in_child if name in _IN_CHILD else _guarded
        return list(make(name, subject, options))

    yield from look("python")
    yield from look("numpy")
    yield from look("engines")
    for engine in checks.installed_engines():
        yield from look("engine", engine)
    for model in checks.runnable_models():
        yield from look("model", model)
    sound = look("microphone")
    yield from sound
    if options.recording and all(found.state != BROKEN for found in sound):
        yield from look("recording")
    yield from look("machine")
    yield from look("disk")


def _guarded(name: str, subject: str, options: Options) -> Findings:
    """Make a check whose failure is a finding, too."""
    try:
        yield from CHECKS[name](options, subject)
    except EdgeGenreError as error:
        yield Finding(name, BROKEN, str(error))
    except Exception as error:
        found = f"{type(error).__name__}: {one_line(error)}"
        yield Finding(name, BROKEN, _about(subject, found), _IN_CHILD.get(name, ""))


def _in_child(name: str, subject: str, options: Options) -> Findings:
    """Make a check in a process of its own, whose end is a finding, too."""
    arguments = [name, subject, json.dumps(options.to_dict())]
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", "edge_genre.service.doctor", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CHILD_SECONDS,
            check=False,
        )
        output, ending = child.stdout, _ending(child.returncode, child.stderr)
    except subprocess.TimeoutExpired as error:
        output, ending = error.stdout or b"", f"was not done after {_CHILD_SECONDS:g} s"
    except OSError:  # QEMU's emulation of a process can start no other
        yield from _guarded(name, subject, options)
        return
    for line in output.splitlines():
        with contextlib.suppress(ValueError, TypeError):  # a library's own words
            yield Finding.from_dict(json.loads(line))
    if ending:
        yield Finding(name, BROKEN, _about(subject, ending), _IN_CHILD[name])


def _ending(code: int, errors: bytes) -> str:
    """How a process ended, if not well."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"its process was ended by {name} ({signal.strsignal(-code)})"
    lines = errors.decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "no word")
    return f"its process ended with exit code {code} ({one_line(last)})" if code else ""


def _about(subject: str, text: str) -> str:
    return f"{subject}: {text}" if subject else text


def _answer(name: str, subject: str, options: str) -> None:
    """Be the child: print each finding as soon as it is made."""
    for found in _guarded(name, subject, Options.from_dict(json.loads(options))):
        sys.stdout.write(f"{json.dumps(found.to_dict())}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _answer(*sys.argv[1:])
