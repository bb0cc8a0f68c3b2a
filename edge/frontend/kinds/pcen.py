"""Per-channel energy normalisation of a mel spectrogram, equal to librosa's ``pcen``.

Wang, Getreuer, Hughes, Lyon and Saurous, Trainable frontend for robust and far-field keyword
spotting, 2017: each band is divided by a power of its own smoothed past, and compressed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend.finishing import Finish, Finished
from edge_genre.frontend.mel_spectrogram import FilterBank, MelSpectrogram
from edge_genre.frontend.spec import require, single

if TYPE_CHECKING:
    from edge_genre.frontend.graph import Value, Writer


@dataclass(frozen=True, kw_only=True)
class Pcen(Finished, MelSpectrogram):
    """``(S / (eps + M) ** gain + bias) ** exponent - bias ** exponent``.

    S is the mel spectrogram times ``factor``, and M follows it in time, anew in each window:
    ``M[t] = (1 - b) M[t - 1] + b S[t]``, with ``M[-1] = 1``.

    Parameters
    ----------
    power : as elsewhere; the default is the magnitudes
    factor : librosa advises 2 ** 31 for samples with a full scale of 1
    time_constant : seconds of M's memory, of which b is made as librosa does it
    gain, bias, exponent, eps : see above; ``exponent`` is librosa's ``power``
    """

    kind: str = "pcen"
    power: float = 1.0
    factor: float = 2.0**31
    time_constant: float = 0.4
    gain: float = 0.98
    bias: float = 2.0
    exponent: float = 0.5
    eps: float = 1e-6

    def check(self) -> None:
        super().check()
        positive = ("factor", "time_constant", "bias", "exponent", "eps")
        self.number(*positive, "gain")
        for key in positive:
            value = single(key, getattr(self, key))
            require(value > 0, key, value, "a positive number")
        require(self.gain >= 0, "gain", self.gain, "0 or more")

    @property
    def format_version(self) -> int:
        """It came after 0.1.0."""
        return 2

    @property
    def width(self) -> int:
        """The bands."""
        return self.n_mels

    @property
    def description(self) -> str:
        """In a few words."""
        return "PCEN"

    def computation(self, dtype: type[Any]) -> Finish:
        """What computes it."""
        return _Pcen(self, dtype)

    def graph(self, writer: Writer, samples: Value) -> Value:
        """The same as operators."""
        mel = writer.multiply(self.graph_mel(writer, samples), [[self.factor]])
        smoothed = _Smoothing(self).graph(writer, mel)
        level = writer.multiply(writer.log(writer.add(smoothed, [[self.eps]])), [[-self.gain]])
        ratio = writer.add(writer.multiply(mel, writer.exp(level)), [[self.bias]])
        compressed = writer.exp(writer.multiply(writer.log(ratio), [[self.exponent]]))
        compressed = writer.subtract(compressed, [[self.bias**self.exponent]])
        return self.graph_finished(writer, compressed)


class _Smoothing:
    """M of all frames at once: within blocks of frames, and from block to block.

    What a frame adds to a later one shrinks by ``1 - b`` a frame. Both steps are products with
    small constant matrices, where frame by frame would be one call each.
    """

    def __init__(self, spec: Pcen) -> None:
        self.n_frames = spec.n_frames
        frames = spec.time_constant * spec.sample_rate / spec.hop_length
        b = (math.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)
        self.block = block = math.ceil(math.sqrt(spec.n_frames))
        self.blocks = blocks = math.ceil(spec.n_frames / block)
        # Of a block: what its own frames make of each [shape=(block, block)], and how much is left
        # of what was before it [shape=(block, 1)].
        self.within = b * _falling(block, 1 - b)
        self.left = (1 - b) ** np.arange(1, block + 1)[:, np.newaxis]
        # What the ends of the blocks before one make [shape=(blocks, blocks)], and M[-1].
        self.across = np.zeros((blocks, blocks))
        self.across[1:, :-1] = _falling(blocks - 1, (1 - b) ** block)
        self.start = (1 - b) ** (block * np.arange(blocks))[:, np.newaxis]

    def graph(self, writer: Writer, mel: Value) -> Value:
        """M as operators [shape=(n_frames, n_mels)]."""
        (count, n), block, blocks = mel.shape, self.block, self.blocks
        by_time = writer.transpose(mel, 1, 0)
        by_time = writer.reshape(writer.pad(by_time, 0, block * blocks - count), (n, blocks, block))
        own = writer.dense(by_time, self.within.T)
        ends = writer.reshape(writer.part(own, block - 1, block), (n, blocks))
        before = writer.add(writer.dense(ends, self.across.T), self.start.T)
        earlier = writer.multiply(writer.reshape(before, (n, blocks, 1)), self.left.T[np.newaxis])
        smoothed = writer.reshape(writer.add(own, earlier), (n, blocks * block))
        return writer.transpose(writer.part(smoothed, 0, count), 1, 0)


def _falling(n: int, factor: float) -> NDArray[np.float64]:
    """1 on the diagonal, and below it that factor smaller from row to row [shape=(n, n)]."""
    rows = np.arange(n)
    return np.tril(factor ** np.maximum(rows[:, np.newaxis] - rows, 0.0))


class _Pcen(Finish):
    spec: Pcen

    def __init__(self, spec: Pcen, dtype: type[Any]) -> None:
        super().__init__(spec, dtype)
        self.widths = (spec.n_mels,)
        self._bank = FilterBank(spec, dtype)
        smoothing = _Smoothing(spec)
        self._within, self._left, self._across, self._start = (
            table.astype(dtype)
            for table in (smoothing.within, smoothing.left, smoothing.across, smoothing.start)
        )
        shape = (smoothing.blocks, smoothing.block, spec.n_mels)
        self._mel, self._smoothed = np.zeros(shape, dtype), np.empty(shape, dtype)
        self._earlier = np.empty(shape, dtype)

    def analyse(self, power: NDArray[Any], rows: list[NDArray[Any]]) -> None:
        """The mel spectrogram."""
        self._bank(power, rows[0])
        rows[0] *= self.spec.factor

    def finish(self, rows: list[NDArray[Any]]) -> NDArray[Any]:
        """Normalised bands of one window [shape=spec.shape], a new array."""
        spec, mel = self.spec, rows[0]
        flat = self._mel.reshape(-1, spec.n_mels)
        flat[: len(mel)] = mel
        smoothed = np.matmul(self._within, self._mel, out=self._smoothed)
        before = self._across @ smoothed[:, -1] + self._start
        smoothed += np.multiply(self._left, before[:, np.newaxis], out=self._earlier)
        level = self._smoothed.reshape(-1, spec.n_mels)[: len(mel)]
        level += spec.eps
        np.log(level, out=level)
        level *= -spec.gain
        features = np.exp(level, out=level) * mel
        features += spec.bias
        np.log(features, out=features)
        features *= spec.exponent
        np.exp(features, out=features)
        features -= spec.bias**spec.exponent
        return self.finished(features)


KIND = Pcen
PRESETS = {
    # librosa.pcen(melspectrogram(y, power=1) * 2**31), with its defaults.
    "pcen": Pcen(axes="frequency_first"),
}
