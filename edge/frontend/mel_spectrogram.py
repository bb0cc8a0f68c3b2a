"""Specs of features that are made of a mel spectrogram."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend.framed import Framed
from edge_genre.frontend.mel import mel_filters
from edge_genre.frontend.spec import require

if TYPE_CHECKING:
    from edge_genre.frontend.graph import Value, Writer

# A low mel filter spans a handful of bins and a high one hundreds, so that most of a dense product
# multiplies zeros. Cutting the bank into groups of bands, each with its own range of bins, skips
# most of them and keeps the products large enough for BLAS.
_GROUP_EDGES = (0.0, 0.375, 0.625, 0.8125, 1.0)  # of the number of bands


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class MelSpectrogram(Framed):
    """Sums of spectra over the bands of a mel filter bank, as librosa's.

    Parameters
    ----------
    n_mels, mel_scale, mel_norm, fmin, fmax : the mel filter bank, in Hz; ``fmax`` None is half the
        sample rate. ``mel_norm`` ``"slaney"`` gives each triangle unit area, None unit height
    """

    n_mels: int = 128
    mel_scale: str = "slaney"
    mel_norm: str | None = "slaney"
    fmin: float = 0.0
    fmax: float | None = None

    def check(self) -> None:
        super().check()
        self.whole("n_mels")
        self.choice("mel_scale", "slaney", "htk")
        self.choice("mel_norm", "slaney", None)
        self.number("fmin")
        nyquist = self.sample_rate / 2
        require(0 <= self.fmin < nyquist, "fmin", self.fmin, f"from 0 to below {nyquist:g} Hz")
        if self.fmax is not None:
            self.number("fmax")
            expected = f"above fmin, {nyquist:g} Hz at most"
            require(self.fmin < self.fmax <= nyquist, "fmax", self.fmax, expected)

    @property
    def width(self) -> int:
        """Numbers that a frame becomes."""
        return self.n_mels

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

    @property
    def no_graph(self) -> str | None:
        """It can be one."""
        return None

    @property
    def made_of_levels(self) -> bool:
        """It is, unless a kind says otherwise."""
        return True

    def decibels(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What frames' rows are in decibels of power, but for a number that all share."""
        return np.log(np.maximum(rows, np.float32(1e-20))) * self._decibels

    def rows(self, decibels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Frames' rows from what `decibels` gave."""
        return np.asarray(np.exp(decibels / self._decibels))

    @property
    def _decibels(self) -> np.float32:
        """In a neper of the sums."""
        return np.float32(20 / (math.log(10) * self.power))

    def graph_mel(self, writer: Writer, samples: Value) -> Value:
        """The mel spectrogram [shape=(n_frames, n_mels)]."""
        return writer.filtered(writer.spectra(self, samples), self.filters)


class FilterBank:
    """Multiplies spectra by the filters of a spec."""

    def __init__(self, spec: MelSpectrogram, dtype: type[Any]) -> None:
        self._groups = list(_banded(spec.filters.astype(dtype, copy=False)))

    def __call__(self, spectra: NDArray[Any], out: NDArray[Any]) -> None:
        """Sum up.

        Parameters
        ----------
        spectra : float [shape=(frames, 1 + n_fft // 2)]
        out : float [shape=(frames, n_mels)], written
        """
        for bands, bins, filters in self._groups:
            np.matmul(spectra[:, bins], filters, out=out[:, bands])


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
