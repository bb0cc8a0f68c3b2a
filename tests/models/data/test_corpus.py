"""Tracks: parts of a features file, the feature contract, windows of any lengths."""

from pathlib import Path

import numpy as np
import pytest

from edge_genre.benchmarks.accuracy.features_file import TRAIN, VALIDATION, FeaturesFile
from edge_genre.models.data.corpus import Tracks, features
from tests.support.tracks import tracks_of

N_FRAMES, N_MELS = 39, 128


def test_no_track_of_another_split_reaches_training(noise_corpus: Path) -> None:
    with np.load(noise_corpus) as file:
        split, names = file["split"], file["name"]
    read = FeaturesFile.read(noise_corpus)
    tracks, held_out = (Tracks.of_features(read, part) for part in (TRAIN, VALIDATION))
    assert set(tracks.names) == set(names[split == 0])
    assert set(held_out.names) == set(names[split == 1])
    # The fixture marks training tracks by even bytes, all others by odd ones.
    bytes_of = [np.rint((part.frames + 80) / 80 * 255) % 2 for part in (tracks, held_out)]
    assert not bytes_of[0].any()
    assert bytes_of[1].all()


def test_validation_windows_lie_side_by_side(noise_corpus: Path) -> None:
    held_out = Tracks.of_features(FeaturesFile.read(noise_corpus), VALIDATION)
    windows, owner = held_out.windows(39)
    assert windows.shape == (6, 39, 128)
    assert owner.tolist() == [0, 0, 1, 1, 2, 2]
    second = held_out.frames[90 : 2 * 90]
    np.testing.assert_allclose(windows[3], features(second[39:78]), atol=1e-6)


def test_tracks_of_any_lengths() -> None:
    levels = [np.full((length, 4), -length, np.float32) for length in (5, 9, 4)]
    tracks = tracks_of(*levels)
    assert tracks.windows(4)[1].tolist() == [0, 1, 1, 2]
    chunks = tracks.chunks(4)
    assert chunks.lengths.tolist() == [4] * 4
    assert chunks.frames[:, 0].tolist() == [-5] * 4 + [-9] * 8 + [-4] * 4
    assert chunks.names.tolist() == ["0", "1", "1", "2"]
    rest = tracks.chosen(np.array([True, False, True]))
    assert rest.frames[:, 0].tolist() == [-5] * 5 + [-4] * 4
    assert rest.starts.tolist() == [0, 5]
    with pytest.raises(ValueError, match="4 frames, a window needs 5"):
        tracks.windows(5)


def test_features_follow_the_contract() -> None:
    db = np.random.default_rng(0).uniform(-130, -20, (3, N_FRAMES, N_MELS)).astype(np.float32)
    got = features(db)
    for window, x in zip(db.astype(np.float64), got, strict=True):
        clipped = np.maximum(window - window.max(), -80)
        np.testing.assert_allclose(
            x, (clipped - clipped.mean()) / (clipped.std() + 1e-6), atol=1e-4
        )
    assert got.dtype == np.float32


def test_features_forget_the_level() -> None:
    db = np.random.default_rng(0).uniform(-90, 0, (N_FRAMES, N_MELS)).astype(np.float32)
    np.testing.assert_allclose(features(db - 17), features(db), atol=1e-4)


def test_features_of_a_constant_window_are_zero() -> None:
    assert not features(np.full((N_FRAMES, N_MELS), -80, np.float32)).any()
