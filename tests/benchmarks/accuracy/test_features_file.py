"""Features files: what is read of them, and that others are refused."""

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
