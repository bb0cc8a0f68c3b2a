"""Specs of features that are made of a mel spectrogram, and what they share."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend.computation import Computation
from edge_genre.frontend.framed import Framed
from edge_genre.frontend.mel import mel_filters
from edge_genre.frontend.spec import finite, require

if TYPE_CHECKING:
    from edge_genre.frontend.graph import Value, Writer
    from edge_genre.frontend.in_c import InC

# A low mel filter spans a handful of bins and a high one hundreds, so that most of a dense product
# multiplies zeros. Cutting the bank into groups of bands, each with its own range of bins, skips
# most of them and keeps the products large enough for BLAS.
_GROUP_EDGES = (0.0, 0.375, 0.625, 0.8125, 1.0)  # of the number of bands
_DECIBEL = 10.0 / math.log(10.0)
_LOGS = ("db", "natural", "none")
_NORMALIZATIONS = ("none", "min_max", "mean_variance", "fixed")
_LARGEST_FFT_IN_C = 1 << 15  # whose bins have numbers of 16 bits


@dataclass(frozen=True, kw_only=True)
class MelSpectrogram(Framed):
    """Levels of the bands of a mel filter bank, as librosa's, and what is made of them.

    Parameters
    ----------
    n_mels, mel_scale, mel_norm, fmin, fmax : the mel filter bank, in Hz; ``fmax`` None is half the
        sample rate. ``mel_norm`` ``"slaney"`` gives each triangle unit area, None unit height
    log : ``"db"``: ``10 log10(max(amin, S)) - 10 log10(max(amin, ref))``, as librosa's
        ``power_to_db``; ``"natural"``: ``ln(S + amin)``; ``"none"``: S, the power itself
    ref : 0 dB, as a power, or ``"max"``: the window's largest
    amin : see ``log``
    top_db : floor below the window's maximum, dB; None for none
    normalize : over the whole window: ``"none"``; ``"min_max"`` to 0..1; ``"mean_variance"``:
        ``(x - mean) / (std + 1e-6)``; ``"fixed"``: ``(x - self.mean) / self.scale``
    axes : ``"time_first"`` (frames, bands) or ``"frequency_first"`` (bands, frames)
    """

    n_mels: int = 128
    mel_scale: str = "slaney"
    mel_norm: str | None = "slaney"
    fmin: float = 0.0
    fmax: float | None = None
    log: str = "db"
    ref: float | str = "max"
    amin: float = 1e-10
    top_db: float | None = 80.0
    normalize: str = "none"
    mean: float = 0.0
    scale: float = 1.0
    axes: str = "time_first"

    def check(self) -> None:
        super().check()
        self.whole("n_mels")
        self.choice("mel_scale", "slaney", "htk")
        self.choice("mel_norm", "slaney", None)
        self.choice("log", *_LOGS)
        self.choice("normalize", *_NORMALIZATIONS)
        self.number("fmin", "amin", "mean", "scale")
        self.number(*(key for key in ("fmax", "top_db") if getattr(self, key) is not None))
        if self.ref != "max":
            object.__setattr__(self, "ref", finite("ref", self.ref))
            require(float(self.ref) > 0, "ref", self.ref, "'max' or a positive number")
        require(self.amin > 0, "amin", self.amin, "a positive number")
        require(self.scale != 0, "scale", self.scale, "a number other than 0")
        require(self.top_db is None or self.top_db > 0, "top_db", self.top_db, "positive or null")
        nyquist = self.sample_rate / 2
        require(0 <= self.fmin < nyquist, "fmin", self.fmin, f"from 0 to below {nyquist:g} Hz")
        fmax = nyquist if self.fmax is None else self.fmax
        require(self.fmin < fmax <= nyquist, "fmax", fmax, f"above fmin, {nyquist:g} Hz at most")
        self.choice("axes", *self.orders())

    @classmethod
    def orders(cls) -> tuple[str, ...]:
        """What ``axes`` may be."""
        return ("time_first", "frequency_first")

    @property
    def width(self) -> int:
        """Numbers that a frame becomes."""
        return self.n_mels

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames and bands, in the order of ``axes``."""
        shape = (self.n_frames, self.width)
        return shape if self.axes == "time_first" else shape[::-1]

    @property
    def filters(self) -> NDArray[np.float32]:
        """The filter bank, as `mel_filters` gives it."""
        return mel_filters(
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            n_mels=self.n_mels,
            fmin=self.fmin,
            fmax=self.sample_rate / 2 if self.fmax is None else self.fmax,
            scale=self.mel_scale,
            slaney=self.mel_norm == "slaney",
        )

    def arranged(self, features: NDArray[Any]) -> NDArray[Any]:
        """Features (frames, width) in the order of ``axes``."""
        return features if self.axes == "time_first" else features.T

    @property
    def no_graph(self) -> str | None:
        """It can be one."""
        return None

    def graph_levels(self, writer: Writer, samples: Value) -> Value:
        """Mel levels, with reference and floor [shape=(n_frames, n_mels)]."""
        mel = writer.filtered(writer.spectra(self, samples), self.filters)
        if self.log == "none":
            return mel
        natural = self.log == "natural"
        power = writer.add(mel, [[self.amin]]) if natural else writer.maximum(mel, [[self.amin]])
        # Relative to the loudest: the logarithm of 1 is 0 in every engine, while logarithms of
        # equal numbers may differ in the last digit even in one, which normalising silence would
        # blow up.
        loudest = writer.over_all("max", power)
        levels = writer.log(writer.divide(power, loudest))
        if not natural:
            levels = writer.multiply(levels, [[_DECIBEL]])
            if self.top_db is not None:
                levels = writer.maximum(levels, [[-self.top_db]])
        if (not natural and self.ref == "max") or self.forgets_level:
            return levels  # it is the reference, or a level that the window shares changes nothing
        shared = writer.log(loudest)
        if not natural:
            reference = _decibel(float(self.ref), self.amin)
            shared = writer.subtract(writer.multiply(shared, [[_DECIBEL]]), [[reference]])
        return writer.add(levels, shared)

    @property
    def forgets_level(self) -> bool:
        """Whether a number that is added to all levels changes nothing."""
        return False

    def graph_normalized(self, writer: Writer, features: Value) -> Value:
        """As ``normalize`` says, over all of the window."""

        def number(value: float) -> NDArray[np.float64]:
            return np.full([1] * len(features.shape), value)

        if self.normalize == "mean_variance":
            features = writer.subtract(features, writer.over_all("mean", features))
            deviation = writer.root(writer.over_all("mean", writer.square(features)))
            return writer.divide(features, writer.add(deviation, number(1e-6)))
        if self.normalize == "min_max":
            features = writer.subtract(features, writer.over_all("min", features))
            largest = writer.maximum(writer.over_all("max", features), number(1e-6))
            return writer.divide(features, largest)
        if self.normalize == "fixed":
            return writer.divide(writer.subtract(features, number(self.mean)), number(self.scale))
        return features

    @property
    def no_c(self) -> str | None:
        """Only its length of frames may keep it from C."""
        n = self.n_fft
        if n & (n - 1) or not 8 <= n <= _LARGEST_FFT_IN_C:
            return (
                f"transforms frames of a power of two from 8 to {_LARGEST_FFT_IN_C} samples, "
                f"not of {n}"
            )
        return None

    def in_c(self) -> InC:
        """Its numbers in C."""
        from edge_genre.frontend.in_c import InC

        absolute = 0.0 if self.ref == "max" else _decibel(float(self.ref), self.amin)
        macros: dict[str, int | float | str] = {
            "EG_SAMPLE_RATE": self.sample_rate,
            "EG_WINDOW_SAMPLES": self.window_samples,
            "EG_N_FFT": self.n_fft,
            "EG_HOP": self.hop_length,
            "EG_FRAMES": self.n_frames,
            "EG_MELS": self.n_mels,
            "EG_MFCC": 0,
            "EG_FEATURES": math.prod(self.shape),
            "EG_TIME_FIRST": int(self.axes == "time_first"),
            "EG_MARGIN": self.margin,
            "EG_REFLECT": int(self.center and self.pad_mode == "reflect"),
            **{f"EG_LOG_{name.upper()}": i for i, name in enumerate(("none", "db", "natural"))},
            "EG_LOG": f"EG_LOG_{self.log.upper()}",
            "EG_AMIN": self.amin,
            "EG_DECIBEL": _DECIBEL,
            "EG_REF_MAX": int(self.ref == "max"),
            "EG_REF": absolute,
            "EG_FLOOR": int(self.top_db is not None),
            "EG_TOP_DB": self.top_db or 0.0,
            **{
                f"EG_NORMALIZE_{name.upper()}": i
                for i, name in enumerate(("none", "mean_variance", "min_max", "fixed"))
            },
            "EG_NORMALIZE": f"EG_NORMALIZE_{self.normalize.upper()}",
            "EG_MEAN": self.mean,
            "EG_SCALE": self.scale,
        }
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.n_fft // 2 + 1) / self.n_fft)
        return InC(macros, hann, self.filters)


class Levels(Computation):
    """Mel levels: what one frame gives, and what a window makes of its frames."""

    def __init__(self, spec: MelSpectrogram, dtype: type[Any]) -> None:
        self.spec = spec
        self.widths = (spec.n_mels,)
        self._groups = list(_banded(spec.filters.astype(dtype, copy=False)))

    def analyse(self, power: NDArray[Any], rows: list[NDArray[Any]]) -> None:
        """Logarithm of the mel powers, before anything that depends on the whole window.

        Parameters
        ----------
        power : float [shape=(frames, 1 + n_fft // 2)]
        rows : one field, float [shape=(frames, n_mels)], written
        """
        mel = rows[0]
        for bands, bins, filters in self._groups:
            np.matmul(power[:, bins], filters, out=mel[:, bands])
        if self.spec.log == "natural":
            np.add(mel, self.spec.amin, out=mel)
            np.log(mel, out=mel)
        elif self.spec.log == "db":
            np.maximum(mel, self.spec.amin, out=mel)
            np.log(mel, out=mel)  # three times as fast as log10
            mel *= _DECIBEL

    def levels(self, rows: list[NDArray[Any]]) -> NDArray[Any]:
        """Apply the reference and the floor of one window.

        Parameters
        ----------
        rows : one field, float [shape=(n_frames, n_mels)], left as it is

        Returns
        -------
        float [shape=(n_frames, n_mels)], a new array
        """
        spec, mel = self.spec, rows[0]
        if spec.log != "db":
            return mel.copy()
        loudest = float(mel.max())
        floor = -math.inf if spec.top_db is None else loudest - spec.top_db
        levels: NDArray[Any] = np.maximum(mel, mel.dtype.type(floor))
        reference = loudest if spec.ref == "max" else _decibel(float(spec.ref), spec.amin)
        if reference:
            levels -= mel.dtype.type(reference)
        return levels


def normalize(features: NDArray[Any], spec: MelSpectrogram) -> None:
    """Normalise one window in place, as ``spec.normalize`` says."""
    number = features.dtype.type
    if spec.normalize == "mean_variance":
        features -= number(features.mean(dtype=np.float64))
        features /= number(math.sqrt(float(np.vdot(features, features)) / features.size) + 1e-6)
    elif spec.normalize == "min_max":
        features -= features.min()
        features /= max(float(features.max()), 1e-6)
    elif spec.normalize == "fixed":
        features -= number(spec.mean)
        features /= number(spec.scale)


def _decibel(power: float, amin: float) -> float:
    return 10.0 * math.log10(max(power, amin))


def _banded(
    filters: NDArray[Any],
) -> Iterator[tuple[slice, slice, NDArray[Any]]]:
    """Cut a filter bank into groups of bands with the bins that they reach."""
    cuts = [round(edge * len(filters)) for edge in _GROUP_EDGES]
    for first, last in itertools.pairwise(cuts):
        if first == last:
            continue
        used = np.flatnonzero(filters[first:last].any(axis=0))
        bins = slice(used[0], used[-1] + 1) if len(used) else slice(0, 1)
        yield slice(first, last), bins, np.ascontiguousarray(filters[first:last, bins].T)
