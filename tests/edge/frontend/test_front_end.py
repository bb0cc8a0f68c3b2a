"""The front end against librosa, and the stream against the batch call."""

import csv
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_genre.errors import AudioError
from edge_genre.frontend import FrontEnd, FrontEndSpec, kinds
from edge_genre.frontend.framed import Framed
from edge_genre.frontend.mel import mel_filters
from tests.support.front_ends import specs
from tests.support.signals import SIGNALS, music

SPECS = {
    "3 s": FrontEndSpec(),
    "30 s": FrontEndSpec(window_seconds=30),
    "corpus grid": FrontEndSpec(hop_length=1711),
    "absolute": FrontEndSpec(ref=1.0, top_db=None),
    "htk": FrontEndSpec(mel_scale="htk", mel_norm=None, pad_mode="reflect", ref=1.0),
    "not centred": FrontEndSpec(center=False),
    "16 kHz": FrontEndSpec(
        sample_rate=16_000, n_fft=1024, hop_length=256, n_mels=64, fmin=60, fmax=7600
    ),
    "odd": FrontEndSpec(n_fft=1000, hop_length=333, n_mels=40, window_seconds=1.234),
}


def reference(samples: NDArray[np.float32], spec: FrontEndSpec) -> NDArray[np.float32]:
    """librosa's features, before any normalisation [shape=(frames, n_mels)]."""
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        center=spec.center,
        pad_mode=spec.pad_mode,
        n_mels=spec.n_mels,
        htk=spec.mel_scale == "htk",
        norm=spec.mel_norm,
        fmin=spec.fmin,
        fmax=spec.fmax,
    )
    ref = np.max if spec.ref == "max" else spec.ref
    return librosa.power_to_db(mel, ref=ref, amin=spec.amin, top_db=spec.top_db).T


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("name", SPECS)
def test_log_mel_equals_librosa(name: str, signal: str) -> None:
    spec = SPECS[name]
    samples = SIGNALS[signal](spec.window_samples, spec.sample_rate)
    features = FrontEnd(spec)(samples)
    assert features.shape == spec.shape
    assert features.dtype == np.float32
    expected = reference(samples, spec)
    # Without a floor, single precision shows where a bin is far below the loudest one.
    counts = expected >= expected.max() - 80.0
    assert spec.top_db is None or counts.all()
    assert np.abs(features - expected)[counts].max() < 1e-3


def test_log_mel_equals_librosa_on_real_music(clips: Path) -> None:
    spec = FrontEndSpec()
    front_end = FrontEnd(spec, hop=5 * spec.window_samples)
    windows, worst = 0, 0.0
    with (clips / "index.csv").open() as stream:
        files = [clips / row["file"] for row in csv.DictReader(stream)]
    for path in files[:: 1 if os.environ.get("EDGE_GENRE_ALL_CLIPS") else 3]:
        samples, _ = librosa.load(path, sr=spec.sample_rate)
        front_end.reset()
        front_end.accept(samples)
        while front_end.ready:
            features = front_end.window()
            window = samples[front_end.start :][: spec.window_samples]
            worst = max(worst, float(np.abs(features - reference(window, spec)).max()))
            windows += 1
    assert windows >= 40
    assert worst < 1e-3


def test_natural_logarithm() -> None:
    spec = FrontEndSpec(log="natural", amin=1e-9, mel_scale="htk", mel_norm=None)
    samples = music(spec.window_samples, spec.sample_rate)
    mel = librosa.feature.melspectrogram(y=samples, sr=22_050, htk=True, norm=None)
    # Where the spectrum is empty, single precision leaves 1e-9 of the loudest bin: 1e-4 in ln.
    np.testing.assert_allclose(FrontEnd(spec)(samples), np.log(mel.T + 1e-9), atol=2e-4)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["slaney", None])
def test_mel_filters_equal_librosa(scale: str, norm: str | None) -> None:
    for rate, n_fft, n_mels, fmin, fmax in (
        (22_050, 2048, 128, 0.0, 11_025.0),
        (16_000, 512, 40, 20.0, 7_600.0),
    ):
        ours = mel_filters(
            sample_rate=rate,
            n_fft=n_fft,
            n_mels=n_mels,
            fmin=fmin,
            fmax=fmax,
            scale=scale,
            slaney=norm == "slaney",
        )
        theirs = librosa.filters.mel(
            sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=scale == "htk", norm=norm
        )
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-9)


def test_normalisations() -> None:
    spec = FrontEndSpec()
    samples = music(spec.window_samples, spec.sample_rate)
    plain = FrontEnd(spec)(samples).astype(np.float64)
    expected = {
        "min_max": (plain - plain.min()) / (plain.max() - plain.min()),
        "mean_variance": (plain - plain.mean()) / (plain.std() + 1e-6),
        "fixed": (plain + 40) / 20,
    }
    for normalize, features in expected.items():
        found = FrontEnd(spec.replace(normalize=normalize, mean=-40, scale=20))(samples)
        np.testing.assert_allclose(found, features, atol=1e-5)


def test_axes() -> None:
    samples = music(66_150, 22_050)
    time_first = FrontEnd(FrontEndSpec())(samples)
    frequency_first = FrontEnd(FrontEndSpec(axes="frequency_first"))(samples)
    np.testing.assert_array_equal(frequency_first, time_first.T)


@pytest.mark.parametrize("normalize", ["none", "min_max", "mean_variance"])
def test_silence_gives_finite_features(normalize: str) -> None:
    spec = FrontEndSpec(normalize=normalize)
    features = FrontEnd(spec)(np.zeros(spec.window_samples, np.float32))
    np.testing.assert_array_equal(features, 0)


def test_waveform_kind_is_the_samples() -> None:
    spec = FrontEndSpec(kind="waveform", window_seconds=0.5)
    samples = music(spec.window_samples, spec.sample_rate)
    np.testing.assert_array_equal(FrontEnd(spec)(samples), samples)


@settings(max_examples=150)
@given(data=st.data())
def test_stream_equals_batch(data: st.DataObject) -> None:
    """For blocks, hops and paddings of any size; and again after a reset."""
    # Beats jump where a last digit decides: test_five_channel.py has those.
    spec = data.draw(specs(*(name for name in kinds.names() if name != "five_channel")))
    hops = st.integers(2000, 20_000)
    if isinstance(spec, Framed):
        frame = spec.hop_length
        hops |= st.integers(1 + 1000 // frame, 1 + 20_000 // frame).map(lambda n: n * frame)
    hop = data.draw(hops, label="hop")
    total = data.draw(st.integers(1, 4 * spec.window_samples), label="total")
    samples = music(total, spec.sample_rate)
    front_end, batch = FrontEnd(spec, hop=hop), FrontEnd(spec)
    exact = FrontEnd(spec, precision="float64")
    for _ in range(2):
        front_end.reset()
        sizes = data.draw(st.lists(st.integers(0, 30_000), min_size=1), label="blocks")
        windows = 0
        for first, last in _blocks(sizes, total):
            front_end.accept(samples[first:last])
            while front_end.ready:
                features = front_end.window()
                assert front_end.start == windows * hop
                expected = samples[front_end.start :][: spec.window_samples]
                np.testing.assert_array_equal(front_end.samples, expected)
                # BLAS may add up in another order for another number of rows: as far off as
                # single precision is in any case.
                whole, double = batch(expected), exact(expected)
                rounding = 1e-5 * np.abs(double).max() + 8 * np.abs(whole - double).max()
                np.testing.assert_allclose(features, whole, rtol=0, atol=rounding)
                windows += 1
        assert windows == max(0, (total - spec.window_samples) // hop + 1)


@pytest.mark.parametrize("center", [True, False])
def test_the_first_sample_is_another_one_in_each_window(center: bool) -> None:
    """Pre-emphasis extrapolates it, and a Hamming window hears it: that frame is never kept."""
    spec = FrontEndSpec(
        window_seconds=1, n_fft=512, hop_length=256, center=center, pre_emphasis=0.97,
        window_function="hamming", power=1, log="none",
    )  # fmt: skip
    samples = music(2 * spec.window_samples, spec.sample_rate)
    front_end, batch = FrontEnd(spec, hop=10 * spec.hop_length), FrontEnd(spec)
    front_end.accept(samples)
    while front_end.ready:
        found = front_end.window()
        expected = batch(samples[front_end.start :][: spec.window_samples])
        np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())


def _blocks(sizes: list[int], total: int) -> Iterator[tuple[int, int]]:
    """Cut ``total`` samples into blocks of these sizes, over and over; the last takes the rest."""
    first = 0
    for size in itertools.chain.from_iterable(
        itertools.repeat(sizes, 1 + total // (sum(sizes) + 1))
    ):
        yield first, min(first + size, total)
        first = min(first + size, total)
    yield first, total


def test_last_window_ends_with_the_last_sample() -> None:
    spec = FrontEndSpec(window_seconds=1.0)
    samples = music(22_050 + 15_000, spec.sample_rate)
    front_end = FrontEnd(spec)
    front_end.accept(samples)
    front_end.window()
    last = front_end.last_window()
    assert last is not None
    features, zeros = last
    assert zeros == 0
    assert front_end.start == 15_000
    np.testing.assert_allclose(features, FrontEnd(spec)(samples[15_000:]), atol=2e-4)


def test_last_window_leaves_a_small_rest_alone() -> None:
    spec = FrontEndSpec(window_seconds=1.0)
    front_end = FrontEnd(spec)
    front_end.accept(music(22_050 + 1_000, spec.sample_rate))
    front_end.window()
    assert front_end.last_window() is None


def test_last_window_pads_a_short_stream() -> None:
    spec = FrontEndSpec(window_seconds=1.0)
    samples = music(8_000, spec.sample_rate)
    front_end = FrontEnd(spec)
    front_end.accept(samples)
    assert not front_end.ready
    last = front_end.last_window()
    assert last is not None
    features, zeros = last
    assert zeros == 14_050
    np.testing.assert_allclose(features, FrontEnd(spec)(np.pad(samples, (0, zeros))), atol=2e-4)


def test_last_window_of_nothing() -> None:
    assert FrontEnd(FrontEndSpec()).last_window() is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_is_refused_with_its_position(bad: float) -> None:
    front_end = FrontEnd(FrontEndSpec())
    front_end.accept(np.zeros(1000, np.float32))
    block = np.zeros(500, np.float32)
    block[20] = bad
    with pytest.raises(AudioError, match=r"sample 1020 \(0\.046 s\)"):
        front_end.accept(block)
    with pytest.raises(AudioError, match="sample 20"):
        front_end(np.pad(block, (0, 66_150 - 500)))


@pytest.mark.parametrize("huge", [1.1e6, 1e20, 1e30, -3e38])
def test_what_is_no_audio_is_refused(huge: float) -> None:
    samples = np.zeros(66_150, np.float32)
    samples[7] = huge
    with pytest.raises(AudioError, match="sample 7 is"):
        FrontEnd(FrontEndSpec())(samples)


def test_loud_floating_point_audio_is_taken() -> None:
    """As of programs that count to 32,768."""
    samples = 32768 * music(66_150, 22_050)
    assert np.isfinite(FrontEnd(FrontEndSpec())(samples)).all()


def test_wrong_number_of_samples() -> None:
    with pytest.raises(AudioError, match=r"expected \(66150,\)"):
        FrontEnd(FrontEndSpec())(np.zeros(66_149))


def test_window_before_it_is_ready() -> None:
    with pytest.raises(RuntimeError, match="accept more"):
        FrontEnd(FrontEndSpec()).window()


def test_steady_state_allocates_little() -> None:
    """One window of the stream allocates its result, not its buffers."""
    import tracemalloc

    spec = FrontEndSpec()
    hop = 22 * spec.hop_length
    front_end = FrontEnd(spec, hop=hop)
    block = music(hop, spec.sample_rate)
    for _ in range(10):
        front_end.accept(block)
        while front_end.ready:
            front_end.window()
    tracemalloc.start()
    front_end.accept(block)
    while front_end.ready:
        front_end.window()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.5 * 4 * np.prod(spec.shape)
