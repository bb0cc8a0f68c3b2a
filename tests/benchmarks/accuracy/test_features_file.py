"""Features files: what is read of them, and that others are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_genre.benchmarks.accuracy.features_file import (
    TRAIN,
    VALIDATION,
    FeaturesFile,
    decibels,
)
from edge_genre.errors import DataError
from edge_genre.frontend import FrontEndSpec

ARRAYS = {
    "X": np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5),
    "y": np.array([1, 0, 1], np.uint8),
    "genres": np.array(["blues", "rock"]),
    "name": np.array(["a", "b", "c"]),
    "split": np.array([0, 1, 0]),
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "features.npz"
    arrays = {name: array for name, array in (ARRAYS | changes).items() if array is not None}
    np.savez(path, **arrays)
    return path


def test_bytes_become_decibels() -> None:
    levels = decibels(np.array([0, 51, 255], np.uint8))
    np.testing.assert_allclose(levels, [-80, -64, 0], atol=1e-5)
    assert levels.dtype == np.float32


def test_tracks_of_a_part(tmp_path: Path) -> None:
    file = FeaturesFile.read(written(tmp_path))
    assert file.genres == ("blues", "rock")
    assert file.labels.tolist() == [1, 0, 1]
    assert file.labels.dtype == np.int64
    assert file.names.tolist() == file.groups.tolist() == ["a", "b", "c"]
    assert file.part(TRAIN).tolist() == [0, 2]
    assert file.part(VALIDATION).tolist() == [1]
    assert file.part(None).tolist() == [0, 1, 2]
    # No level is above 63: that is then what 0 dB is.
    levels = file.decibels(file.part(VALIDATION))
    assert levels.shape == (1, 5, 4)
    np.testing.assert_allclose(levels[0], ARRAYS["X"][1].T / 63 * 80 - 80, atol=1e-5)
    np.testing.assert_array_equal(file.decibels(1), levels[0])
    full = FeaturesFile.read(written(tmp_path, X=ARRAYS["X"] + np.uint8(100)))
    np.testing.assert_allclose(full.decibels(0)[0, 0], 100 / 255 * 80 - 80, atol=1e-5)


def test_labels_may_be_many(tmp_path: Path) -> None:
    many = np.array([[1, 1], [0, 0], [0, 1]])
    for kind in (np.uint8, np.int64, np.bool_):
        file = FeaturesFile.read(written(tmp_path, y=many.astype(kind)))
        assert file.labels.tolist() == many.tolist()
        assert file.labels.dtype == np.int64
    for wrong, message in (
        (many * 2, "y goes from 0 to 2, but only 0 and 1"),
        (many[:, :1], r"of shape \(3, 1\), expected a class of each track, or .* shape \(3, 2\)"),
        (many.astype(np.float32), "y is float32"),
    ):
        with pytest.raises(DataError, match=message):
            FeaturesFile.read(written(tmp_path, y=wrong))


def test_names_and_groups_may_be_others_or_missing(tmp_path: Path) -> None:
    group = np.array(["x", "x", "y"])
    file = FeaturesFile.read(
        written(tmp_path, name=None, track_id=np.array([7, 8, 9]), group=group)
    )
    assert file.names.tolist() == ["7", "8", "9"]
    assert file.groups.tolist() == ["x", "x", "y"]
    file = FeaturesFile.read(written(tmp_path, name=None, split=None))
    assert file.names.tolist() == ["0", "1", "2"]
    assert file.split is None
    with pytest.raises(DataError, match=r"has no array split, expected 0 \(train\) or 1"):
        file.part(TRAIN)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": None, "genres": None}, "has no array y, genres, expected X, y and genres"),
        ({"X": ARRAYS["X"].astype(float)}, "X is float64 of shape .* expected uint8 of shape"),
        ({"X": ARRAYS["X"][0]}, r"expected uint8 of shape \(tracks, bands, columns\)"),
        ({"y": ARRAYS["y"][:2]}, "a class of each track"),
        ({"y": np.array([0.0, 1.0, 0.0])}, "y is float64"),
        ({"y": np.array([0, 1, 2])}, "y goes from 0 to 2, but there are 2 genres"),
        ({"split": ARRAYS["split"][:1]}, "split is of shape .* one of each of the 3 tracks"),
        ({"name": np.array(["a", None, "c"])}, "neither a folder of audio nor an npz file"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        FeaturesFile.read(written(tmp_path, **changes))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing.npz: cannot be read \(No such file"):
        FeaturesFile.read(tmp_path / "missing.npz")
    path = written(tmp_path)
    content = path.read_bytes()
    array = tmp_path / "array.npy"
    np.save(array, ARRAYS["X"])
    for other in (b"", b"text", content[: len(content) // 2], array.read_bytes()):
        path.write_bytes(other)
        with pytest.raises(DataError, match="nor an npz file of features") as raised:
            FeaturesFile.read(path)
        assert "\n" not in str(raised.value)
        assert "pickle" not in str(raised.value)


def test_a_part_without_tracks_and_a_front_end_of_other_shape(tmp_path: Path) -> None:
    file = FeaturesFile.read(written(tmp_path, split=np.zeros(3, int)))
    with pytest.raises(DataError, match="holds no tracks of split 1"):
        file.part(VALIDATION)
    spec = FrontEndSpec(sample_rate=8000, n_fft=512, hop_length=400, n_mels=4, window_seconds=0.2)
    file.require_fit(spec)
    assert spec.n_frames == 5
    with pytest.raises(DataError, match=r"expected uint8 of shape \(tracks, 9, columns\)"):
        file.require_fit(spec.replace(n_mels=9))
    with pytest.raises(DataError, match="a track has 5 columns, a window of the model 6"):
        file.require_fit(spec.replace(window_seconds=0.25))


SPEC = FrontEndSpec(sample_rate=8000, n_fft=512, hop_length=400, n_mels=4, window_seconds=0.2)
OF_OTHER_FRAMES = SPEC.replace(hop_length=300, n_fft=256)


@pytest.mark.parametrize("said", [json.dumps(SPEC.to_dict()), "songnet-gtzan"])
def test_a_file_says_whose_frames_it_holds(tmp_path: Path, said: str) -> None:
    file = FeaturesFile.read(written(tmp_path, front_end=np.array(said)))
    assert file.front_end is not None
    assert file.front_end == (SPEC if said.startswith("{") else FrontEndSpec.preset(said))


def test_what_a_window_decides_is_nothing_to_the_frames(tmp_path: Path) -> None:
    file = FeaturesFile.read(written(tmp_path, front_end=json.dumps(SPEC.to_dict())))
    for same in (
        SPEC.replace(window_seconds=0.15),
        SPEC.replace(normalize="mean_variance", ref=1.0, fmax=4000.0),
        SPEC.replace(top_db=60.0, axes="frequency_first"),
        SPEC.replace(kind="mfcc", n_mfcc=3),
    ):
        file.require_fit(same, stated=True)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (OF_OTHER_FRAMES, "holds frames of n_fft 512, hop_length 400, but the front end's are of"),
        (SPEC.replace(fmax=3000.0), "frames of fmax 4000.0, but the front end's are of fmax 3000"),
        (SPEC.replace(ref=1.0), r"below each track's loudest, but .* above ref 1.0: give a folder"),
        (SPEC.replace(kind="mfcc", n_mfcc=3, ref=1.0), r"above ref 1.0"),
        (SPEC.replace(log="natural"), "in dB, but the front end hears log_mel with log 'natural'"),
        (FrontEndSpec(kind="waveform"), "but the front end hears waveform"),
    ],
)
def test_a_front_end_that_a_file_cannot_serve(
    tmp_path: Path, spec: FrontEndSpec, message: str
) -> None:
    file = FeaturesFile.read(written(tmp_path, front_end=json.dumps(SPEC.to_dict())))
    with pytest.raises(DataError, match=message):
        file.require_fit(spec)


def test_nobody_trains_on_frames_that_nobody_vouches_for(tmp_path: Path) -> None:
    file = FeaturesFile.read(written(tmp_path))
    file.require_fit(OF_OTHER_FRAMES.replace(window_seconds=0.1))
    with pytest.raises(DataError, match="does not say whose frames it holds: add an array front_"):
        file.require_fit(SPEC, stated=True)


def test_two_files_are_known_by_name(tmp_path: Path) -> None:
    for name, preset in (("gtzan_logmel", "songnet-gtzan"), ("fma_small_logmel", "songnet-fma")):
        path = written(tmp_path).rename(tmp_path / f"{name}.npz")
        assert FeaturesFile.read(path).front_end == FrontEndSpec.preset(preset)
    said = written(tmp_path, front_end="log-mel").rename(tmp_path / "gtzan_logmel.npz")
    assert FeaturesFile.read(said).front_end == FrontEndSpec.preset("log-mel")


@pytest.mark.parametrize("said", ["no-preset", "{", '{"kind": "smell"}', np.array([1, 2])])
def test_a_front_end_that_is_none(tmp_path: Path, said: Any) -> None:
    with pytest.raises(DataError, match=r"features.npz: front_end is no front end \(") as raised:
        FeaturesFile.read(written(tmp_path, front_end=said))
    assert "\n" not in str(raised.value)
