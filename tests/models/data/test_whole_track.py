"""What is kept of whole files: computed once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_genre.errors import DataError
from edge_genre.models.data.audio_folder import AudioTrack, read_folder
from edge_genre.models.data.stored import Levels
from tests.support.genre_folder import RATE, SECONDS, SPEC, song
from tests.support.signals import music


def frames_of(track: AudioTrack) -> np.ndarray:
    """Levels of its frames."""
    assert track.sound.frames is not None
    return track.sound.frames


def same(one: AudioTrack, other: AudioTrack) -> None:
    """What is kept of one is what is kept of the other."""
    assert one.sound.arrays.keys() == other.sound.arrays.keys()
    for name, array in one.sound.arrays.items():
        np.testing.assert_array_equal(other.sound.arrays[name], array)


def test_a_file_at_another_rate_is_resampled(
    read: Callable[..., list[AudioTrack]], folder: Path
) -> None:
    t = np.arange(SECONDS * 44_100) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 1000 * t)
    soundfile.write(folder / "rock" / "tone.wav", np.stack([tone, tone], axis=1), 44_100)
    features = {track.path.name: frames_of(track) for track in read()}["tone.wav"]
    at_rate = np.sin(2 * np.pi * 1000 * np.arange(SECONDS * RATE) / RATE) / 2
    expected = Levels(SPEC)(at_rate.astype(np.float32)).frames
    assert features.shape == expected.shape
    assert abs(features[5:-5].max(axis=1) - expected[5:-5].max(axis=1)).max() < 0.05


def test_a_damaged_file_leaves_no_sound_to_the_next_one(
    read: Callable[..., list[AudioTrack]], folder: Path, tmp_path: Path
) -> None:
    damaged = folder / "rock" / "y.flac"
    soundfile.write(damaged, music(SECONDS * 44_100, 44_100), 44_100)
    shutil.copy(damaged, folder / "rock" / "z.flac")
    damaged.write_bytes(damaged.read_bytes()[:-50_000])
    after = read()[-1]
    damaged.unlink()
    alone = read(cache=tmp_path / "other cache")[-1]
    assert after.path == alone.path == folder / "rock" / "z.flac"
    np.testing.assert_array_equal(frames_of(after), frames_of(alone))


def test_the_second_time_nothing_is_decoded(
    read: Callable[..., list[AudioTrack]], folder: Path, decoded: list[str]
) -> None:
    tracks = read()
    assert len(decoded) == 20
    decoded.clear()
    (folder / "rock" / "0.flac").rename(folder / "rock" / "renamed.flac")
    again = read()
    assert decoded == []
    by_name = {(track.genre, track.path.name): track for track in again}
    for track in tracks:
        name = track.path.name
        if (track.genre, name) == ("rock", "0.flac"):
            name = "renamed.flac"
        same(by_name[track.genre, name], track)


def test_a_changed_file_is_read_anew(
    read: Callable[..., list[AudioTrack]], folder: Path, kept: Path, decoded: list[str]
) -> None:
    before = read()[3]
    assert decoded == []
    soundfile.write(folder / "jazz" / "3.flac", song(99), RATE)
    after = read()[3]
    assert decoded == ["3.flac"]
    assert after.path == before.path
    assert abs(frames_of(after) - frames_of(before)).max() > 1


def test_other_features_are_computed_anew_and_another_normalisation_is_not(
    folder: Path, kept: Path, decoded: list[str]
) -> None:
    scaled = SPEC.replace(ref="max", top_db=80.0, normalize="mean_variance")
    read_folder(folder, scaled, cache=kept)
    assert decoded == []
    narrow = read_folder(folder, SPEC.replace(n_mels=20), cache=kept)
    assert len(decoded) == 20
    assert frames_of(narrow[0]).shape[1] == 20
    read_folder(folder, SPEC.replace(window_seconds=0.5), cache=kept)  # other edges
    assert len(decoded) == 40


@pytest.mark.parametrize("damage", ["cut off", "empty", "noise", "other arrays", "other shape"])
def test_a_damaged_entry_is_computed_anew(
    read: Callable[..., list[AudioTrack]], kept: Path, decoded: list[str], damage: str
) -> None:
    before = read()
    assert decoded == []
    entry = min(kept.iterdir())
    content = entry.read_bytes()
    prints = np.zeros(3, np.uint32)
    if damage == "other arrays":
        np.savez(entry, fingerprint=prints)
    elif damage == "other shape":
        with np.load(entry) as file:
            arrays = dict(file)
        np.savez(entry, **arrays | {"first": np.zeros((50, 1, 3), np.float32)})
    else:
        middle = len(content) // 2
        noise = content[:middle] + bytes(64) + content[middle + 64 :]
        entry.write_bytes({"cut off": content[:middle], "empty": b"", "noise": noise}[damage])
    after = read()
    assert len(decoded) == 1
    for one, other in zip(before, after, strict=True):
        same(one, other)
    decoded.clear()
    read()
    assert decoded == []


def test_an_interrupted_run_goes_on_where_it_was(
    read: Callable[..., list[AudioTrack]],
    tmp_path: Path,
    decoded: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is interrupted while the eighth file's features are being written."""
    calls = 0

    def savez(stream: Any, **arrays: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 8:
            stream.write(b"half")
            raise KeyboardInterrupt
        real(stream, **arrays)

    real = np.savez
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", savez)
        with pytest.raises(KeyboardInterrupt):
            read()
    kept = list((tmp_path / "cache").iterdir())
    assert [path.suffix for path in kept] == [".npz"] * 7
    decoded.clear()
    assert len(read()) == 20
    assert len(decoded) == 13


def test_a_cache_that_cannot_be_written_is_an_error(
    read: Callable[..., list[AudioTrack]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/cache: features cannot be kept there .*XDG_CACHE"):
        read(cache=tmp_path / "file" / "cache")
