"""MFCC, deltas, beats, chroma and the five-channel stack, against librosa."""

import csv
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_genre.benchmarks.studies.front_ends import published
from edge_genre.errors import SpecError
from edge_genre.frontend import PRESETS, FrontEnd, FrontEndSpec, tables
from edge_genre.frontend.beats import BeatTracker
from edge_genre.frontend.kinds.mfcc_deltas import Deltas
from edge_genre.frontend.spectrum import transform
from edge_genre.frontend.tempogram import MeanTempogram
from tests.support.requirements import require_package
from tests.support.signals import SIGNALS, music

SPEC = FrontEndSpec.preset("five-channel-first")
LIMITS = (5e-4, 1e-4, 1e-4, 5e-4, 1e-5)  # MFCC, delta, delta-delta, beat-synchronous, chroma


def resized(features: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Bilinear resizing with half-pixel centres, by SciPy."""
    factors = [new / old for new, old in zip(shape, features.shape, strict=True)]
    return scipy.ndimage.zoom(features, factors, order=1, mode="nearest", grid_mode=True)


def reference(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """The stack by librosa and SciPy, as the published pipeline makes it [shape=(5, 40, n)]."""
    found = published(window)
    shape = found["MFCC"].shape
    synchronous = found["beat-synchronous MFCC"]
    if not len(found["beats"]):  # where the pipeline fails, and we take the window as one stretch
        synchronous = found["MFCC"].mean(axis=1, keepdims=True)
    return np.stack(
        [
            found["MFCC"],
            found["delta"],
            found["delta-delta"],
            resized(synchronous, shape),
            resized(found["chroma"], shape),
        ]
    )


def check(
    front_end: FrontEnd, window: NDArray[np.float32], *, flat: bool = False
) -> NDArray[np.float32]:
    """Compare one window with librosa in everything; return the stack.

    A click's spectrum is ``flat``: its peaks, and with them tuning and chroma, are rounding errors.
    """
    stack = front_end(window)
    found = published(window)
    rhythm = front_end.rhythm
    assert rhythm is not None
    assert rhythm.bpm == found["bpm"]
    np.testing.assert_array_equal(rhythm.beats, found["beats"])
    tuning = librosa.estimate_tuning(S=np.abs(librosa.stft(window)) ** 2, sr=22_050)
    assert flat or rhythm.tuning == pytest.approx(tuning, abs=1e-9)
    error = np.abs(stack - reference(window)).max(axis=(1, 2))
    assert (error <= LIMITS)[: 4 if flat else 5].all(), error
    return stack


@pytest.mark.parametrize("signal", SIGNALS)
def test_stack_equals_librosa(signal: str) -> None:
    """On every kind of signal, silence, a constant and a click among them."""
    window = SIGNALS[signal](SPEC.window_samples, 22_050)
    assert np.isfinite(check(FrontEnd(SPEC), window, flat=signal == "click")).all()


@pytest.fixture(scope="module")
def real_windows(clips: Path) -> list[NDArray[np.float32]]:
    """The first two windows of every other clip."""
    with (clips / "index.csv").open() as stream:
        files = [clips / row["file"] for row in csv.DictReader(stream)][::2]
    return [window for path in files for window in _first(path, 2)]


def _first(path: Path, count: int) -> Iterator[NDArray[np.float32]]:
    samples, _ = librosa.load(path, sr=22_050, duration=3.0 * count)
    size = SPEC.window_samples
    for first in range(0, len(samples) - size + 1, size):
        yield samples[first : first + size]


def test_stack_equals_librosa_on_real_music(real_windows: list[NDArray[np.float32]]) -> None:
    front_end = FrontEnd(SPEC)
    for window in real_windows:
        check(front_end, window)
    assert len(real_windows) >= 100


def test_stack_of_30_seconds_equals_librosa(clips: Path) -> None:
    spec = SPEC.replace(window_seconds=30.0)
    samples, _ = librosa.load(clips / "blues.00000.opus", sr=22_050, duration=30.0)
    assert check(FrontEnd(spec), samples[: spec.window_samples]).shape == (5, 40, 1292)


def checkpoint(torch: Any, path: Path) -> Any:
    """The published five-channel CNN, from its description, with its trained weights."""

    class FiveChannelCnn(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block1, self.block2 = self._block(5, 32), self._block(32, 64)
            self.fc1 = torch.nn.Linear(64, 128)
            self.bn_fc = torch.nn.BatchNorm1d(128)
            self.out = torch.nn.Linear(128, 10)

        @staticmethod
        def _block(n_in: int, n_out: int) -> Any:
            convolution = torch.nn.Conv2d(n_in, n_out, 3, padding=1)
            norm = torch.nn.BatchNorm2d(n_out)
            return torch.nn.Sequential(convolution, torch.nn.ReLU(), norm, torch.nn.MaxPool2d(2))

        def forward(self, x: Any) -> Any:
            """Log-probabilities (n, 10) of stacks (n, 5, 40, 130)."""
            x = self.block2(self.block1(x)).mean(dim=(2, 3))
            return torch.log_softmax(self.out(self.bn_fc(torch.relu(self.fc1(x)))), dim=1)

    network = FiveChannelCnn()
    saved = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(saved["model_state_dict"])
    return network.eval()


def test_published_checkpoint_answers_the_same(
    reference_models: Path,
    real_windows: list[NDArray[np.float32]],
    report: Callable[[str], None],
) -> None:
    """A trained network on our features and on librosa's."""
    torch = require_package("torch")
    network = checkpoint(torch, reference_models / "five_channel_cnn.ckpt")
    front_end = FrontEnd(SPEC)
    with torch.no_grad():
        ours, theirs = (
            network(torch.from_numpy(np.stack(stacks))).numpy()
            for stacks in (
                [front_end(window) for window in real_windows],
                [reference(window) for window in real_windows],
            )
        )
    same = ours.argmax(axis=1) == theirs.argmax(axis=1)
    difference = np.abs(ours - theirs)[same].max()
    report(
        f"five-channel checkpoint: {same.sum()} of {len(same)} windows labelled as on librosa's "
        f"features, log-probabilities within {difference:.4f}"
    )
    assert same.mean() >= 0.99
    assert difference <= 0.02


@pytest.mark.parametrize("n_mfcc", [13, 20, 40, 128])
def test_mfcc_equals_librosa(n_mfcc: int) -> None:
    spec = FrontEndSpec.preset("mfcc-13").replace(n_mfcc=n_mfcc)
    window = music(spec.window_samples, 22_050)
    expected = librosa.feature.mfcc(y=window, sr=22_050, n_mfcc=n_mfcc).T
    features = FrontEnd(spec)(window)
    assert features.shape == (130, n_mfcc)
    assert np.abs(features - expected).max() < 5e-4


@pytest.mark.parametrize("n_frames", [9, 10, 40, 41, 130, 1292])
def test_deltas_equal_librosa(n_frames: int) -> None:
    features = np.random.default_rng(0).standard_normal((n_frames, 7))
    out = np.empty((2, n_frames, 7))
    Deltas(np.float64)(features, out)
    for order in (1, 2):
        expected = librosa.feature.delta(features, order=order, axis=0)
        np.testing.assert_allclose(out[order - 1], expected, atol=1e-12)


@settings(max_examples=200)
@given(n_in=st.integers(1, 60), n_out=st.integers(1, 200))
def test_resizing_equals_pytorch(n_in: int, n_out: int) -> None:
    torch = require_package("torch")
    values = np.random.default_rng(n_in).standard_normal(n_in)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], size=n_out, mode="linear", align_corners=False
    )
    np.testing.assert_allclose(tables.resize(n_in, n_out) @ values, theirs[0, 0], atol=1e-9)


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), n=st.integers(20, 400), density=st.floats(0.02, 1))
def test_beats_of_any_onsets_equal_librosa(seed: int, n: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    onsets = np.where(rng.random(n) < density, rng.random(n) ** 3, 0).astype(np.float32)
    tracker = BeatTracker(n, 22_050 / 512, 2)
    bpm, beats = librosa.beat.beat_track(onset_envelope=onsets, sr=22_050)
    found = tracker.tempo(onsets)
    assert found == pytest.approx(float(np.atleast_1d(bpm)[0]), abs=1e-9)
    np.testing.assert_array_equal(tracker.beats(onsets, found), beats)


@settings(max_examples=100)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 260), density=st.floats(0, 1))
def test_mean_tempogram_equals_librosa(seed: int, n: int, density: float) -> None:
    """Short signals have a closed form; both hold with and without onsets at the ends."""
    rng = np.random.default_rng(seed)
    onsets = np.where(rng.random(n) < density, rng.random(n) ** 3, 0)
    onsets[0] *= seed % 2
    expected = librosa.feature.tempogram(onset_envelope=onsets, sr=22_050, win_length=344)
    found = MeanTempogram(n, 344)(onsets)
    np.testing.assert_allclose(found, expected.mean(axis=1), atol=1e-11)


@pytest.mark.parametrize("name", ["silence", "constant", "denormal"])
def test_no_beats_is_one_stretch(name: str) -> None:
    front_end = FrontEnd(SPEC)
    stack = front_end(SIGNALS[name](SPEC.window_samples, 22_050))
    rhythm = front_end.rhythm
    assert rhythm is not None
    assert rhythm.bpm == 0
    assert len(rhythm.beats) == 0
    mean = np.repeat(stack[0].mean(axis=1, keepdims=True), SPEC.n_frames, axis=1)
    np.testing.assert_allclose(stack[3], mean, atol=1e-3)


def test_channels_last_is_the_transpose() -> None:
    window = music(SPEC.window_samples, 22_050)
    last = FrontEnd(FrontEndSpec.preset("five-channel"))(window)
    assert last.shape == (40, 130, 5)
    np.testing.assert_array_equal(last.transpose(2, 0, 1), FrontEnd(SPEC)(window))


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.large_base_example, HealthCheck.too_slow]
)
@given(data=st.data())
def test_stream_equals_batch(data: st.DataObject) -> None:
    """For blocks of any size, hops on the frame grid and off it."""
    name = data.draw(st.sampled_from(["five-channel", "three-channel", "mfcc-13"]), label="preset")
    spec = FrontEndSpec.preset(name)
    frames = data.draw(st.integers(1, 140), label="frames")
    off = data.draw(st.sampled_from([0, 0, 0, 100]), label="off the grid")
    hop = frames * spec.hop_length + off
    samples = music(3 * spec.window_samples, 22_050, seed=data.draw(st.integers(0, 99)))
    front_end, batch = FrontEnd(spec, hop=hop), FrontEnd(spec)
    position = windows = 0
    while position < len(samples) and windows < 6:
        size = data.draw(st.integers(1, 50_000), label="block")
        front_end.accept(samples[position : position + size])
        position += size
        while front_end.ready:
            features = front_end.window()
            expected = batch(samples[front_end.start :][: spec.window_samples])
            if front_end.rhythm is not None:
                assert batch.rhythm is not None
                assert front_end.rhythm.bpm == batch.rhythm.bpm
                assert front_end.rhythm.tuning == batch.rhythm.tuning
                np.testing.assert_array_equal(front_end.rhythm.beats, batch.rhythm.beats)
            np.testing.assert_allclose(features, expected, atol=2e-3)
            windows += 1


@pytest.mark.parametrize("name", PRESETS)
def test_presets_give_their_shape(name: str) -> None:
    spec = FrontEndSpec.preset(name)
    features = FrontEnd(spec)(music(spec.window_samples, spec.sample_rate))
    assert features.shape == spec.shape
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


@pytest.mark.parametrize("order", ["channels_first", "channels_last"])
def test_three_channels_are_the_first_of_the_five(order: str) -> None:
    window = music(SPEC.window_samples, 22_050)
    spec = FrontEndSpec.preset("three-channel").replace(axes=order)
    three, five = FrontEnd(spec)(window), FrontEnd(SPEC)(window)
    assert three.shape == spec.shape
    expected = five[:3] if order == "channels_first" else five[:3].transpose(1, 2, 0)
    np.testing.assert_array_equal(three, expected)


@pytest.mark.parametrize("name", ["log-mel", "mfcc-13", "five-channel"])
def test_double_precision(name: str) -> None:
    """Closer to librosa, and the same to what single precision allows."""
    spec = FrontEndSpec.preset(name)
    window = music(spec.window_samples, spec.sample_rate)
    double = FrontEnd(spec, precision="float64")(window)
    assert double.dtype == np.float32
    np.testing.assert_allclose(double, FrontEnd(spec)(window), atol=1e-3)
    if name == "mfcc-13":
        exact = librosa.feature.mfcc(y=window.astype(np.float64), sr=22_050, n_mfcc=13).T
        # librosa's own windows and filters are in double precision here, too.
        np.testing.assert_allclose(double, exact, atol=1e-4)


def test_unknown_precision() -> None:
    with pytest.raises(ValueError, match="'float16'"):
        FrontEnd(SPEC, precision="float16")


@pytest.mark.skipif(int(np.__version__.split(".")[0]) < 2, reason="NumPy 1 computes in double")
def test_float32_is_transformed_in_float32() -> None:
    """Quietly going through double precision would need buffers of its own."""
    frames = np.random.default_rng(0).standard_normal((130, 2048)).astype(np.float32)
    out = np.empty((130, 1025), np.complex64)
    transform(frames, out)
    tracemalloc.start()
    transform(frames, out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < frames.nbytes / 20
    exact = np.fft.rfft(frames.astype(np.float64)) / 2048
    error = np.abs(out - exact).max() / np.abs(exact).max()
    assert 1e-9 < error < 1e-6


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"n_mfcc": 129}, "n_mfcc"),
        ({"axes": "time_first"}, "axes"),
        ({"ref": "max"}, "ref"),
        ({"log": "natural"}, "log"),
        ({"window_seconds": 0.15}, "window_seconds"),
    ],
)
def test_impossible_stacks(change: dict[str, object], key: str) -> None:
    with pytest.raises(SpecError, match=key):
        SPEC.replace(**change)
