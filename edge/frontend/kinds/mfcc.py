"""Mel-frequency cepstral coefficients, equal to librosa's."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend import tables
from edge_genre.frontend.levels import Levels, MelLevels
from edge_genre.frontend.spec import require

if TYPE_CHECKING:
    from edge_genre.frontend.graph import Value, Writer
    from edge_genre.frontend.in_c import InC


@dataclass(frozen=True, kw_only=True)
class Mfcc(MelLevels):
    """A log-mel spectrogram and its DCT.

    Parameters
    ----------
    n_mfcc : coefficients, the lowest ones of an orthonormal DCT-II of the levels
    """

    kind: str = "mfcc"
    n_mfcc: int = 40

    column: ClassVar[str] = "coefficient"

    def check(self) -> None:
        super().check()
        self.whole("n_mfcc")
        most = f"n_mels, {self.n_mels}, at most"
        require(self.n_mfcc <= self.n_mels, "n_mfcc", self.n_mfcc, most)

    @property
    def width(self) -> int:
        """The coefficients."""
        return self.n_mfcc

    @property
    def description(self) -> str:
        """In a few words."""
        return "MFCC"

    def computation(self, dtype: type[Any]) -> Coefficients:
        """What computes it."""
        return Coefficients(self, dtype)

    def graph(self, writer: Writer, samples: Value) -> Value:
        """The same as operators."""
        return self.graph_finished(writer, self.graph_coefficients(writer, samples))

    def graph_coefficients(self, writer: Writer, samples: Value) -> Value:
        """The coefficients [shape=(n_frames, n_mfcc)]."""
        levels = self.graph_levels(writer, samples)
        return writer.dense(levels, tables.dct(self.n_mfcc, self.n_mels).T)

    def in_c(self) -> InC:
        """Its numbers in C."""
        levels = super().in_c()
        macros = levels.macros | {"EG_MFCC": self.n_mfcc}
        dct = tables.dct(self.n_mfcc, self.n_mels)
        return dataclasses.replace(levels, macros=macros, dct=dct)


class Coefficients(Levels):
    """MFCC of a window from the levels of its frames."""

    def __init__(self, spec: Mfcc, dtype: type[Any]) -> None:
        super().__init__(spec, dtype)
        self._dct = np.ascontiguousarray(tables.dct(spec.n_mfcc, spec.n_mels).T, dtype)

    def coefficients(self, rows: list[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Levels and MFCC of one window.

        Returns
        -------
        dB [shape=(n_frames, n_mels)] and MFCC [shape=(n_frames, n_mfcc)], new arrays
        """
        levels = self.levels(rows)
        mfcc = levels @ self._dct
        # BLAS adds up in sequence, and the first row is a sum of 128 large values of one sign: in
        # single precision that costs 8e-4. NumPy adds in pairs.
        np.add.reduce(levels, axis=1, out=mfcc[:, 0])
        mfcc[:, 0] *= self._dct[0, 0]
        return levels, mfcc

    def finish(self, rows: list[NDArray[Any]]) -> NDArray[Any]:
        """MFCC of one window, normalised [shape=spec.shape]."""
        _, mfcc = self.coefficients(rows)
        return self.finished(mfcc)


KIND = Mfcc
PRESETS = {
    # What most "13 MFCC" notebooks compute with librosa's defaults.
    "mfcc-13": Mfcc(ref=1.0, n_mfcc=13),
}
