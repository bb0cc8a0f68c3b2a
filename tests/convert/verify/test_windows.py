"""Where windows come from, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_genre.convert.tensors import TensorSpec, one_input
from edge_genre.convert.verify.windows import UNKNOWN, Windows, load_windows
from edge_genre.errors import ConversionError, DataError
from edge_genre.frontend import FrontEnd, FrontEndSpec
from tests.support.models_on_the_fly import LABELS, SPEC
from tests.support.signals import music


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four seconds by genre folder, two by name, one of silence, and no audio at all."""
    rate = SPEC.sample_rate
    for path, seconds in (("jazz/a.wav", 4), ("Rock/b.wav", 4), ("blues.00001.wav", 2)):
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        soundfile.write(file, music(seconds * rate, rate, seed=seconds), rate)
    soundfile.write(tmp_path / "silence.wav", np.zeros(rate), rate)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    return tmp_path


def load(data: Path | None, spec: FrontEndSpec | None = SPEC, **changes):
    shape = spec.shape if spec else (13,)
    specs = () if spec is None else [spec]
    return load_windows(data, inputs=one_input(shape), specs=specs, labels=LABELS, **changes)


def test_audio_by_folder_and_by_name(folder: Path) -> None:
    windows = load(folder, wanted=20)
    assert windows.features[0].shape == (len(windows), *SPEC.shape)
    found = dict(zip(*np.unique(windows.labels, return_counts=True), strict=True))
    # Four windows at most are wanted of each of five files; they may overlap by three quarters.
    assert found == {LABELS.index("jazz"): 4, LABELS.index("rock"): 4, LABELS.index("blues"): 4}
    assert windows.origin == f"4 files of {folder.name} (1 unreadable)"


def test_features_are_those_of_the_front_end(folder: Path) -> None:
    windows = load(folder, wanted=20)
    samples, _ = soundfile.read(folder / "jazz/a.wav", dtype="float32")
    jazz = windows.features[0][windows.labels == LABELS.index("jazz")]
    front_end, last = FrontEnd(SPEC), len(samples) - SPEC.window_samples
    np.testing.assert_array_equal(jazz[0], front_end(samples[: SPEC.window_samples]))
    np.testing.assert_array_equal(jazz[-1], front_end(samples[last:]))


def test_files_shorter_than_a_window_are_padded(tmp_path: Path) -> None:
    short = music(SPEC.window_samples // 2, SPEC.sample_rate)
    soundfile.write(tmp_path / "short.wav", short, SPEC.sample_rate, subtype="FLOAT")
    (window,) = load(tmp_path).features[0]
    expected = FrontEnd(SPEC)(np.pad(short, (0, SPEC.window_samples - len(short))))
    np.testing.assert_array_equal(window, expected)


def test_features_from_files(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((90, 13, 1)).astype(np.float32)
    np.savez(tmp_path / "x.npz", X=features, y=np.arange(90) % 3)
    np.save(tmp_path / "x.npy", features)
    labelled, bare = load(tmp_path / "x.npz", None), load(tmp_path / "x.npy", None)
    np.testing.assert_array_equal(labelled.features[0], features[:, :, 0])
    np.testing.assert_array_equal(labelled.labels, np.arange(90) % 3)
    assert (bare.labels == UNKNOWN).all()
    few = load(tmp_path / "x.npz", None, wanted=10)
    assert len(few) == 10
    np.testing.assert_array_equal(few.features[0][[0, -1]], features[[0, -1], :, 0])


def test_features_of_several_inputs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mel, mfcc = (rng.standard_normal((8, *shape)).astype(np.float32) for shape in ((6, 4), (6, 2)))
    inputs = [TensorSpec("mel", (6, 4)), TensorSpec("mfcc", (6, 2))]
    path = tmp_path / "x.npz"

    def read() -> Windows:
        return load_windows(path, inputs=inputs, labels=LABELS)

    np.savez(path, mfcc=mfcc, mel=mel)
    for found, expected in zip(read().features, (mel, mfcc), strict=True):
        np.testing.assert_array_equal(found, expected)
    for arrays, message in (
        ({"mel": mel, "X": mfcc}, "has no array mfcc"),
        ({"mel": mel, "mfcc": mfcc[:7]}, "mel and mfcc have 8 and 7 windows"),
        ({"mel": mfcc, "mfcc": mfcc}, "mel is float32 of shape .8, 6, 2., expected"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(ConversionError, match=message):
            read()


def test_all_inputs_hear_the_same_audio(folder: Path) -> None:
    specs = [SPEC, SPEC.replace(n_mels=16)]
    inputs = [TensorSpec("wide", specs[0].shape), TensorSpec("narrow", specs[1].shape)]
    both = load_windows(folder, inputs=inputs, specs=specs, labels=LABELS)
    for features, spec in zip(both.features, specs, strict=True):
        np.testing.assert_array_equal(features, load(folder, spec).features[0])


def test_each_label_may_be_known(tmp_path: Path) -> None:
    path, held = tmp_path / "x.npz", np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
    np.savez(path, X=GOOD, y=held)
    np.testing.assert_array_equal(load(path, None).labels, held)
    np.savez(path, X=GOOD, y=held.astype(bool))
    np.testing.assert_array_equal(load(path, None).labels, held)


def test_parts_share_no_window(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(13 * 80.0).reshape(80, 13))
    calibration, compared = load(tmp_path / "x.npy", None).parts()
    assert (len(calibration), len(compared)) == (20, 60)
    assert not set(calibration.features[0][:, 0]) & set(compared.features[0][:, 0])
    np.save(tmp_path / "x.npy", np.zeros((8, 13)))
    assert [len(part) for part in load(tmp_path / "x.npy", None).parts()] == [8, 8]


@pytest.mark.slow
def test_without_data_music_is_composed() -> None:
    windows = load(None, wanted=30)
    assert windows.features[0].shape == (30, *SPEC.shape)
    assert len(np.unique(windows.features[0].round(3), axis=0)) == 30
    assert "composed" in windows.origin
    assert load(None, None, wanted=5).origin == "Gaussian noise"


def _silence(folder: Path) -> Path:
    soundfile.write(folder / "silence.wav", np.zeros(SPEC.sample_rate), SPEC.sample_rate)
    return folder


def _broken(folder: Path) -> Path:
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


def _array(name: str, **arrays: np.ndarray):
    def write(folder: Path) -> Path:
        np.savez(folder / name, **arrays)
        return folder / name

    return write


def _text(folder: Path) -> Path:
    (folder / "x.npz").write_text("no")
    return folder / "x.npz"


GOOD = np.zeros((4, 13), np.float32)


@pytest.mark.parametrize(
    ("make", "spec", "message"),
    [
        (lambda folder: folder, SPEC, "holds no audio"),
        (_silence, SPEC, "all of it is silent"),
        (_broken, SPEC, r"no window .*\(broken.wav: "),
        (_silence, None, "cannot hear"),
        (lambda folder: folder / "missing.npz", None, "cannot be read"),
        (_text, None, r"neither a folder of audio nor .* \(not in NumPy's format\)"),
        (_array("x.npz", Z=GOOD), None, "no array X"),
        (_array("x.npz", X=GOOD.T), None, r"shape \(13, 4\), expected .*\(windows, 13\)"),
        (_array("x.npz", X=np.array(["a"] * 13)[None]), None, "expected numbers"),
        (_array("x.npz", X=GOOD[:0]), None, "no windows"),
        (_array("x.npz", X=np.full_like(GOOD, np.nan)), None, "NaN or infinity"),
        (_array("x.npz", X=GOOD, y=np.zeros(3, int)), None, r"y is int64 of shape \(3,\)"),
        (_array("x.npz", X=GOOD, y=np.full((4, 3), 2)), None, "expected 0 and 1 of shape"),
        (_array("x.npz", X=GOOD, y=np.zeros((4, 2), int)), None, r"expected .* of shape \(4, 3\)"),
        (_array("x.npz", X=GOOD, y=np.full(4, 3)), None, "up to 3, but the model has 3 labels"),
    ],
)
def test_what_is_no_data_is_said(make, spec, message: str, tmp_path: Path) -> None:
    with pytest.raises((ConversionError, DataError), match=message):
        load(make(tmp_path), spec)
