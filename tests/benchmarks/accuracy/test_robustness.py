"""What each condition does to audio, measured on the audio."""

import numpy as np
import pytest

from edge_genre.benchmarks.accuracy.robustness import CONDITIONS
from tests.support.signals import music

RATE = 22_050


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return music(4 * RATE, RATE)


def under(name: str, samples: np.ndarray) -> np.ndarray:
    changed = CONDITIONS[name](samples, RATE)
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert np.abs(changed).max() <= 1.01
    return changed


@pytest.mark.parametrize("name", CONDITIONS)
def test_length_stays_and_the_input_is_left_alone(name, samples):
    before = samples.copy()
    changed = under(name, samples)
    assert abs(len(changed) - len(samples)) < (2500 if name.startswith("MP3") else 1)
    assert not np.array_equal(changed[: len(samples)], samples)
    np.testing.assert_array_equal(samples, before)


def test_levels(samples):
    np.testing.assert_allclose(under("30 dB quieter", samples), samples / 10**1.5, rtol=1e-5)
    loud = under("10 dB louder, cut off", samples)
    assert np.abs(loud).max() == 1
    inside = np.abs(samples) < 0.3
    np.testing.assert_allclose(loud[inside], samples[inside] * 10**0.5, rtol=1e-5)
    clipped = under("clipped at a third", samples)
    assert np.abs(clipped).max() == pytest.approx(np.abs(samples).max() / 3)


def test_noise_is_20_db_below(samples):
    quiet = samples * 0.5  # so that nothing is cut off
    noise = under("noise at 20 dB", quiet) - quiet
    ratio = 10 * np.log10(np.mean(quiet.astype(float) ** 2) / np.mean(noise.astype(float) ** 2))
    assert ratio == pytest.approx(20, abs=0.1)


def test_a_small_loudspeaker_has_neither_bass_nor_treble():
    time = np.arange(2 * RATE) / RATE
    gains = {}
    for hertz in (75, 150, 1000, 8000):
        tone = np.sin(2 * np.pi * hertz * time).astype(np.float32) / 2
        power = np.mean(under("small loudspeaker", tone).astype(float) ** 2)
        gains[hertz] = 10 * np.log10(power / np.mean(tone.astype(float) ** 2))
    assert gains[1000] == pytest.approx(0, abs=0.2)
    assert gains[150] == pytest.approx(-12.3, abs=0.5)
    assert gains[75] - gains[150] == pytest.approx(-12, abs=0.5)
    assert gains[8000] == pytest.approx(-12.3, abs=0.5)


def test_a_room_goes_on_sounding_and_decays():
    click = np.zeros(RATE, np.float32)
    click[100] = 0.5
    response = under("room of 0.5 s", click).astype(float)
    assert not response[:100].any() or np.abs(response[:100]).max() < 1e-6
    levels = [
        10 * np.log10(np.mean(response[100 + start : 1100 + start] ** 2))
        for start in (200, 200 + RATE // 4)
    ]
    assert levels[1] - levels[0] == pytest.approx(-30, abs=2)  # half of 60 dB in half of 0.5 s


def test_mp3_loses_what_lies_above_its_band(samples):
    spectra = [
        np.abs(np.fft.rfft(each[: 3 * RATE])) ** 2
        for each in (samples, under("MP3 at 64 kbit/s", samples))
    ]
    hertz = np.fft.rfftfreq(3 * RATE, 1 / RATE)
    for low, high, limit in ((200, 4000, 1.0), (0, RATE, 1.5)):
        band = (hertz >= low) & (hertz < high)
        change = 10 * np.log10(spectra[1][band].sum() / spectra[0][band].sum())
        assert abs(change) < limit
