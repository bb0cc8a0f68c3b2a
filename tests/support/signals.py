"""Signals to test with."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def _seconds(n: int, rate: int) -> NDArray[np.float64]:
    return np.arange(n) / rate


def music(n: int, rate: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Chords, a beat and a hiss: full-range, and never the same twice."""
    rng = np.random.default_rng(seed)
    t = _seconds(n, rate)
    notes = 55.0 * 2 ** (rng.integers(0, 48, size=6) / 12)
    chord = sum(np.sin(2 * np.pi * f * t + k) / (k + 1) for k, f in enumerate(notes))
    beat = np.exp(-9 * (t % 0.47)) * rng.standard_normal(n)
    return np.asarray(0.12 * chord + 0.2 * beat + 0.005 * rng.standard_normal(n), np.float32)


def _noise(n: int, rate: int) -> NDArray[np.float32]:
    return (0.3 * np.random.default_rng(1).standard_normal(n)).astype(np.float32)


def _sweep(n: int, rate: int) -> NDArray[np.float32]:
    t = _seconds(n, rate)
    return (0.5 * np.sin(2 * np.pi * (40 * t + 0.3 * rate / 2 * t**2 / t[-1]))).astype(np.float32)


def _click(n: int, rate: int) -> NDArray[np.float32]:
    samples = np.zeros(n, np.float32)
    samples[n // 3] = 1.0
    return samples


SIGNALS: dict[str, Callable[[int, int], NDArray[np.float32]]] = {
    "music": music,
    "noise": _noise,
    "sweep": _sweep,
    "tone": lambda n, rate: np.sin(2 * np.pi * 440 * _seconds(n, rate)).astype(np.float32),
    "click": _click,
    "constant": lambda n, rate: np.full(n, 0.25, np.float32),
    "clipped": lambda n, rate: np.clip(8 * music(n, rate), -1, 1).astype(np.float32),
    "quiet": lambda n, rate: 1e-4 * music(n, rate),
    "denormal": lambda n, rate: np.full(n, 1e-40, np.float32),
    "silence": lambda n, rate: np.zeros(n, np.float32),
}
