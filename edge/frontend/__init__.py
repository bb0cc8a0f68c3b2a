"""From samples to features: specifications, their kinds, and the fixed-size NumPy front end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_genre.frontend.front_end import FrontEnd
from edge_genre.frontend.samples import check_samples
from edge_genre.frontend.spec import FrontEndSpec

__all__ = ["PRESETS", "FrontEnd", "FrontEndSpec", "check_samples"]

if TYPE_CHECKING:
    PRESETS: dict[str, FrontEndSpec]


def __getattr__(name: str) -> Any:
    # Presets are those of all kinds, which nobody who computes features needs to load.
    if name == "PRESETS":
        from edge_genre.frontend import kinds

        return kinds.presets()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
