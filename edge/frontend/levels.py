"""Specs of features that are made of the levels of mel bands: the logarithm of their power."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend.finishing import Finish, Finished
from edge_genre.frontend.mel_spectrogram import FilterBank, MelSpectrogram
from edge_genre.frontend.spec import finite, require

if TYPE_CHECKING:
    from edge_genre.frontend.graph import Value, Writer
    from edge_genre.frontend.in_c import InC

# Decibels of a power and of an amplitude: so many times the decimal logarithm.
_DECIBELS = {"db": 10.0, "amplitude_db": 20.0}
# What the natural logarithm is multiplied by, which is three times as fast to compute.
_OF_NATURAL = {name: times / math.log(10.0) for name, times in _DECIBELS.items()}
_OF_NATURAL |= {"natural": 1.0, "log10": 1 / math.log(10.0)}
_LARGEST_FFT_IN_C = 1 << 15  # whose bins have numbers of 16 bits


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Logarithmic(MelSpectrogram):
    """A mel spectrogram S and its logarithm.

    Parameters
    ----------
    log : ``"db"``: ``10 log10(max(amin, S)) - 10 log10(max(amin, ref))``, as librosa's
        ``power_to_db``; ``"amplitude_db"``: the same with 20, as ``amplitude_to_db``;
        ``"natural"``: ``ln(S + amin)``; ``"log10"``: ``log10(S + amin)``; ``"none"``: S itself
    ref : 0 dB, or ``"max"``: the window's largest
    amin : see ``log``
    top_db : floor below the window's maximum, dB; None for none
    """

    log: str = "db"
    ref: float | str = "max"
    amin: float = 1e-10
    top_db: float | None = 80.0

    def check(self) -> None:
        super().check()
        self.choice("log", *_OF_NATURAL, "none")
        self.number("amin", *(("top_db",) if self.top_db is not None else ()))
        if self.ref != "max":
            object.__setattr__(self, "ref", finite("ref", self.ref))
            require(float(self.ref) > 0, "ref", self.ref, "'max' or a positive number")
        require(self.amin > 0, "amin", self.amin, "a positive number")
        require(self.top_db is None or self.top_db > 0, "top_db", self.top_db, "positive or null")

    @property
    def format_version(self) -> int:
        """A version 2 has more logarithms."""
        return max(super().format_version, 1 + (self.log in ("amplitude_db", "log10")))

    def decibels(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What frames' rows are in decibels of power, but for a number that all share."""
        return super().decibels(rows) if self.log == "none" else rows * self._in_decibels

    def rows(self, decibels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Frames' rows from what `decibels` gave."""
        return super().rows(decibels) if self.log == "none" else decibels / self._in_decibels

    @property
    def _in_decibels(self) -> np.float32:
        """Decibels of power in a level of 1: 1 of a power spectrum's decibels."""
        return np.float32(self._decibels / _OF_NATURAL[self.log])

    @property
    def in_decibels(self) -> bool:
        """Whether levels have a reference and a floor."""
        return self.log in _DECIBELS

    @property
    def reference(self) -> float:
        """The level of ``ref`` in decibels; 0 where it is the window's largest."""
        if self.ref == "max":
            return 0.0
        return _DECIBELS[self.log] * math.log10(max(float(self.ref), self.amin))


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class MelLevels(Finished, Logarithmic):
    """Levels of mel bands, and what a window makes of them."""

    @property
    def width(self) -> int:
        """The bands."""
        return self.n_mels

    def graph_levels(self, writer: Writer, samples: Value) -> Value:
        """Mel levels, with reference and floor [shape=(n_frames, n_mels)]."""
        mel = self.graph_mel(writer, samples)
        if self.log == "none":
            return mel
        decibels, times = self.in_decibels, _OF_NATURAL[self.log]

        def logarithm(value: Value) -> Value:
            value = writer.log(value)
            return value if times == 1 else writer.multiply(value, [[times]])

        amin = [[self.amin]]
        power = writer.maximum(mel, amin) if decibels else writer.add(mel, amin)
        # Relative to the loudest: the logarithm of 1 is 0 in every engine, while logarithms of
        # equal numbers may differ in the last digit even in one, which normalising silence would
        # blow up.
        loudest = writer.over_all("max", power)
        levels = logarithm(writer.divide(power, loudest))
        if decibels and self.top_db is not None:
            levels = writer.maximum(levels, [[-self.top_db]])
        if (decibels and self.ref == "max") or self.forgets_level:
            return levels  # it is the reference, or a level that the window shares changes nothing
        shared = logarithm(loudest)
        if decibels:
            shared = writer.subtract(shared, [[self.reference]])
        return writer.add(levels, shared)

    @property
    def forgets_level(self) -> bool:
        """Whether a number that is added to all levels changes nothing."""
        return False

    @property
    def no_c(self) -> str | None:
        """What the front end in C does instead."""
        n = self.n_fft
        if n & (n - 1) or not 8 <= n <= _LARGEST_FFT_IN_C:
            return (
                f"transforms frames of a power of two from 8 to {_LARGEST_FFT_IN_C} samples, "
                f"not of {n}"
            )
        for key, value in {
            "power": 2.0,
            "pre_emphasis": 0.0,
            "statistics": (),
            "normalize_over": "window",
        }.items():
            if getattr(self, key) != value:
                return f"takes {key} {value!r} alone, not {getattr(self, key)!r}"
        if self.log not in ("db", "natural", "none"):
            return f"takes log 'db', 'natural' or 'none' alone, not {self.log!r}"
        for key in ("mean", "scale"):
            if isinstance(getattr(self, key), tuple):
                return f"takes one {key} for all features, not {len(getattr(self, key))}"
        window = self.frame_window
        if not np.allclose(window[1:], window[:0:-1]):
            return "takes periodic window functions of an even win_length alone"
        if window[0] and self.center and self.pad_mode == "reflect":
            return f"takes pad_mode 'constant' alone with window_function {self.window_function!r}"
        return None

    def in_c(self) -> InC:
        """Its numbers in C."""
        from edge_genre.frontend.in_c import InC

        logs, normalizations = (
            ("none", "db", "natural"),
            ("none", "mean_variance", "min_max", "fixed"),
        )
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
            **{f"EG_LOG_{name.upper()}": index for index, name in enumerate(logs)},
            "EG_LOG": f"EG_LOG_{self.log.upper()}",
            "EG_AMIN": self.amin,
            "EG_DECIBEL": _OF_NATURAL["db"],
            "EG_REF_MAX": int(self.ref == "max"),
            "EG_REF": self.reference if self.in_decibels else 0.0,
            "EG_FLOOR": int(self.top_db is not None),
            "EG_TOP_DB": self.top_db or 0.0,
            **{f"EG_NORMALIZE_{name.upper()}": i for i, name in enumerate(normalizations)},
            "EG_NORMALIZE": f"EG_NORMALIZE_{self.normalize.upper()}",
            "EG_MEAN": float(self.table(self.mean)[0, 0]),
            "EG_SCALE": float(self.table(self.scale)[0, 0]),
        }
        return InC(macros, self.frame_window[: self.n_fft // 2 + 1], self.filters)


class Levels(Finish):
    """Mel levels: what one frame gives, and what a window makes of its frames."""

    spec: MelLevels

    def __init__(self, spec: MelLevels, dtype: type[Any]) -> None:
        super().__init__(spec, dtype)
        self.widths = (spec.n_mels,)
        self._bank = FilterBank(spec, dtype)
        self._times = _OF_NATURAL.get(spec.log, 1.0)
        self._in_decibels = spec.in_decibels
        self._reference = spec.reference if spec.in_decibels else 0.0

    def analyse(self, power: NDArray[Any], rows: list[NDArray[Any]]) -> None:
        """Logarithm of the mel powers, before anything that depends on the whole window.

        Parameters
        ----------
        power : float [shape=(frames, 1 + n_fft // 2)]
        rows : one field, float [shape=(frames, n_mels)], written
        """
        mel, spec = rows[0], self.spec
        self._bank(power, mel)
        if spec.log == "none":
            return
        if self._in_decibels:
            np.maximum(mel, spec.amin, out=mel)
        else:
            np.add(mel, spec.amin, out=mel)
        np.log(mel, out=mel)  # three times as fast as log10
        if self._times != 1:
            mel *= self._times

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
        if not self._in_decibels:
            return mel.copy()
        loudest = float(mel.max())
        floor = -math.inf if spec.top_db is None else loudest - spec.top_db
        levels: NDArray[Any] = np.maximum(mel, mel.dtype.type(floor))
        reference = loudest if spec.ref == "max" else self._reference
        if reference:
            levels -= mel.dtype.type(reference)
        return levels
