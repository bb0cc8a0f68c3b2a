"""The signal that every model file was saved with an answer to.

Any language can repeat it. In 32-bit unsigned arithmetic (modulo 2**32), for sample n and seed s::

    h = n * 0x9E3779B1 + s
    h = (h ^ (h >> 16)) * 0x85EBCA6B
    h = (h ^ (h >> 13)) * 0xC2B2AE35
    h = h ^ (h >> 16)                      (the finaliser of MurmurHash3, A. Appleby, public domain)
    noise(n) = h / 2**31 - 1

and with t = n / rate in seconds, for a signal that has notes, beats and a hiss::

    note(t)   = sin(2 pi 110 t) + sin(2 pi 440 t) / 2 + sin(2 pi 1760 t) / 4
    beat(t)   = exp(-12 (t mod 0.5))
    signal(n) = 0.2 beat(t) note(t) + 0.05 beat(t + 0.25) noise(n)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.errors import ModelError

PROBES = 64


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """What a model's front end and the model itself must answer to the signal of ``seed``.

    Parameters
    ----------
    seed : below 2**32
    features : values of the features of each input, as `probe` takes them
    features_tolerance : largest difference of one of them, for each input
    probabilities : of the model's classes
    tolerance : largest difference of one of them

    Raises
    ------
    ModelError
        A value is impossible.
    """

    seed: int
    features: tuple[tuple[float, ...], ...]
    features_tolerance: tuple[float, ...]
    probabilities: tuple[float, ...]
    tolerance: float

    def __post_init__(self) -> None:
        good = isinstance(self.seed, int) and 0 <= self.seed < 2**32
        good = good and len(self.features) == len(self.features_tolerance) > 0
        for values in (*self.features, self.probabilities):
            good = good and len(values) > 0 and all(map(_finite, values))
        for tolerance in (*self.features_tolerance, self.tolerance):
            good = good and _finite(tolerance) and tolerance > 0
        if not good or self.tolerance >= 1:
            raise ModelError(
                "self-test is impossible: expected a seed below 2**32, finite numbers, and "
                f"tolerances above 0, found seed {self.seed!r} and tolerance {self.tolerance!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON; of one input without a list around them."""
        values = asdict(self)
        values["features"] = [list(each) for each in self.features]
        if len(self.features) == 1:
            (values["features"],) = values["features"]
            (values["features_tolerance"],) = self.features_tolerance
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SelfTest:
        """Build from JSON values.

        Raises
        ------
        ModelError
            A value is impossible.
        KeyError, TypeError
            One is missing or of another type.
        """
        features, tolerance = values["features"], values["features_tolerance"]
        if not isinstance(tolerance, list):
            features, tolerance = [features], [tolerance]
        return cls(
            seed=values["seed"],
            features=tuple(map(tuple, features)),
            features_tolerance=tuple(tolerance),
            probabilities=tuple(values["probabilities"]),
            tolerance=values["tolerance"],
        )


def probe(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of the features to compare: `PROBES` of them, evenly over the flattened array.

    Value k stands at ``k * size // PROBES`` in the order of memory (the last axis runs fastest).
    """
    flat = features.ravel()
    return flat[np.arange(PROBES) * flat.size // PROBES]


def deviation(answer: NDArray[np.float32], expected: Sequence[float]) -> float:
    """Largest difference from the values expected; infinite for NaN or another number of them."""
    if answer.size != len(expected):
        return float("inf")
    difference = np.abs(answer - np.array(expected, np.float32))
    # Not nan_to_num, which warns where tflite-runtime has switched denormal numbers off.
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")


def _finite(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)  # type: ignore[arg-type]


def signal(seed: int, *, n_samples: int, rate: int) -> NDArray[np.float32]:
    """Make the self-test's signal, by the formula above.

    Parameters
    ----------
    seed : below 2**32
    n_samples : its length
    rate : Hz

    Returns
    -------
    float32 [shape=(n_samples,)], within -0.4 .. 0.4
    """
    t = np.arange(n_samples, dtype=np.uint32) / rate
    note = sum(np.sin(2 * np.pi * 110 * 4**k * t) / 2**k for k in range(3))
    result = 0.2 * _beat(t) * note + 0.05 * _beat(t + 0.25) * noise(seed, n_samples)
    return np.asarray(result, np.float32)


def noise(seed: int, n_samples: int) -> NDArray[np.float64]:
    """Make the hiss of the formula above, within -1 .. 1 [shape=(n_samples,)]."""
    n = np.arange(n_samples, dtype=np.uint32)
    h = n * np.uint32(0x9E3779B1) + np.uint32(seed)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h / 2.0**31 - 1.0


def _beat(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-12.0 * (t % 0.5))
