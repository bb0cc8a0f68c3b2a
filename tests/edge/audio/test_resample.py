"""The resampler against soxr, and its stream against one call."""

import tracemalloc

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_genre.audio.resample import Resampler
from edge_genre.errors import AudioError
from tests.support.signals import music

RATES = [8_000, 11_025, 16_000, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000]


def resample(samples: NDArray[np.float32], source: int, target: int) -> NDArray[np.float32]:
    resampler = Resampler(source, target)
    return np.concatenate([resampler.process(samples), resampler.flush()])


def tone(hz: float, n: int, rate: int) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * hz * np.arange(n) / rate).astype(np.float32)


@pytest.mark.parametrize("source", RATES)
def test_tones_of_the_pass_band_are_kept(source: int) -> None:
    """To 1e-5 of full scale (100 dB), in phase and in amplitude, with the right length."""
    pass_band = 0.9 * min(source, 22_050) / 2
    for hz in (50.0, 1000.0, pass_band):
        result = resample(tone(hz, source, source), source, 22_050)
        assert len(result) == 22_050
        expected = tone(hz, 22_050, 22_050)
        edge = 1000  # where the tone begins and ends there are all frequencies
        assert np.abs(result - expected)[edge:-edge].max() < 1e-5


@pytest.mark.parametrize("source", [44_100, 48_000, 96_000, 192_000])
def test_tones_above_the_nyquist_frequency_vanish(source: int) -> None:
    """By 100 dB at least: nothing folds back."""
    for hz in (11_025.0, 12_000.0, 0.45 * source):
        result = resample(tone(hz, source, source), source, 22_050)
        assert np.abs(result[1000:-1000]).max() < 1e-5


@pytest.mark.parametrize("source", [16_000, 44_100, 48_000])
def test_equals_soxr_where_both_pass(source: int) -> None:
    """A band-limited signal, so that only the band that both pass is compared."""
    t = np.arange(2 * source) / source
    rng = np.random.default_rng(3)
    partials = rng.uniform(60, 0.85 * min(source, 22_050) / 2, size=40)
    samples = sum(np.sin(2 * np.pi * f * t + f) for f in partials).astype(np.float32) / 40
    ours = resample(samples, source, 22_050)
    theirs = soxr.resample(samples, source, 22_050, quality="VHQ")
    assert len(ours) == len(theirs)
    assert np.abs(ours - theirs)[500:-500].max() < 3e-5


def test_constant_stays_constant() -> None:
    result = resample(np.ones(48_000, np.float32), 48_000, 22_050)
    np.testing.assert_allclose(result[500:-500], 1.0, atol=5e-6)


def test_same_rate_changes_nothing() -> None:
    samples = music(5000, 22_050)
    np.testing.assert_array_equal(resample(samples, 22_050, 22_050), samples)


@settings(max_examples=60)
@given(
    source=st.sampled_from([*RATES, 22_051]),
    target=st.sampled_from([16_000, 22_050, 44_100]),
    total=st.integers(0, 20_000),
    sizes=st.lists(st.integers(1, 7000), min_size=1, max_size=8),
)
def test_stream_equals_batch(source: int, target: int, total: int, sizes: list[int]) -> None:
    samples = music(total, source)
    whole = resample(samples, source, target)
    assert len(whole) == -(-total * target // source)
    resampler = Resampler(source, target)
    for _ in range(2):  # flush() resets: the second signal is as the first
        pieces, position, index = [], 0, 0
        while position < total:
            size = sizes[index % len(sizes)]
            pieces.append(resampler.process(samples[position : position + size]))
            position, index = position + size, index + 1
        pieces.append(resampler.flush())
        stream = np.concatenate(pieces)
        np.testing.assert_array_equal(stream, whole)  # to the last bit


def test_latency_is_short() -> None:
    """A second of input gives all but a tenth of its output at once."""
    assert len(Resampler(48_000, 22_050).process(np.zeros(48_000, np.float32))) > 0.9 * 22_050


@pytest.mark.parametrize(("source", "target"), [(0, 22_050), (44_100, 999), (2**31 - 1, 22_050)])
def test_impossible_rates(source: int, target: int) -> None:
    with pytest.raises(AudioError, match="expected 4000 to 768000 Hz"):
        Resampler(source, target)


@pytest.mark.parametrize("source", [44_056, 22_049, 47_999, 767_999])
def test_odd_rates_are_close_and_small(source: int) -> None:
    """In tune to 0.05 cents, and without tables of gigabytes."""
    tracemalloc.start()
    result = resample(tone(1000.0, 2 * source, source), source, 22_050)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(result) == 44_100
    drift = 2 * np.pi * 1000.0 * 2 * 3e-5
    assert np.abs(result - tone(1000.0, 44_100, 22_050))[1000:-1000].max() < drift + 1e-5
    assert peak < 300e6
