"""The demo clip: what was composed is what is bundled, and it is fit to be classified."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_genre import Classifier
from edge_genre.demo import clip
from edge_genre.demo.compose import RATE, compose, write


@pytest.fixture(scope="module")
def rendered() -> np.ndarray:
    return compose()


def test_bundled_clip_is_the_composition(rendered: np.ndarray) -> None:
    samples, rate = soundfile.read(clip())
    assert rate == RATE
    assert samples.shape == rendered.shape
    # Vorbis keeps the waveform, not every sample.
    correlation = np.corrcoef(samples.ravel(), rendered.ravel())[0, 1]
    assert correlation > 0.99
    assert clip().stat().st_size < 300_000


def test_clip_is_long_loud_and_not_clipped(rendered: np.ndarray) -> None:
    assert len(rendered) / RATE > 10
    assert np.isfinite(rendered).all()
    assert np.abs(rendered).max() == pytest.approx(0.89, abs=1e-3)
    assert np.abs(soundfile.read(clip())[0]).max() < 1
    assert -24 < 20 * np.log10(np.sqrt(np.mean(rendered**2))) < -8


def test_clip_has_a_full_spectrum(rendered: np.ndarray) -> None:
    spectrum = np.abs(np.fft.rfft(rendered.mean(axis=1))) ** 2
    f = np.fft.rfftfreq(len(rendered), 1 / RATE)
    level = [
        10 * np.log10(spectrum[(f >= low) & (f < 2 * low)].mean())
        for low in (40, 160, 640, 2560, 5120)
    ]
    assert max(level) - min(level) < 50


def test_program_renders_the_same_clip_again(rendered: np.ndarray, tmp_path: Path) -> None:
    written, here = tmp_path / "program.ogg", tmp_path / "here.ogg"
    arguments = ["-m", "edge_genre.demo.compose", "--output", str(written)]
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    write(here, rendered)
    np.testing.assert_array_equal(soundfile.read(written)[0], soundfile.read(here)[0])


def test_another_seed_is_another_clip(rendered: np.ndarray) -> None:
    assert np.abs(compose(seed=1) - rendered).max() > 0.01


def test_clip_is_classified_as_it_was_meant() -> None:
    """Four on the floor, octave bass, strings: not a proof of anything, but a demo must not jar."""
    assert Classifier.load().classify_file(clip()).label == "disco"


def test_path_is_printed() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "edge_genre.demo"], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == str(clip())
