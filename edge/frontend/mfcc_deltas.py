"""The three-channel stack: MFCC, delta, delta-delta."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend.log_mel import normalize
from edge_genre.frontend.mfcc import Deltas, Mfcc
from edge_genre.frontend.spec import FrontEndSpec


class MfccDeltas:
    """The MFCC-and-deltas kind: what the five-channel stack is without rhythm and chroma."""

    rhythm = None

    def __init__(self, spec: FrontEndSpec, dtype: type[Any]) -> None:
        self.spec = spec
        self._mfcc = Mfcc(spec, dtype)
        self._deltas = Deltas(dtype)
        self.widths = self._mfcc.widths
        self.analyse = self._mfcc.analyse

    def finish(self, rows: list[NDArray[Any]]) -> NDArray[Any]:
        """The stack of one window [shape=spec.shape]."""
        _, mfcc = self._mfcc.coefficients(rows)
        channels = np.empty((3, *mfcc.shape), mfcc.dtype)
        channels[0] = mfcc
        self._deltas(mfcc, channels[1:])
        normalize(channels, self.spec)
        return arranged(channels, self.spec.axes)


def arranged(channels: NDArray[Any], axes: str) -> NDArray[Any]:
    """Copy a stack (channels, n_frames, n_mfcc) into the order of a spec's ``axes``."""
    order = (0, 2, 1) if axes == "channels_first" else (2, 1, 0)
    return np.ascontiguousarray(channels.transpose(order))
