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

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SelfTest:
    """What a model must answer to the signal of ``seed``, within ``tolerance``."""

    seed: int
    probabilities: tuple[float, ...]
    tolerance: float

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        return asdict(self) | {"probabilities": list(self.probabilities)}

    def deviation(self, probabilities: NDArray[np.float32]) -> float:
        """Largest difference between an answer and the one expected; NaN counts as 1."""
        difference = np.abs(probabilities - np.array(self.probabilities, np.float32))
        return float(np.nan_to_num(difference, nan=1.0).max())


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
    n = np.arange(n_samples, dtype=np.uint32)
    h = n * np.uint32(0x9E3779B1) + np.uint32(seed)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    noise = h / 2.0**31 - 1.0
    t = n / rate
    note = sum(np.sin(2 * np.pi * 110 * 4**k * t) / 2**k for k in range(3))
    result = 0.2 * _beat(t) * note + 0.05 * _beat(t + 0.25) * noise
    return np.asarray(result, np.float32)


def _beat(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-12.0 * (t % 0.5))
