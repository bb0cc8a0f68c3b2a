"""The samples of a window, for a model that has its front end inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from edge_genre.frontend.computation import Computation
from edge_genre.frontend.spec import FrontEndSpec


@dataclass(frozen=True, kw_only=True)
class Waveform(FrontEndSpec):
    """The samples themselves."""

    kind: str = "waveform"

    @property
    def shape(self) -> tuple[int, ...]:
        """One number a sample."""
        return (self.window_samples,)

    @property
    def description(self) -> str:
        """In a few words."""
        return "audio"

    @property
    def is_samples(self) -> bool:
        """They are."""
        return True

    def computation(self, dtype: type[Any]) -> Computation:
        """Nothing is computed."""
        return _Samples()

    @property
    def no_graph(self) -> str:
        """Why this cannot be a part of a graph."""
        return "it is nothing but the samples"

    @property
    def no_c(self) -> str:
        """What the front end in C does instead."""
        return "computes log-mel and MFCC, not this: the model takes the samples themselves"


class _Samples(Computation):
    def finish(self, rows: list[NDArray[Any]]) -> NDArray[Any]:
        return rows[0].copy()


KIND = Waveform
