"""What is wrong with an installation, a machine and its microphone, and what to do about it.

Whatever runs others' machine code does so in a child process: wheels have ended whole processes
with an illegal instruction, and PortAudio aborts the one in which it finds no device to try. Such
an end is a finding like any other.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable

from edge_genre.errors import EdgeGenreError, one_line
from edge_genre.host.child import Child, End, death
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
        child = Child(
            *("-P", "-m", "edge_genre.service.doctor", *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError:  # QEMU's emulation of a process can start no other
        yield from _guarded(name, subject, options)
        return
    end = child.finish(_CHILD_SECONDS)
    for line in end.output.splitlines():
        with contextlib.suppress(ValueError, TypeError):  # a library's own words
            yield Finding.from_dict(json.loads(line))
    ending = _ending(end)
    if ending:
        yield Finding(name, BROKEN, _about(subject, ending), _IN_CHILD[name])


def _ending(end: End) -> str:
    """How a process ended, if not well."""
    if end.code is None:
        return f"was not done after {_CHILD_SECONDS:g} s"
    if end.code <= 0:
        return f"its process {death(end.code)}" if end.code else ""
    lines = end.errors.decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "no word")
    return f"its process {death(end.code)} ({one_line(last)})"


def _about(subject: str, text: str) -> str:
    return f"{subject}: {text}" if subject else text


def _answer(name: str, subject: str, options: str) -> None:
    """Be the child: print each finding as soon as it is made."""
    for found in _guarded(name, subject, Options.from_dict(json.loads(options))):
        sys.stdout.write(f"{json.dumps(found.to_dict())}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _answer(*sys.argv[1:])
