"""A folder of music by genre, read again and again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from edge_genre.models.data import whole_track
from edge_genre.models.data.audio_folder import AudioTrack, read_folder
from tests.support.genre_folder import RATE, SPEC, song


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for number, genre in enumerate(("jazz", "rock")):
        (folder / genre / "deep").mkdir(parents=True)
        for index in range(10):
            where = folder / genre / ("deep" if index == 9 else "")
            soundfile.write(where / f"{index}.flac", song(10 * number + index), RATE)
    return folder


@pytest.fixture
def folder(_made: Path, tmp_path: Path) -> Path:
    """Two genres of ten songs, for a test to change."""
    return Path(shutil.copytree(_made, tmp_path / "music"))


@pytest.fixture
def read(folder: Path, tmp_path: Path) -> Callable[..., list[AudioTrack]]:
    """Read it, with the lines of what was left out in ``read.lines``."""

    def read_it(**options: Any) -> list[AudioTrack]:
        read_it.lines = []  # type: ignore[attr-defined]
        options = {"cache": tmp_path / "cache", "left_out": read_it.lines.append} | options  # type: ignore[attr-defined]
        return read_folder(folder, SPEC, **options)

    return read_it


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are decoded, as it happens."""
    names: list[str] = []

    class Counted(whole_track.AudioFile):
        def __init__(self, path: Path) -> None:
            names.append(path.name)
            super().__init__(path)

    monkeypatch.setattr(whole_track, "AudioFile", Counted)
    return names


@pytest.fixture(scope="session")
def _kept(_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("kept")
    read_folder(_made, SPEC, cache=cache)
    return cache


@pytest.fixture
def kept(_kept: Path, tmp_path: Path) -> Path:
    """The cache of `read` with the folder's features in it, for a test to change."""
    return Path(shutil.copytree(_kept, tmp_path / "cache"))
