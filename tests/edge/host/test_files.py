"""Files of users: one line where the system refuses, and never half a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_genre.errors import ConversionError, DataError, one_line
from edge_genre.host.files import reading, write_whole, writing


def test_what_the_system_refuses_is_one_line(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    expected = r"missing: cannot be read \(No such file or directory\)$"
    with pytest.raises(DataError, match=expected), reading(missing):
        missing.read_bytes()
    expected = r"that: cannot be written \(Is a directory\)$"
    with pytest.raises(ConversionError, match=expected), writing("that", ConversionError):
        tmp_path.open("wb")


def test_an_error_without_a_reason_says_what_it_is() -> None:
    with pytest.raises(DataError, match=r"cannot be read \(disk\s*full\)"), reading("x"):
        raise OSError("disk\n full")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "first")
    write_whole(path, b"second", mode=0o600, lasting=True)
    assert path.read_text() == "second"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_what_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, "first")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"), writing(path):
        write_whole(path, "second", lasting=True)
    assert path.read_text() == "first"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_one_line() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert one_line(ValueError()) == "ValueError"
    assert one_line("x" * 50, limit=10) == "x" * 7 + "..."
