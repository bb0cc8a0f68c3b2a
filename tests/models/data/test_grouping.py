"""Groups, copies, and splits that keep both together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_genre.audio.file import find_audio
from edge_genre.errors import DataError
from edge_genre.frontend import FrontEndSpec
from edge_genre.models.data.fingerprint import copies
from edge_genre.models.data.grouping import folds, grouped_split, groups
from edge_genre.models.data.whole_track import WholeTracks
from tests.support.prints import RATE, print_of
from tests.support.signals import music


def nothing(n: int) -> list[NDArray[np.uint32]]:
    return [np.empty(0, np.uint32)] * n


def test_many_copies_hang_together() -> None:
    """More than the neighbours that a frame is held against."""
    song = print_of(music(8 * RATE, RATE, seed=1))
    prints = [song[n:] for n in range(30)]
    called = groups([str(n) for n in range(30)], [None] * 30, [str(n) for n in range(30)], prints)
    assert set(called) == {"track: 0"}


@pytest.mark.slow
def test_of_real_clips_each_finds_its_copies_and_no_other(
    clips: Path, tmp_path: Path, report: Callable[[str], None]
) -> None:
    """Re-encoded, cut 1.3 s later, at half the level."""
    tracks = WholeTracks(FrontEndSpec(), tmp_path / "cache")
    originals = find_audio(clips)[::9]
    formats = {"ogg": ("OGG", "VORBIS"), "mp3": ("MP3", "MPEG_LAYER_III")}
    prints = [tracks(path).fingerprint for path in originals]
    for suffix, (container, coding) in formats.items():
        for path in originals:
            samples, rate = soundfile.read(path, frames=240_000, dtype="float32")
            copy = tmp_path / f"{path.stem}.{suffix}"
            samples = 0.5 * samples[int(1.3 * rate) :]
            soundfile.write(copy, samples, rate, format=container, subtype=coding)
            prints.append(tracks(copy).fingerprint)
    n = len(originals)
    found = copies(prints)
    joined = {(i, j) for i, j in found if (j - i) % n == 0}
    report(f"{len(joined)} of {3 * n} pairs of copies joined, {len(found) - len(joined)} others")
    connected = groups(
        [str(i) for i in range(3 * n)], [None] * 3 * n, list(map(str, range(3 * n))), prints
    )
    assert connected == [f"track: {i % n}" for i in range(3 * n)]


def test_whatever_connects_tracks_puts_them_in_one_group() -> None:
    """Track 2 is of another artist than its copy, track 1: both artists are one group."""
    artists = ["artist: a", "artist: a", "artist: b", "artist: b", None, None, None]
    digests = ["1", "2", "2", "3", "4", "4", "5"]
    names = [f"n{i}" for i in range(7)]
    first, alone = "artist: a", "track: n6"
    expected = [first, first, first, first, "track: n4", "track: n4", alone]
    assert groups(names, artists, digests, nothing(7)) == expected


def test_copies_join_what_tags_keep_apart() -> None:
    song = print_of(music(8 * RATE, RATE, seed=1))
    artists = ["artist: a", "artist: b", "artist: c"]
    prints = [song, print_of(music(8 * RATE, RATE, seed=2)), song[40:]]
    found = groups(["0", "1", "2"], artists, ["0", "1", "2"], prints)
    assert found == ["artist: a", "artist: b", "artist: a"]


def many(seed: int, n: int = 400) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tracks of 5 classes by artists with one to dozens of tracks, some in two classes."""
    rng = np.random.default_rng(seed)
    group = np.minimum(rng.geometric(0.02, n), 150)
    label = np.where(rng.random(n) < 0.9, group % 5, rng.integers(5, size=n))
    return label, group


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_a_split_keeps_groups_whole_and_shares_close(share: float, seed: int) -> None:
    labels, group = many(seed)
    held_out = grouped_split(labels, group, share=share, seed=seed)
    assert held_out.dtype == bool
    assert not set(group[held_out]) & set(group[~held_out])
    assert held_out.mean() == pytest.approx(share, abs=0.03)
    for label in range(5):
        assert held_out[labels == label].mean() == pytest.approx(share, abs=0.06)


def test_folds_keep_groups_whole_and_shares_close() -> None:
    labels, group = many(0)
    fold = folds(labels, group, 5, 0)
    assert sorted(set(fold)) == [0, 1, 2, 3, 4]
    for number in range(5):
        inside = fold == number
        assert not set(group[inside]) & set(group[~inside])
        for label in range(5):
            assert inside[labels == label].mean() == pytest.approx(0.2, abs=0.06)


def test_a_seed_gives_one_split_and_another_seed_another() -> None:
    labels, group = many(0)
    one, again, other = (grouped_split(labels, group, seed=seed) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()
    assert (folds(labels, group, 4, 1) == folds(labels, group, 4, 1)).all()


def test_a_class_of_two_groups_is_on_both_sides() -> None:
    """The share would round to none of them."""
    labels, group = (
        np.repeat([0, 1], [6, 50]),
        np.concatenate([[0, 0, 0, 1, 1, 1], np.arange(2, 52)]),
    )
    held_out = grouped_split(labels, group, share=0.1)
    assert held_out[labels == 0].sum() == 3
    assert held_out[labels == 1].sum() == 5


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), min_size=4, max_size=40))
def test_no_class_is_on_one_side_alone(tracks: list[tuple[int, int]]) -> None:
    labels, group = (np.array(each) for each in zip(*[(g % 3, g) for _, g in tracks], strict=True))
    assume(all(len(set(group[labels == label])) > 1 for label in set(labels)))
    held_out = grouped_split(labels, group, share=0.2)
    fold = folds(labels, group, 2)
    for label in set(labels):
        assert 0 < held_out[labels == label].mean() < 1
        assert len(set(fold[labels == label])) == 2


def test_a_class_of_one_group_cannot_be_measured() -> None:
    labels, group = [0, 0, 1, 1, 1], ["a", "b", "c", "c", "c"]
    with pytest.raises(DataError, match=r"^jazz: all tracks are of one group"):
        grouped_split(labels, group, genres=["blues", "jazz"])
    with pytest.raises(DataError, match=r"^1: all tracks are of one group"):
        folds(labels, group, 2)


def test_classes_whose_groups_hang_together_are_refused() -> None:
    """Three groups with two of three classes each: two of them are always on one side."""
    labels, group = [0, 1, 1, 2, 2, 0], [0, 0, 1, 1, 2, 2]
    with pytest.raises(DataError, match="hang together"):
        grouped_split(labels, group)


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(DataError, match="at most 4 folds"):
        folds([0, 0, 1, 1], [0, 1, 2, 3], 5)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        grouped_split([0, 0], [0, 1], share=share)


def test_one_fold_is_refused() -> None:
    with pytest.raises(ValueError, match="2 folds or more"):
        folds([0, 0], [0, 1], 1)
