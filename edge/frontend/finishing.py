"""What a window makes of its frames in the end: statistics, normalisation, the order of axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_genre.errors import SpecError
from edge_genre.frontend.computation import Computation
from edge_genre.frontend.framed import Framed
from edge_genre.frontend.spec import SMALLEST, later, require, single

if TYPE_CHECKING:
    from edge_genre.frontend.graph import Value, Writer

Numbers = float | tuple[Any, ...]
_STATISTICS = ("mean", "std", "var", "min", "max")
_TINY = 1e-6


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Finished(Framed):
    """Features of one width a frame, and what becomes of them over a window.

    Parameters
    ----------
    normalize : over the whole window: ``"none"``; ``"min_max"`` to 0..1; ``"mean_variance"``:
        ``(x - mean) / (std + 1e-6)``; ``"fixed"``: ``(x - self.mean) / self.scale``
    mean, scale : numbers, or a list with one number a band (a coefficient); of stacks, one entry a
        channel, which is a number or a list of one number a coefficient; with ``statistics``, one
        number a feature
    axes : ``"time_first"`` (frames, bands) or ``"frequency_first"`` (bands, frames)
    statistics : over time, which then take the place of the frames, all numbers in one row: some of
        ``"mean"``, ``"std"``, ``"var"``, ``"min"``, ``"max"``. They are taken before
        normalisation. With ``"time_first"``, the first statistic of all bands comes first; with
        ``"frequency_first"``, all statistics of the first band
    normalize_over : ``"window"``: all of it together; ``"time"``: each band by itself
    """

    normalize: str = "none"
    mean: Numbers = 0.0
    scale: Numbers = 1.0
    axes: str = "time_first"
    statistics: tuple[str, ...] = later(())
    normalize_over: str = later("window")

    column: ClassVar[str] = "band"  # what a frame has `width` of

    def check(self) -> None:
        super().check()
        self.choice("normalize", "none", "min_max", "mean_variance", "fixed")
        self.choice("axes", *self.orders())
        given = self.statistics
        known = isinstance(given, list | tuple) and all(each in _STATISTICS for each in given)
        expected = f"a list of some of {_STATISTICS}, each once"
        require(known and len(set(given)) == len(given), "statistics", given, expected)
        object.__setattr__(self, "statistics", tuple(given))
        self.choice("normalize_over", *(("window",) if given else ("window", "time")))

    def __post_init__(self) -> None:
        super().__post_init__()
        # How many numbers there are is known when all else is right.
        for key in ("mean", "scale"):
            value = self._checked(key, getattr(self, key), self._entries())
            object.__setattr__(self, key, value)

    @property
    def format_version(self) -> int:
        """A version 2 has numbers for each band."""
        lists = isinstance(self.mean, tuple) or isinstance(self.scale, tuple)
        return max(super().format_version, 1 + lists)

    @classmethod
    def orders(cls) -> tuple[str, ...]:
        """What ``axes`` may be."""
        return ("time_first", "frequency_first")

    @property
    def width(self) -> int:
        """Numbers that a frame becomes."""
        raise NotImplementedError

    def sizes(self, n_frames: int) -> tuple[int, ...]:
        """The shape of so many frames, in the order of ``axes``."""
        sizes = (n_frames, self.width)
        return sizes if self.axes == "time_first" else sizes[::-1]

    @property
    def time_axis(self) -> int:
        """Where the frames are in `sizes`."""
        return 0 if self.axes == "time_first" else 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames and bands in the order of ``axes``, or one row of statistics."""
        if self.statistics:
            return (math.prod(self.sizes(len(self.statistics))),)
        return self.sizes(self.n_frames)

    def arranged(self, features: NDArray[Any]) -> NDArray[Any]:
        """Features (frames, width) in the order of ``axes``."""
        return features if self.axes == "time_first" else features.T

    def _entries(self) -> tuple[tuple[int, str], ...]:
        """How many numbers a list may have, and of what; then, each entry of it."""
        if self.statistics:
            return ((math.prod(self.shape), "feature"),)
        return ((self.width, self.column),)

    def _checked(self, key: str, value: Any, levels: Sequence[tuple[int, str]]) -> Numbers:
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if not isinstance(value, list | tuple):
            number = single(key, value)
            divides = key.startswith("scale")
            require(abs(number) >= SMALLEST or not divides, key, value, "a number other than 0")
            return number
        if not levels:
            raise SpecError(f"front-end spec: {key} is a list, expected a number")
        (count, what), *inner = levels
        if len(value) != count:
            raise SpecError(
                f"front-end spec: {key} has {len(value)} numbers, expected {count}, one a {what}"
            )
        return tuple(
            self._checked(f"{key}[{index}]", each, inner) for index, each in enumerate(value)
        )

    def table(self, numbers: Numbers) -> NDArray[np.float64]:
        """``mean`` or ``scale`` as an array that broadcasts over features before `arranged`."""
        return np.reshape(numbers, -1 if self.statistics else (1, -1)).astype(np.float64)

    def graph_finished(self, writer: Writer, *channels: Value) -> Value:
        """From features [shape=(n_frames, width)] to those of the window, as `Finish` does it."""
        if not self.statistics:
            return self._graph_normalized(writer, self.graph_arranged(writer, channels))
        found = [
            writer.concat([_graph_statistic(writer, name, each) for name in self.statistics], 0)
            for each in channels
        ]
        row = writer.reshape(self.graph_arranged(writer, found), self.shape)
        return self._graph_normalized(writer, row)

    def graph_arranged(self, writer: Writer, channels: Sequence[Value]) -> Value:
        """As `arranged`."""
        (features,) = channels
        return features if self.axes == "time_first" else writer.transpose(features, 1, 0)

    def _graph_normalized(self, writer: Writer, features: Value) -> Value:
        ones = [1] * len(features.shape)

        def over(what: str, value: Value) -> Value:
            if self.normalize_over == "time":
                return writer.over(what, value, self.time_axis)
            return writer.over_all(what, value)

        if self.normalize == "mean_variance":
            if self.normalize_over == "time":
                # Of what is always the same, a mean of float32 may be off by a digit, and unit
                # variance would be made of that.
                first = writer.part(features, 0, 1, axis=self.time_axis)
                features = writer.subtract(features, first)
            features = writer.subtract(features, over("mean", features))
            deviation = writer.root(over("mean", writer.square(features)))
            return writer.divide(features, writer.add(deviation, np.full(ones, _TINY)))
        if self.normalize == "min_max":
            features = writer.subtract(features, over("min", features))
            largest = writer.maximum(over("max", features), np.full(ones, _TINY))
            return writer.divide(features, largest)
        if self.normalize == "fixed":
            mean, scale = self.table(self.mean), self.table(self.scale)
            if not self.statistics:
                mean, scale = self.arranged(mean), self.arranged(scale)
            return writer.divide(writer.subtract(features, mean), scale)
        return features


class Finish(Computation):
    """Computes what is the same for all such kinds."""

    def __init__(self, spec: Finished, dtype: type[Any]) -> None:
        self.spec = spec
        self._mean, self._scale = (
            spec.table(each).astype(dtype) for each in (spec.mean, spec.scale)
        )

    def finished(self, features: NDArray[Any]) -> NDArray[Any]:
        """Turn features of frames into those of the window.

        Parameters
        ----------
        features : [shape=(n_frames, width)], or a stack of such; they may be written over

        Returns
        -------
        float [shape=spec.shape]
        """
        spec = self.spec
        if spec.statistics:
            found = [_statistic(name, features) for name in spec.statistics]
            row = spec.arranged(np.stack(found, axis=-2)).reshape(-1).astype(features.dtype)
            self._normalize(row)
            return np.asarray(row)
        self._normalize(features)
        return spec.arranged(features)

    def _normalize(self, features: NDArray[Any]) -> None:
        """In place, as ``normalize`` says."""
        number, how = features.dtype.type, self.spec.normalize
        if how == "fixed":
            features -= self._mean
            features /= self._scale
        elif self.spec.normalize_over == "time":
            _normalize_over_time(features, how)
        elif how == "mean_variance":
            features -= number(features.mean(dtype=np.float64))
            square = float(np.vdot(features, features)) / features.size
            features /= number(math.sqrt(square) + _TINY)
        elif how == "min_max":
            features -= features.min()
            features /= max(float(features.max()), _TINY)


def _normalize_over_time(features: NDArray[Any], how: str) -> None:
    if how == "mean_variance":
        features -= features.mean(axis=-2, keepdims=True, dtype=np.float64)
        square = np.square(features).mean(axis=-2, keepdims=True, dtype=np.float64)
        features /= np.sqrt(square) + _TINY
    elif how == "min_max":
        features -= features.min(axis=-2, keepdims=True)
        features /= np.maximum(features.max(axis=-2, keepdims=True), _TINY)


def _statistic(name: str, features: NDArray[Any]) -> NDArray[Any]:
    """Over the frames [shape=(..., width)]."""
    if name in ("min", "max"):
        return np.asarray(getattr(features, name)(axis=-2))
    return np.asarray(getattr(features, name)(axis=-2, dtype=np.float64))


def _graph_statistic(writer: Writer, name: str, features: Value) -> Value:
    """Over the frames [shape=(1, width)]."""
    if name in ("mean", "min", "max"):
        return writer.over(name, features, 0)
    # Relative to the first frame, as above: what is always the same has no variance.
    features = writer.subtract(features, writer.part(features, 0, 1, axis=0))
    features = writer.subtract(features, writer.over("mean", features, 0))
    variance = writer.over("mean", writer.square(features), 0)
    return variance if name == "var" else writer.root(variance)
