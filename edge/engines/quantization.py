"""Real numbers as whole ones and back, by TFLite's rule: real = scale * (whole - zero_point)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def quantize(
    values: NDArray[np.float32], dtype: DTypeLike, scale: float, zero_point: int
) -> NDArray[Any]:
    """Values as a tensor's type: rounded to its steps and clipped to its range.

    A floating-point type takes the values as they are, whatever ``scale`` and ``zero_point``.
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    steps = np.rint(values / np.float32(scale)) + zero_point
    return np.asarray(np.clip(steps, limits.min, limits.max), dtype)


def dequantize(values: NDArray[Any], scale: float, zero_point: int) -> NDArray[np.float32]:
    """The reverse of `quantize`: float32, of the shape of ``values``."""
    if values.dtype.kind == "f":
        return values.astype(np.float32, copy=False)
    return np.asarray((values.astype(np.float32) - zero_point) * scale, np.float32)
