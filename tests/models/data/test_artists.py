"""Whose recordings files are, by a table and by tags."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutagen
import pytest
import soundfile
from mutagen.id3 import TPE1

from edge_genre.errors import DataError
from edge_genre.models.data.audio_folder import AudioTrack
from tests.support.genre_folder import RATE, groups_of, song


def test_a_table_groups_by_artist_else_album(
    read: Callable[..., list[AudioTrack]], folder: Path, tmp_path: Path
) -> None:
    soundfile.write(folder / "rock" / "own name.wav", song(70), RATE)
    table = tmp_path / "table.csv"
    table.write_text(
        "\ufeffPath,Genre,ARTIST,Album\n"
        "jazz/0.flac,jazz,Nina  Simone,A\n"
        "rock\\0.flac,rock, nina simone ,B\n"
        "own name.wav,rock,NINA SIMONE,\n"
        "jazz/1.flac,jazz,,C\n"
        "jazz/2.flac,jazz,Various Artists,c\n"
        "jazz/3.flac,jazz,Unknown Artist,\n"
        "jazz/4.flac,jazz,,\n"
        "nowhere.flac,jazz,x,\n"
    )
    found = groups_of(read(metadata=table))
    assert {name for name, group in found.items() if group == "artist: nina simone"} == {
        *("jazz/0.flac", "rock/0.flac", "rock/own name.wav")
    }
    assert found["jazz/1.flac"] == found["jazz/2.flac"] == "album: c"
    assert len(set(found.values())) == len(found) - 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title,artist\na,b\n", "has columns title, artist, expected file"),
        ("file,genre\na,b\n", "expected file .* and artist or album"),
        ("", "expected file"),
        ("file,artist\nother.wav,b\n", "names none of the files.*such as jazz/0.flac"),
        ("file,artist\n0.flac,b\n0.flac,c\n", "0.flac is of artist: b and of artist: c"),
        (b"file,artist\n0.flac,\xff\n", "no CSV file in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    read: Callable[..., list[AudioTrack]],
    tmp_path: Path,
    content: str | bytes,
    message: str,
    decoded: list[str],
) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read(metadata=table)
    assert decoded == []


def test_a_missing_table_is_refused(read: Callable[..., list[AudioTrack]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read(metadata=tmp_path / "missing.csv")


def test_tags_group_where_the_table_does_not(
    read: Callable[..., list[AudioTrack]], folder: Path, tmp_path: Path
) -> None:
    rock = folder / "rock"
    files = {
        "a.ogg": ("OGG", "VORBIS"),
        "b.mp3": ("MP3", "MPEG_LAYER_III"),
        "c.opus": ("OGG", "OPUS"),
        "d.wav": ("WAV", "PCM_16"),
    }
    for number, (name, (container, coding)) in enumerate(files.items()):
        soundfile.write(rock / name, song(80 + number), RATE, format=container, subtype=coding)
    for name in ("0.flac", "a.ogg", "b.mp3", "c.opus"):
        tagged = mutagen.File(rock / name, easy=True)
        if tagged.tags is None:
            tagged.add_tags()
        tagged["artist"] = "Miles  DAVIS" if name == "b.mp3" else "Miles Davis"
        tagged.save()
    wave = mutagen.File(rock / "d.wav")
    wave.add_tags()
    wave.tags.add(TPE1(encoding=3, text="miles davis"))
    wave.save()
    (rock / "damaged.mp3").write_bytes(b"ID3\x04\x00\x00\x00\x00\x00")  # is left out all the same
    table = tmp_path / "table.csv"
    table.write_text("file,artist\nrock/0.flac,Gil Evans\njazz/1.flac,Miles Davis\n")
    found = groups_of(read(metadata=table))
    assert found["rock/0.flac"] == "artist: gil evans"  # the table goes first
    assert {name for name, group in found.items() if group == "artist: miles davis"} == {
        *("jazz/1.flac", "rock/a.ogg", "rock/b.mp3", "rock/c.opus", "rock/d.wav")
    }


def test_without_mutagen_it_is_said_once(
    read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "mutagen" else real(name)
    )
    assert len(read()) == 20
    assert read.lines == ["artists are not read from tags: pip install 'edge-genre[train]'"]
