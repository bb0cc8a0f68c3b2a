"""The command line as a whole: help, mistyped words, streams that are closed, Ctrl-C."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.programs.documentation import every_command
from tests.support.command_line import command, lines, run, shell


@pytest.mark.parametrize(("name", "entry"), every_command().items())
def test_every_command_and_option_has_help(name: str, entry: Any) -> None:
    assert entry.help
    for parameter in entry.params:
        if parameter.param_type_name == "option":
            assert parameter.help, f"{name} {parameter.name}"
    for option in ("-h", "--help"):
        assert "Usage:" in run(name, option).stdout


def test_version() -> None:
    assert "edge-genre, version" in run("--version").stdout


def test_interrupt(folder: Path, model: Path) -> None:
    """Ctrl-C ends with 130 and without a traceback; what was printed is whole."""
    process = command("listen", "--input", folder / "more/b.flac", "-m", model, "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert all(window["schema"] == 1 for window in lines(first + rest))


def test_closed_pipe(folder: Path, model: Path) -> None:
    """Who reads only the first line gets no complaint."""
    many = " ".join([str(folder)] * 60)
    result = shell(f"edge-genre classify {many} -m {model} --json --windows | head -n 1")
    assert len(lines(result.stdout)) == 1
    assert result.stderr == ""
    assert result.returncode == 0


@pytest.mark.parametrize(
    ("redirect", "code"), [(">/dev/full", 1), (">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)]
)
@pytest.mark.parametrize("arguments", ["--help", "models", "classify {song} -m {model}"])
def test_outputs_that_take_nothing(
    folder: Path, model: Path, arguments: str, redirect: str, code: int
) -> None:
    filled = arguments.format(song=folder / "a.wav", model=model)
    result = shell(f"edge-genre {filled} {redirect}")
    assert result.returncode == code
    assert len(result.stderr.splitlines()) == code


def test_closed_standard_input(model: Path) -> None:
    for arguments in (f"classify - -m {model}", f"listen --input - -m {model}"):
        result = shell(f"edge-genre {arguments} <&-")
        assert result.returncode == 1
        assert result.stderr == "edge-genre: -: the standard input is closed\n"


@pytest.mark.parametrize(
    ("mistyped", "meant"), [("clasify", "classify"), ("Listen", "listen"), ("modles", "models")]
)
def test_a_mistyped_command_gets_a_suggestion(mistyped: str, meant: str) -> None:
    error = run(mistyped, code=2).stderr.splitlines()[-1]
    assert error == f"Error: No such command {mistyped!r}. Did you mean {meant!r}?"


def test_a_word_like_no_command_gets_none() -> None:
    assert run("xyz", code=2).stderr.splitlines()[-1] == "Error: No such command 'xyz'."


def test_a_mistyped_option_gets_a_suggestion() -> None:
    assert "'--hop'" in run("classify", "a.wav", "--hopp", "1", code=2).stderr
