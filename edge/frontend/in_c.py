"""What the front end in C (``firmware_notes/c``) has to be told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class InC:
    """A front end's numbers for C.

    Parameters
    ----------
    macros : by name: whole numbers as they are, others in float32; texts are names of macros
    window : one half of the frame's window and its middle, float64 [shape=(n_fft // 2 + 1,)]
    filters : of the bins of a power spectrum, float32 [shape=(bands, n_fft // 2 + 1)]
    dct : of the levels, float64 [shape=(coefficients, bands)]; None where they are the features
    """

    macros: dict[str, int | float | str]
    window: NDArray[np.float64]
    filters: NDArray[np.float32]
    dct: NDArray[np.float64] | None = None
