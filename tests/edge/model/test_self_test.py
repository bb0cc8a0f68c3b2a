"""The self-test's signal, against its formula written out one sample at a time."""

import math

import numpy as np
import pytest

from edge_genre.errors import ModelError
from edge_genre.model.self_test import SelfTest, deviation, probe, signal


def by_hand(n: int, seed: int, rate: int) -> float:
    mask = 0xFFFFFFFF
    h = (n * 0x9E3779B1 + seed) & mask
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & mask
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & mask
    h ^= h >> 16
    noise = h / 2**31 - 1
    t = n / rate

    def beat(t: float) -> float:
        return math.exp(-12 * math.fmod(t, 0.5))

    turn = 2 * math.pi * t
    note = math.sin(110 * turn) + math.sin(440 * turn) / 2 + math.sin(1760 * turn) / 4
    return 0.2 * beat(t) * note + 0.05 * beat(t + 0.25) * noise


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_formula(seed: int) -> None:
    samples = signal(seed, n_samples=66_150, rate=22_050)
    assert samples.dtype == np.float32
    for n in [*range(50), 11_024, 11_025, 11_026, 40_000, 66_149]:
        assert samples[n] == pytest.approx(by_hand(n, seed, 22_050), abs=1e-7)


def test_seeds_differ() -> None:
    one, other = (signal(seed, n_samples=20_000, rate=22_050) for seed in (1, 2))
    assert np.abs(one - other).max() > 0.01


def test_deviation_is_the_largest() -> None:
    answer = np.array([0.5, 0.35, 0.15], np.float32)
    assert deviation(answer, (0.5, 0.3, 0.2)) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("answer", [[np.nan, 0.5], [np.inf, 0.5], [0.5], [0.5, 0.2, 0.3]])
def test_nan_and_another_size_deviate(answer: list[float]) -> None:
    assert deviation(np.array(answer, np.float32), (0.5, 0.5)) > 1


def test_probe_is_even() -> None:
    features = np.arange(39 * 128, dtype=np.float32).reshape(39, 128)
    assert probe(features).tolist() == [k * 39 * 128 // 64 for k in range(64)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("seed", 2**32),
        ("seed", 1.5),
        ("features", ()),
        ("features", ((),)),
        ("features", ((float("nan"),),)),
        ("features", ((0.0,), (0.0,))),
        ("features_tolerance", (0,)),
        ("features_tolerance", (float("inf"),)),
        ("features_tolerance", (0.1, 0.1)),
        ("probabilities", ("a",)),
        ("tolerance", float("nan")),
        ("tolerance", 1),
        ("tolerance", "x"),
    ],
)
def test_impossible_values(key: str, value: object) -> None:
    values = {
        "seed": 1,
        "features": ((0.0,),),
        "features_tolerance": (0.1,),
        "probabilities": (1.0,),
        "tolerance": 0.1,
    }
    with pytest.raises(ModelError, match=r"^self-test is impossible: .{,160}$"):
        SelfTest(**(values | {key: value}))
