"""What tutorials compute with librosa, SciPy, scikit-learn and PyTorch, said in a specification."""

from __future__ import annotations

import itertools
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler, minmax_scale, scale

from edge_genre.errors import SpecError
from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.frontend.framed import Framed
from edge_genre.frontend.spectrum import PowerSpectrum
from tests.support.front_ends import list_of_numbers, specs
from tests.support.requirements import require_package
from tests.support.signals import music

RATE, SECONDS = 22_050, 3
SAMPLES = music(RATE * SECONDS, RATE)


def mel(samples: NDArray[np.float32] = SAMPLES, **arguments: Any) -> NDArray[np.float32]:
    """librosa's mel spectrogram [shape=(128, 130)]."""
    found: NDArray[np.float32] = librosa.feature.melspectrogram(y=samples, sr=RATE, **arguments)
    return found


def mfcc(**arguments: Any) -> NDArray[np.float32]:
    found: NDArray[np.float32] = librosa.feature.mfcc(y=SAMPLES, sr=RATE, n_mfcc=13, **arguments)
    return found


def computed(samples: NDArray[np.float32] = SAMPLES, **values: Any) -> NDArray[np.float64]:
    spec = FrontEndSpec(**values)
    features = FrontEnd(spec)(samples)
    assert features.shape == spec.shape
    return features.astype(np.float64)


@pytest.mark.parametrize("win_length", [None, 2, 1200, 1201, 2047])
@pytest.mark.parametrize("function", ["hann", "hamming"])
@pytest.mark.parametrize("periodic", [True, False])
def test_window_functions(win_length: int | None, function: str, periodic: bool) -> None:
    """librosa puts them into the middle of the frame, and takes SciPy's."""
    window = scipy.signal.get_window(function, win_length or 2048, fftbins=periodic)
    expected = mel(win_length=win_length, window=window)
    found = computed(
        win_length=win_length, window_function=function, periodic=periodic,
        log="none", axes="frequency_first",
    )  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * expected.max())


@pytest.mark.parametrize("win_length", [400, 401])
def test_short_windows_are_those_of_pytorch(win_length: int) -> None:
    spec = FrontEndSpec(n_fft=512, win_length=win_length, hop_length=160, pad_mode="reflect")
    assert isinstance(spec, Framed)
    spectrum = PowerSpectrum(spec, np.float64)
    spectrum.samples[:] = SAMPLES
    spectrum.pad()
    found = spectrum.power([range(20)])
    torch = require_package("torch")
    expected = torch.stft(
        torch.from_numpy(SAMPLES.astype(np.float64)), 512, 160, win_length,
        torch.hann_window(win_length, dtype=torch.float64), return_complex=True,
    ).abs().T[:20] ** 2  # fmt: skip
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-9 * float(expected.max()))


@pytest.mark.parametrize("center", [True, False])
def test_magnitudes(center: bool) -> None:
    expected = mel(power=1.0, center=center)
    found = computed(power=1, log="none", center=center, axes="frequency_first")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
def test_pre_emphasis(center: bool, pad_mode: str) -> None:
    """From the window's first sample, which librosa extrapolates."""
    emphasised = librosa.effects.preemphasis(SAMPLES, coef=0.95)
    arguments = {"center": center, "pad_mode": pad_mode}
    expected = librosa.power_to_db(mel(emphasised, **arguments), ref=np.max)
    found = computed(pre_emphasis=0.95, axes="frequency_first", **arguments)
    assert np.abs(found - expected).max() < 2e-3
    plain = computed(axes="frequency_first", **arguments)
    assert np.abs(found - plain).max() > 1


def test_logarithms() -> None:
    magnitudes = mel(power=1.0)
    for ref, reference in ((np.max, "max"), (1.0, 1.0), (0.1, 0.1)):
        expected = librosa.amplitude_to_db(magnitudes, ref=ref)
        found = computed(
            power=1, log="amplitude_db", amin=1e-5, ref=reference, axes="frequency_first"
        )
        np.testing.assert_allclose(found, expected, atol=1e-3)
    found = computed(log="log10", amin=1e-6, axes="frequency_first")
    np.testing.assert_allclose(found, np.log10(mel() + 1e-6), atol=1e-4)
    found = computed(log="natural", amin=1, axes="frequency_first")
    np.testing.assert_allclose(found, np.log1p(mel()), atol=1e-4)


def test_logarithm_of_whisper() -> None:
    """``(max(log10(max(S, 1e-10)), loudest - 8) + 4) / 4`` is decibels that are scaled."""
    exact = np.log10(np.maximum(mel(), 1e-10))
    expected = (np.maximum(exact, exact.max() - 8) + 4) / 4
    found = computed(ref=1, normalize="fixed", mean=-40, scale=40, axes="frequency_first")
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("axes", ["time_first", "frequency_first"])
def test_standard_scaler_of_coefficients(axes: str) -> None:
    rows = mfcc().T
    scaler = StandardScaler().fit(rows[:60])
    found = computed(
        kind="mfcc", n_mfcc=13, ref=1, normalize="fixed", axes=axes,
        mean=scaler.mean_.tolist(), scale=scaler.scale_,
    )  # fmt: skip
    expected = scaler.transform(rows)
    np.testing.assert_allclose(found, expected if axes == "time_first" else expected.T, atol=1e-4)


def test_sklearns_scale_over_time() -> None:
    for how, expected in (
        ("mean_variance", scale(mfcc(), axis=1)),
        ("min_max", minmax_scale(mfcc(), axis=1)),
    ):
        found = computed(
            kind="mfcc", n_mfcc=13, ref=1, axes="frequency_first", normalize=how,
            normalize_over="time",
        )  # fmt: skip
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_statistics_for_dense_networks() -> None:
    rows = mfcc().T.astype(np.float64)
    names = ("mean", "std", "var", "min", "max")
    each = {name: getattr(rows, name)(axis=0) for name in names}
    values = {"kind": "mfcc", "n_mfcc": 13, "ref": 1}
    for count in range(1, 3):
        for chosen in itertools.permutations(names, count):
            expected = np.array([each[name] for name in chosen])
            by_statistic = computed(**values, statistics=chosen)
            np.testing.assert_allclose(by_statistic, np.hstack(expected), rtol=1e-4, atol=1e-2)
            by_coefficient = computed(**values, statistics=chosen, axes="frequency_first")
            np.testing.assert_array_equal(by_coefficient, by_statistic.reshape(count, 13).T.ravel())


def test_statistics_are_scaled_one_by_one() -> None:
    rows = mfcc().T.astype(np.float64)
    expected = np.hstack([rows.mean(axis=0), rows.std(axis=0)])
    mean, deviation = np.arange(26.0), np.arange(1.0, 27.0)
    found = computed(
        kind="mfcc", n_mfcc=13, ref=1, statistics=["mean", "std"], normalize="fixed",
        mean=mean, scale=deviation,
    )  # fmt: skip
    np.testing.assert_allclose(found, (expected - mean) / deviation, atol=1e-3)


def test_statistics_of_stacks() -> None:
    found = computed(
        kind="mfcc_deltas", n_mfcc=13, ref=1, statistics=["mean"], axes="channels_first"
    )
    whole = mfcc()
    channels = [whole, librosa.feature.delta(whole), librosa.feature.delta(whole, order=2)]
    expected = np.hstack([channel.mean(axis=1) for channel in channels])
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("axes", ["channels_first", "channels_last"])
def test_channels_are_scaled_one_by_one(axes: str) -> None:
    spec = FrontEndSpec(kind="mfcc_deltas", n_mfcc=13, axes=axes)
    plain = FrontEnd(spec)(SAMPLES).astype(np.float64)
    shape = (3, 1, 1) if axes == "channels_first" else (1, 1, 3)
    mean, deviation = np.array([-10.0, 0, 1]), np.array([30.0, 3, 2])
    found = FrontEnd(spec.replace(normalize="fixed", mean=mean, scale=deviation))(SAMPLES)
    expected = (plain - mean.reshape(shape)) / deviation.reshape(shape)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # A list of one a coefficient in place of a channel's number.
    table = np.arange(1.0, 40).reshape(3, 13)
    found = FrontEnd(spec.replace(normalize="fixed", scale=table))(SAMPLES)
    order = table[:, :, None] if axes == "channels_first" else table.T[:, None, :]
    np.testing.assert_allclose(found, plain / order, atol=1e-3)


@pytest.mark.parametrize("how", ["mean_variance", "min_max"])
def test_nothing_is_made_of_silence(how: str) -> None:
    silence = np.zeros(RATE * SECONDS, np.float32)
    features = computed(silence, ref=1, normalize=how, normalize_over="time")
    np.testing.assert_array_equal(features, 0)


@settings(max_examples=60)
@given(spec=specs())
def test_files_of_old_and_new_format(spec: FrontEndSpec) -> None:
    """What 0.1.0 did not know is left out at its default, and asks for format 2 otherwise."""
    values = spec.to_dict()
    new = {"win_length", "periodic", "power", "pre_emphasis", "statistics", "normalize_over"}
    lists = isinstance(values.get("mean"), list) or isinstance(values.get("scale"), list)
    choices = values.get("window_function") == "hamming" or values.get("log") in (
        "log10",
        "amplitude_db",
    )
    later_kind = spec.kind not in ("log_mel", "mfcc", "mfcc_deltas", "five_channel", "waveform")
    is_new = bool(new & set(values)) or lists or choices or later_kind
    assert spec.format_version == (2 if is_new else 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"win_length": 0}, "win_length is 0, expected a positive whole number"),
        ({"win_length": 4096}, "win_length is 4096, expected from 2 to n_fft, 2048"),
        ({"periodic": 1}, "periodic is 1, expected true or false"),
        ({"power": 3}, r"power is 3.0, expected one of \(1.0, 2.0\)"),
        ({"pre_emphasis": -0.5}, "pre_emphasis is -0.5, expected from 0 to 1"),
        ({"window_function": "kaiser"}, "window_function is 'kaiser', expected one of"),
        ({"log": "log2"}, "log is 'log2', expected one of"),
        ({"statistics": ["median"]}, r"statistics is \['median'\], expected a list of some of"),
        ({"statistics": ["mean", "mean"]}, "each once"),
        ({"statistics": "mean"}, "expected a list"),
        ({"normalize_over": "bands"}, "normalize_over is 'bands', expected one of"),
        ({"statistics": ["mean"], "normalize_over": "time"}, r"expected one of \('window',\)"),
        ({"scale": [1.0] * 12}, "scale has 12 numbers, expected 128, one a band"),
        ({"mean": []}, "mean has 0 numbers, expected 128"),
        ({"scale": [1.0] * 127 + [0]}, r"scale\[127\] is 0, expected a number other than 0"),
        ({"scale": 1e-320}, "scale is 1e-320, expected a number other than 0"),
        ({"mean": -1e39}, r"mean is -1e\+39, expected a number up to 3.4e\+38"),
        ({"mean": [None] * 128}, r"mean\[0\] is None, expected a finite number"),
        ({"mean": [[1.0]] * 128}, r"mean\[0\] is a list, expected a number"),
        (
            {"kind": "mfcc", "scale": [2, 3], "n_mfcc": 13},
            "scale has 2 numbers, expected 13, one a coefficient",
        ),
        (
            {"kind": "mfcc_deltas", "mean": [1] * 40},
            "mean has 40 numbers, expected 3, one a channel",
        ),
        (
            {"kind": "mfcc_deltas", "mean": [1, 2, [3] * 39]},
            r"mean\[2\] has 39 numbers, expected 40, one a coefficient",
        ),
        ({"mean": [0] * 13, "statistics": ["mean"]}, "mean has 13 numbers, expected 128"),
        ({"kind": "five_channel", "power": 1}, "power is 1.0, expected 2.0"),
    ],
)
def test_impossible_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        FrontEndSpec.from_dict(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["log_mel", "mfcc", "mfcc_deltas", "five_channel"])
def test_lists_are_kept(kind: str) -> None:
    spec = FrontEndSpec(kind=kind)
    numbers = list_of_numbers(spec, 2.5)
    spec = spec.replace(normalize="fixed", mean=numbers)
    assert spec.to_dict()["mean"] == numbers
    assert FrontEndSpec.from_dict(spec.to_dict()) == spec
    assert hash(spec) != hash(spec.replace(mean=0))
