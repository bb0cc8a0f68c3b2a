"""A folder of audio as training data: its tracks, their groups, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_genre.errors import DataError
from edge_genre.frontend import FrontEndSpec
from edge_genre.models.data.audio_folder import AudioTrack, read_folder
from edge_genre.models.data.grouping import grouped_split
from tests.support.genre_folder import RATE, SECONDS, SPEC, groups_of, song


def test_tracks_have_genre_features_and_a_group_of_their_own(
    read: Callable[..., list[AudioTrack]], folder: Path
) -> None:
    seen: list[tuple[int, int]] = []
    tracks = read(progress=lambda done, total: seen.append((done, total)))
    assert [track.genre for track in tracks] == ["jazz"] * 10 + ["rock"] * 10
    assert {track.path for track in tracks} == set(folder.rglob("*.flac"))
    assert len({track.group for track in tracks}) == 20
    assert seen == [(n, 20) for n in range(1, 21)]
    assert {track.sound.windows.shape for track in tracks} == {(SECONDS, *SPEC.shape)}
    assert all(track.sound.windows.dtype == np.float32 for track in tracks)


def test_features_are_kept_in_the_users_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    read_folder(folder, SPEC)
    assert len(list((tmp_path / "xdg" / "edge-genre").iterdir())) == 20
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    read_folder(folder, SPEC)
    assert len(list((tmp_path / "home" / ".cache" / "edge-genre").iterdir())) == 20


def test_what_cannot_be_used_is_named_and_left_out(
    read: Any, folder: Path, decoded: list[str]
) -> None:
    rock = folder / "rock"
    (rock / "text.mp3").write_text("no audio")
    (rock / "cut.flac").write_bytes((rock / "0.flac").read_bytes()[:20_000])
    soundfile.write(rock / "short.wav", song(50)[: RATE // 2], RATE)
    soundfile.write(rock / "silent.wav", 1e-5 * song(51), RATE)
    soundfile.write(rock / "nan.wav", np.full(2 * RATE, np.nan), RATE, subtype="FLOAT")
    soundfile.write(folder / "loose.wav", song(52), RATE)
    (rock / "notes.txt").write_text("not audio at all")
    (rock / ".hidden.wav").write_text("")
    (folder / ".thumbnails").mkdir()
    assert len(read()) == 20
    lines = dict(line.split(": ", 1) for line in read.lines)
    assert {Path(path).name for path in lines} == {
        *("text.mp3", "cut.flac", "short.wav", "silent.wav", "nan.wav", "loose.wav")
    }
    assert lines[str(folder / "loose.wav")] == "is in no genre's folder"
    assert "no audio file" in lines[str(rock / "text.mp3")]
    assert "cut off" in lines[str(rock / "cut.flac")]
    assert lines[str(rock / "short.wav")] == "is shorter than a window of 1 s"
    assert lines[str(rock / "silent.wav")] == "all of it is silent"
    assert "is nan" in lines[str(rock / "nan.wav")]
    assert all("\n" not in line for line in lines.values())


def test_a_song_that_begins_silently_is_used(read: Any, folder: Path) -> None:
    soundfile.write(
        folder / "rock" / "late.wav", np.concatenate([np.zeros(5 * RATE), song(60)]), RATE
    )
    assert len(read()) == 21


def test_too_few_files_of_a_genre_are_refused(
    read: Callable[..., list[AudioTrack]], folder: Path, decoded: list[str]
) -> None:
    (folder / "rock" / "0.flac").unlink()
    (folder / "pop").mkdir()
    with pytest.raises(DataError, match=r"too few audio files of pop \(0\), rock \(9\), expected"):
        read()
    assert decoded == []  # it is known before


def test_too_few_usable_files_of_a_genre_are_refused(
    read: Callable[..., list[AudioTrack]], folder: Path
) -> None:
    for path in (folder / "rock").rglob("*.flac"):
        path.write_text("no audio")
    with pytest.raises(DataError, match=r"too few usable files of rock \(0\), expected 10 or more"):
        read()


def test_one_genre_is_refused(read: Callable[..., list[AudioTrack]], folder: Path) -> None:
    shutil.rmtree(folder / "rock")
    with pytest.raises(DataError, match=r"one genre folder \(jazz\), expected two or more"):
        read()


def test_no_folder_and_no_audio_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_folder(tmp_path / "missing", SPEC)
    with pytest.raises(DataError, match="holds no audio"):
        read_folder(tmp_path, SPEC)
    soundfile.write(tmp_path / "loose.wav", song(0), RATE)
    with pytest.raises(DataError, match="no genre folders, expected two or more"):
        read_folder(tmp_path, SPEC)


def test_copies_are_never_on_both_sides(
    read: Callable[..., list[AudioTrack]], folder: Path
) -> None:
    """The same bytes in another genre, and a quieter OGG that begins later."""
    for number in range(10):
        if number < 5:
            shutil.copy(folder / "jazz" / f"{number}.flac", folder / "rock" / f"same{number}.flac")
        else:
            later = 0.5 * song(10 + number % 9)[RATE // 2 :]
            soundfile.write(folder / "rock" / f"later{number}.ogg", later, RATE)
    tracks = read()
    found = groups_of(tracks)
    for number in range(5):
        assert found[f"jazz/{number}.flac"] == found[f"rock/same{number}.flac"]
    for number in range(5, 9):
        assert found[f"rock/{number}.flac"] == found[f"rock/later{number}.ogg"]
    assert len(set(found.values())) == 20
    labels, groups = zip(*[(track.genre, track.group) for track in tracks], strict=True)
    for seed in range(20):
        held_out = grouped_split(labels, groups, seed=seed)
        sides = {
            side: {g for g, out in zip(groups, held_out, strict=True) if out == side}
            for side in (True, False)
        }
        assert not sides[True] & sides[False]


def test_real_clips_keep_their_features(clips: Path, tmp_path: Path) -> None:
    """Opus at 48 kbit/s through the bundled model's front end, from its file and from the cache."""
    for genre in ("blues", "metal"):
        (tmp_path / genre).mkdir()
        for path in sorted(clips.glob(f"{genre}.*.opus"))[:10]:
            (tmp_path / genre / path.name).symlink_to(path)
    spec = FrontEndSpec.preset("songnet-gtzan")
    tracks, again = (read_folder(tmp_path, spec, cache=tmp_path / ".cache") for _ in range(2))
    assert len({track.group for track in tracks}) == len(tracks) == 20
    for one, other in zip(tracks, again, strict=True):
        for name, array in one.sound.arrays.items():
            np.testing.assert_array_equal(other.sound.arrays[name], array)
