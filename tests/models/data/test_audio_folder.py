"""A folder of audio as training data: features, what is kept of them, and what is refused."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_genre.errors import DataError
from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.frontend.log_mel import LogMel
from edge_genre.models.data import whole_track
from edge_genre.models.data.audio_folder import AudioTrack, read_folder
from edge_genre.models.data.grouping import grouped_split
from edge_genre.models.data.whole_track import Levels
from tests.support.signals import music

RATE = 8_000
SPEC = FrontEndSpec(
    sample_rate=RATE, window_seconds=1.0, n_fft=512, hop_length=200, n_mels=40, ref=1.0, top_db=None
)
SECONDS = 4


def song(seed: int) -> np.ndarray:
    return music(SECONDS * RATE, RATE, seed=seed)


@pytest.fixture(scope="module")
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


def test_tracks_have_genre_features_and_a_group_of_their_own(
    read: Callable[..., list[AudioTrack]], folder: Path
) -> None:
    seen: list[tuple[int, int]] = []
    tracks = read(progress=lambda done, total: seen.append((done, total)))
    assert [track.genre for track in tracks] == ["jazz"] * 10 + ["rock"] * 10
    assert {track.path for track in tracks} == set(folder.rglob("*.flac"))
    assert len({track.group for track in tracks}) == 20
    assert seen == [(n, 20) for n in range(1, 21)]
    assert all(track.features.dtype == np.float32 for track in tracks)
    assert all(track.features.shape == (1 + SECONDS * RATE // 200, 40) for track in tracks)


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
    features = LogMel(SPEC, np.float32).finish([rows])
    np.testing.assert_allclose(features[inside], FrontEnd(SPEC)(window)[inside], atol=1e-3)


@pytest.mark.parametrize("name", ["songnet-gtzan", "songnet", "log-mel"])
def test_a_window_within_silence_gives_the_presets_features(name: str) -> None:
    """The front end pads with silence: surrounded by it, a window has no edges."""
    spec = FrontEndSpec.preset(name).replace(window_seconds=3.0)
    window = music(spec.window_samples, spec.sample_rate)
    margin = 3 * spec.hop_length
    surrounded = np.pad(window, (margin, margin + spec.n_fft))
    rows = Levels(spec)(surrounded)[3 : 3 + spec.n_frames]
    features = LogMel(spec, np.float32).finish([rows])
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
    read: Callable[..., list[AudioTrack]], folder: Path, decoded: list[str]
) -> None:
    before = read()[3]
    decoded.clear()
    soundfile.write(folder / "jazz" / "3.flac", song(99), RATE)
    after = read()[3]
    assert decoded == ["3.flac"]
    assert after.path == before.path
    assert abs(after.features - before.features).max() > 1


def test_other_features_are_computed_anew_and_another_normalisation_is_not(
    folder: Path, tmp_path: Path, decoded: list[str]
) -> None:
    cache = tmp_path / "cache"
    read_folder(folder, SPEC, cache=cache)
    decoded.clear()
    scaled = SPEC.replace(ref="max", top_db=80.0, normalize="mean_variance", window_seconds=0.5)
    read_folder(folder, scaled, cache=cache)
    assert decoded == []
    narrow = read_folder(folder, SPEC.replace(n_mels=20), cache=cache)
    assert len(decoded) == 20
    assert narrow[0].features.shape[1] == 20


@pytest.mark.parametrize("damage", ["cut off", "empty", "noise", "other arrays", "other shape"])
def test_a_damaged_entry_is_computed_anew(
    read: Callable[..., list[AudioTrack]], tmp_path: Path, decoded: list[str], damage: str
) -> None:
    before = read()
    decoded.clear()
    entry = min((tmp_path / "cache").iterdir())
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


def test_a_cache_that_cannot_be_written_is_an_error(
    read: Callable[..., list[AudioTrack]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/cache: features cannot be kept there .*XDG_CACHE"):
        read(cache=tmp_path / "file" / "cache")


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


def groups_of(tracks: list[AudioTrack]) -> dict[str, str]:
    return {f"{track.genre}/{track.path.name}": track.group for track in tracks}


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
    mutagen = pytest.importorskip("mutagen", reason="tags need the train extra")
    id3 = pytest.importorskip("mutagen.id3")
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
    wave.tags.add(id3.TPE1(encoding=3, text="miles davis"))
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
        np.testing.assert_array_equal(one.features, other.features)
