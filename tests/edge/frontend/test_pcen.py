"""Per-channel energy normalisation against librosa's."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_genre.errors import SpecError
from edge_genre.frontend import PRESETS, FrontEnd, FrontEndSpec
from tests.support.signals import SIGNALS, music


def reference(samples: NDArray[np.float32], spec: FrontEndSpec) -> NDArray[np.float64]:
    """librosa's, in double precision [shape=(n_mels, frames)]."""
    mel = librosa.feature.melspectrogram(
        y=samples.astype(np.float64),
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        n_mels=spec.n_mels,
        power=spec.power,
    )
    found: NDArray[np.float64] = librosa.pcen(
        mel * spec.factor,
        sr=spec.sample_rate,
        hop_length=spec.hop_length,
        gain=spec.gain,
        bias=spec.bias,
        power=spec.exponent,
        time_constant=spec.time_constant,
        eps=spec.eps,
    )
    return found


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("factor", [1, 2**31])
def test_equal_to_librosa(signal: str, factor: float) -> None:
    spec = PRESETS["pcen"].replace(factor=factor)
    samples = SIGNALS[signal](spec.window_samples, spec.sample_rate)
    exact = reference(samples, spec)
    np.testing.assert_allclose(FrontEnd(spec, precision="float64")(samples), exact, atol=1e-5)
    # Where a signal leaves bands empty, they hold what rounding makes of nothing.
    real = SIGNALS[signal] in (music,)
    np.testing.assert_allclose(FrontEnd(spec)(samples), exact, atol=1e-3 if real else 1)


@settings(max_examples=50)
@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "hop_length": st.integers(100, 2000),
            "n_mels": st.integers(10, 128),
            "power": st.sampled_from([1, 2]),
            "factor": st.sampled_from([1, 2**15, 2**31]),
            "time_constant": st.floats(0.01, 3),
            "gain": st.floats(0, 1.2),
            "bias": st.floats(0.1, 20),
            "exponent": st.floats(0.1, 1),
            "eps": st.sampled_from([1e-9, 1e-6, 1e-2]),
        },
    )
)
def test_every_number(values: dict[str, Any]) -> None:
    spec = FrontEndSpec(kind="pcen", axes="frequency_first", window_seconds=1, **values)
    samples = music(spec.window_samples, spec.sample_rate)
    expected = reference(samples, spec)
    found = FrontEnd(spec, precision="float64")(samples)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * expected.max())


def test_real_music(clips: Path, report: Callable[[str], None]) -> None:
    spec = PRESETS["pcen"]
    with (clips / "index.csv").open() as stream:
        files = [clips / row["file"] for row in csv.DictReader(stream)]
    single, double = FrontEnd(spec), FrontEnd(spec, precision="float64")
    off: dict[str, list[float]] = {"single": [], "double": []}
    largest = 0.0
    for window in itertools.islice(_windows(files, spec), 200):
        expected = reference(window, spec)
        largest = max(largest, float(expected.max()))
        off["double"].append(float(np.abs(double(window) - expected).max()))
        off["single"].append(float(np.abs(single(window) - expected).max()))
    worst = {name: max(each) for name, each in off.items()}
    report(
        f"PCEN of {len(off['single'])} real windows: off by {worst['single']:.1e} at most in "
        f"single precision and {worst['double']:.1e} in double, of values up to {largest:.1f}"
    )
    assert len(off["single"]) == 200
    assert worst["double"] < 1e-5
    # A band that is 80 dB below the loudest is divided by itself: what single precision makes of
    # such a band is heard.
    assert worst["single"] < 1e-2
    assert np.median(off["single"]) < 1e-3


def _windows(files: list[Path], spec: FrontEndSpec) -> Iterator[NDArray[np.float32]]:
    """Some of each file."""
    for path in files:
        samples, _ = librosa.load(path, sr=spec.sample_rate)
        for start in range(0, len(samples) - spec.window_samples + 1, 4 * spec.window_samples):
            yield samples[start : start + spec.window_samples]


def test_needs_format_2() -> None:
    assert PRESETS["pcen"].format_version == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gain": -1}, "gain is -1.0, expected 0 or more"),
        ({"bias": 0}, "bias is 0.0, expected a positive number"),
        ({"time_constant": 0}, "time_constant is 0.0, expected a positive number"),
        ({"time_constant": 1e300}, r"time_constant is 1e\+300, expected a number up to 3.4e\+38"),
        ({"eps": "small"}, "eps is 'small', expected a finite number"),
        ({"log": "db"}, "unknown key 'log'; pcen has kind, sample_rate"),
        ({"top_db": None}, "unknown key 'top_db'"),
    ],
)
def test_impossible_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        FrontEndSpec.from_dict({"kind": "pcen"} | values)
