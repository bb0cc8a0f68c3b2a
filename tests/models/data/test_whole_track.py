"""Features of whole files: the front end's own, computed once and kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_genre.errors import DataError
from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.models.data.audio_folder import AudioTrack, read_folder
from edge_genre.models.data.whole_track import Levels
from tests.support.genre_folder import RATE, SECONDS, SPEC, song
from tests.support.signals import music


@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
@pytest.mark.parametrize("center", [True, False])
def test_levels_of_a_whole_signal_are_the_front_ends(pad_mode: str, center: bool) -> None:
    """A front end whose window is the whole signal computes them in another way."""
    samples = music(5 * RATE + 77, RATE)
    spec = SPEC.replace(pad_mode=pad_mode, center=center, hop_length=160)
    whole = FrontEnd(spec.replace(window_seconds=len(samples) / RATE))
    assert whole.spec.n_frames > 144  # more than a block
    np.testing.assert_allclose(Levels(spec)(samples), whole(samples), atol=1e-3)


def test_windows_of_the_features_are_the_front_ends_apart_from_the_edges() -> None:
    samples = music(SECONDS * RATE, RATE)
    first = 37
    rows = Levels(SPEC)(samples)[first : first + SPEC.n_frames]
    window = samples[first * 200 : first * 200 + SPEC.window_samples]
    inside = slice(2, -2)  # half a frame is 256 samples, two hops 400
    features = SPEC.computation(np.float32).finish([rows])
    np.testing.assert_allclose(features[inside], FrontEnd(SPEC)(window)[inside], atol=1e-3)


@pytest.mark.parametrize("name", ["songnet-gtzan", "songnet", "log-mel"])
def test_a_window_within_silence_gives_the_presets_features(name: str) -> None:
    """The front end pads with silence: surrounded by it, a window has no edges."""
    spec = FrontEndSpec.preset(name).replace(window_seconds=3.0)
    window = music(spec.window_samples, spec.sample_rate)
    margin = 3 * spec.hop_length
    surrounded = np.pad(window, (margin, margin + spec.n_fft))
    rows = Levels(spec)(surrounded)[3 : 3 + spec.n_frames]
    features = spec.computation(np.float32).finish([rows])
    np.testing.assert_allclose(features, FrontEnd(spec)(window), atol=1e-3)


def test_a_file_at_another_rate_is_resampled(
    read: Callable[..., list[AudioTrack]], folder: Path
) -> None:
    t = np.arange(SECONDS * 44_100) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 1000 * t)
    soundfile.write(folder / "rock" / "tone.wav", np.stack([tone, tone], axis=1), 44_100)
    features = {track.path.name: track.features for track in read()}["tone.wav"]
    at_rate = np.sin(2 * np.pi * 1000 * np.arange(SECONDS * RATE) / RATE) / 2
    expected = Levels(SPEC)(at_rate.astype(np.float32))
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
    np.testing.assert_array_equal(after.features, alone.features)


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
        np.testing.assert_array_equal(by_name[track.genre, name].features, track.features)


def test_a_changed_file_is_read_anew(
    read: Callable[..., list[AudioTrack]], folder: Path, kept: Path, decoded: list[str]
) -> None:
    before = read()[3]
    assert decoded == []
    soundfile.write(folder / "jazz" / "3.flac", song(99), RATE)
    after = read()[3]
    assert decoded == ["3.flac"]
    assert after.path == before.path
    assert abs(after.features - before.features).max() > 1


def test_other_features_are_computed_anew_and_another_normalisation_is_not(
    folder: Path, kept: Path, decoded: list[str]
) -> None:
    scaled = SPEC.replace(ref="max", top_db=80.0, normalize="mean_variance", window_seconds=0.5)
    read_folder(folder, scaled, cache=kept)
    assert decoded == []
    narrow = read_folder(folder, SPEC.replace(n_mels=20), cache=kept)
    assert len(decoded) == 20
    assert narrow[0].features.shape[1] == 20


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
        np.savez(entry, features=np.zeros((50, 3), np.float32), fingerprint=prints)
    else:
        middle = len(content) // 2
        noise = content[:middle] + bytes(64) + content[middle + 64 :]
        entry.write_bytes({"cut off": content[:middle], "empty": b"", "noise": noise}[damage])
    after = read()
    assert len(decoded) == 1
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.features, other.features)
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


def test_levels_of_another_scale_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected log 'db'"):
        read_folder(folder, SPEC.replace(log="natural"), cache=tmp_path)


def test_other_features_are_those_of_every_whole_window(folder: Path, tmp_path: Path) -> None:
    spec = SPEC.replace(kind="mfcc", n_mfcc=13)
    for track in read_folder(folder, spec, cache=tmp_path):
        samples, rate = soundfile.read(track.path, dtype="float32")
        assert rate == spec.sample_rate
        starts = range(0, len(samples) - spec.window_samples + 1, spec.window_samples)
        assert len(track.features) == len(starts) > 0
        for start, features in zip(starts, track.features, strict=True):
            want = FrontEnd(spec)(samples[start : start + spec.window_samples])
            np.testing.assert_allclose(features, want, atol=1e-4)
