"""What a kind of features computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from edge_genre.frontend.beats import Rhythm


class Computation:
    """What tells one kind of features from another.

    A kind of frames (`edge_genre.frontend.framed.Framed`) analyses each frame into a row, which
    depends on that frame alone, so that a stream can keep it; everything that depends on the whole
    window (reference, floor, normalisation) happens in `finish`. Any other kind has `finish` alone,
    and is given one row: the samples of the window.
    """

    # A frame's row has these fields, each in an array of its own.
    widths: tuple[int, ...] = ()
    # What was found on the way in the window finished last; None for a kind without beats.
    rhythm: Rhythm | None = None

    def analyse(self, power: NDArray[Any], rows: list[NDArray[Any]]) -> None:
        """Turn spectra (frames, bins) into rows: (frames, width) for each field, written."""
        raise NotImplementedError

    def finish(self, rows: list[NDArray[Any]]) -> NDArray[Any]:
        """Turn one window's rows into a new array of features; the rows stay as they are."""
        raise NotImplementedError
