"""The front ends of a model's inputs, on one stream of audio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_genre.frontend import FrontEnd, FrontEndSpec

Features = tuple[NDArray[np.float32], ...]  # one array an input, in their order


class FrontEnds:
    """Features of one window for each input of a model; see `FrontEnd`, which each of them is.

    Parameters
    ----------
    specs : of the inputs, one or more, all with the same window
    hop : samples from one window to the next, when streaming; one window where it is left out
    """

    def __init__(self, specs: Sequence[FrontEndSpec], *, hop: int | None = None) -> None:
        self._all = [FrontEnd(spec, hop=hop) for spec in specs]
        self.first = self._all[0]  # whose samples, and whether a window is ready, are those of all

    def __call__(self, samples: ArrayLike) -> Features:
        """Features of one window [shape=(window_samples,)]; see `FrontEnd.__call__`."""
        return tuple([each(samples) for each in self._all])

    def reset(self) -> None:
        """Forget the stream: the next sample accepted is its first."""
        for each in self._all:
            each.reset()

    def accept(self, samples: ArrayLike) -> None:
        """Take the stream's next samples, any number of them; see `FrontEnd.accept`."""
        for each in self._all:
            each.accept(samples)

    def window(self) -> Features:
        """Features of the next window of the stream; see `FrontEnd.window`."""
        return tuple(map(FrontEnd.window, self._all))

    def newest_window(self) -> tuple[Features, int]:
        """Features of the newest window, and how many are left out; see `FrontEnd`."""
        newest = [each.newest_window() for each in self._all]
        return tuple(features for features, _ in newest), newest[0][1]

    def last_window(self) -> tuple[Features, int] | None:
        """Features of what is left when a stream ends, and the zeros appended; see `FrontEnd`."""
        last = [found for each in self._all if (found := each.last_window()) is not None]
        return (tuple(features for features, _ in last), last[0][1]) if last else None
