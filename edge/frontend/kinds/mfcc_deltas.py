"""The three-channel stack: MFCC, delta, delta-delta, equal to librosa's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend import tables
from edge_genre.frontend.finishing import Numbers
from edge_genre.frontend.kinds.mfcc import Coefficients, Mfcc

if TYPE_CHECKING:
    from edge_genre.frontend.graph import Value, Writer


@dataclass(frozen=True, kw_only=True)
class MfccDeltas(Mfcc):
    """MFCC and how they change: pictures of (coefficients, frames), stacked.

    It is what the five-channel stack is without rhythm and chroma.

    Parameters
    ----------
    axes : ``"channels_last"`` (coefficients, frames, channels) or ``"channels_first"``
    """

    kind: str = "mfcc_deltas"
    axes: str = "channels_last"

    channels: ClassVar[int] = 3

    @classmethod
    def orders(cls) -> tuple[str, ...]:
        """What ``axes`` may be."""
        return ("channels_last", "channels_first")

    @property
    def shortest(self) -> int:
        """As many frames as deltas reach over."""
        if self.center:
            return max(self.n_fft, tables.DELTA_WIDTH * self.hop_length)
        return self.n_fft + (tables.DELTA_WIDTH - 1) * self.hop_length

    def sizes(self, n_frames: int) -> tuple[int, ...]:
        """Coefficients, frames and channels, in the order of ``axes``."""
        picture = (self.n_mfcc, n_frames)
        if self.axes == "channels_last":
            return (*picture, self.channels)
        return (self.channels, *picture)

    @property
    def time_axis(self) -> int:
        """Where the frames are in `sizes`."""
        return 1 if self.axes == "channels_last" else 2

    def arranged(self, features: NDArray[Any]) -> NDArray[Any]:
        """Copy a stack (channels, n_frames, n_mfcc) into the order of ``axes``."""
        order = (0, 2, 1) if self.axes == "channels_first" else (2, 1, 0)
        return np.ascontiguousarray(features.transpose(order))

    def _entries(self) -> tuple[tuple[int, str], ...]:
        if self.statistics:
            return super()._entries()
        return ((self.channels, "channel"), (self.width, self.column))

    def table(self, numbers: Numbers) -> NDArray[np.float64]:
        """``mean`` or ``scale`` as an array that broadcasts over features before `arranged`."""
        if self.statistics or not isinstance(numbers, tuple):
            return super().table(numbers).reshape(-1 if self.statistics else (1, 1, 1))
        return np.stack([np.broadcast_to(each, (1, self.width)) for each in numbers])

    @property
    def description(self) -> str:
        """In a few words."""
        return "MFCC and deltas"

    def computation(self, dtype: type[Any]) -> Coefficients:
        """What computes it."""
        return _Stack(self, dtype)

    def graph(self, writer: Writer, samples: Value) -> Value:
        """The same as operators."""
        mfcc = self.graph_coefficients(writer, samples)
        width, (count, n) = tables.DELTA_WIDTH, mfcc.shape
        inner = count - width + 1  # frames with all their neighbours
        around = writer.concat(
            [writer.part(mfcc, frame, frame + inner, axis=0) for frame in range(width)], axis=1
        )
        around = writer.transpose(writer.reshape(around, (inner, width, n)), 0, 2, 1)
        both = writer.dense(around, np.stack([tables.delta(1), tables.delta(2)], axis=1))
        channels = [mfcc]
        for order in range(2):
            slopes = writer.reshape(writer.part(both, order, order + 1), (inner, n))
            first = writer.part(slopes, 0, 1, axis=0)
            last = writer.part(slopes, inner - 1, inner, axis=0)
            half = width // 2
            channels.append(writer.concat([first] * half + [slopes] + [last] * half, axis=0))
        return self.graph_finished(writer, *channels)

    def graph_arranged(self, writer: Writer, channels: Sequence[Value]) -> Value:
        """As `arranged`."""
        pictures = [writer.transpose(channel, 1, 0) for channel in channels]
        size, axis = pictures[0].shape, 0 if self.axes == "channels_first" else 2
        stacked = (1, *size) if self.axes == "channels_first" else (*size, 1)
        return writer.concat([writer.reshape(each, stacked) for each in pictures], axis=axis)

    @property
    def no_c(self) -> str | None:
        """What the front end in C does instead."""
        return "computes log-mel and MFCC, not this: of MFCC it has no deltas"


class _Stack(Coefficients):
    def __init__(self, spec: MfccDeltas, dtype: type[Any]) -> None:
        super().__init__(spec, dtype)
        self._deltas = Deltas(dtype)

    def finish(self, rows: list[NDArray[Any]]) -> NDArray[Any]:
        """The stack of one window [shape=spec.shape]."""
        _, mfcc = self.coefficients(rows)
        channels = np.empty((3, *mfcc.shape), mfcc.dtype)
        channels[0] = mfcc
        self._deltas(mfcc, channels[1:])
        return self.finished(channels)


class Deltas:
    """Deltas and delta-deltas along time, as ``librosa.feature.delta``, width 9, mode ``interp``.

    Both are sums over the nine frames around one: a matrix with nine diagonals, of which one block
    of frames after the other takes the same part.
    """

    _BLOCK = 32  # frames; much larger ones multiply more zeros than they save calls

    def __init__(self, dtype: type[Any]) -> None:
        self._half = tables.DELTA_WIDTH // 2
        self._band = np.zeros((2, self._BLOCK, self._BLOCK + 2 * self._half), dtype)
        for frame in range(self._BLOCK):
            for order in (1, 2):
                self._band[order - 1, frame, frame : frame + tables.DELTA_WIDTH] = tables.delta(
                    order
                )

    def __call__(self, features: NDArray[Any], out: NDArray[Any]) -> None:
        """Compute both.

        Parameters
        ----------
        features : float [shape=(n_frames, n)], 9 frames at least
        out : float [shape=(2, n_frames, n)], written
        """
        half, last = self._half, len(features) - self._half
        for first in range(half, last, self._BLOCK):
            stop = min(first + self._BLOCK, last)
            around = features[first - half : stop + half]
            band = self._band[:, : stop - first, : len(around)]
            np.matmul(band, around, out=out[:, first:stop])
        # The first and the last frames take the value of the nearest that has all its neighbours.
        out[:, :half] = out[:, half : half + 1]
        out[:, last:] = out[:, last - 1 : last]


KIND = MfccDeltas
PRESETS = {
    # The published five-channel stack without rhythm and chroma, in the layout of Keras and TFLite,
    # and in PyTorch's.
    "three-channel": MfccDeltas(ref=1.0, axes="channels_last"),
    "three-channel-first": MfccDeltas(ref=1.0, axes="channels_first"),
}
