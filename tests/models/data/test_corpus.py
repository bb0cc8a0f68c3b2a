"""Tracks: parts of a features file, windows of any lengths."""

from pathlib import Path

import numpy as np
import pytest

from edge_genre.benchmarks.accuracy.features_file import TRAIN, VALIDATION, FeaturesFile
from edge_genre.frontend import FrontEndSpec
from edge_genre.models.data.corpus import Tracks
from tests.support.tracks import tracks_of

SPEC = FrontEndSpec.preset("songnet-gtzan")


def test_no_track_of_another_split_reaches_training(noise_corpus: Path) -> None:
    with np.load(noise_corpus) as file:
        split, names = file["split"], file["name"]
    read = FeaturesFile.read(noise_corpus)
    tracks, held_out = (Tracks.of_features(read, part, SPEC) for part in (TRAIN, VALIDATION))
    assert set(tracks.names) == set(names[split == 0])
    assert set(held_out.names) == set(names[split == 1])
    # The fixture marks training tracks by even bytes, all others by odd ones.
    bytes_of = [
        np.rint((np.concatenate([sound.frames for sound in part.sounds]) + 80) / 80 * 255) % 2
        for part in (tracks, held_out)
    ]
    assert not bytes_of[0].any()
    assert bytes_of[1].all()


@pytest.mark.parametrize("axes", ["time_first", "frequency_first"])
def test_validation_windows_lie_side_by_side(noise_corpus: Path, axes: str) -> None:
    """Each is referred to its own maximum, cut off 80 dB below, and scaled."""
    spec = SPEC.replace(axes=axes)
    held_out = Tracks.of_features(FeaturesFile.read(noise_corpus), VALIDATION, spec)
    windows, owner = held_out.windows()
    assert windows.shape == (6, *spec.shape)
    assert windows.dtype == np.float32
    assert owner.tolist() == [0, 0, 1, 1, 2, 2]
    assert held_out.sounds[1].frames is not None
    levels = held_out.sounds[1].frames[39:78].astype(np.float64)
    levels = np.maximum(levels - levels.max(), -80)
    want = (levels - levels.mean()) / (levels.std() + 1e-6)
    got = windows[3] if axes == "time_first" else windows[3].T
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_tracks_of_any_lengths() -> None:
    levels = [np.full((length, 4), -length, np.float32) for length in (5, 9, 4)]
    tracks = tracks_of(*levels, n_frames=4)
    assert tracks.windows()[1].tolist() == [0, 1, 1, 2]
    chunks = tracks.chunks()
    assert [len(sound) for sound in chunks.sounds] == [4] * 4
    assert [sound.frames[0, 0] for sound in chunks.sounds] == [-5, -9, -9, -4]
    assert chunks.names.tolist() == ["0", "1", "1", "2"]
    rest = tracks.chosen(np.array([True, False, True]))
    assert [len(sound) for sound in rest.sounds] == [5, 4]
    assert rest.names.tolist() == ["0", "2"]
