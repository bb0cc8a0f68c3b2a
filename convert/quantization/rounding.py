"""Weights in 8 bits or half precision, rounded so that convolutions keep what they sum to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALL = 256  # values: what is smaller is not worth the operators that undo it
STEPS = 127  # of an 8-bit weight to each side of 0


def in_steps(
    values: NDArray[np.float32], axis: int, most: int = STEPS, *, kernel: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Round weights to whole steps, symmetric about 0, with a step of its own for each channel.

    The steps of a convolution's kernel keep its sums: neighbours in a spectrogram are much alike
    and far from 0 dB, so that what matters most is what the kernel makes of a constant.

    Parameters
    ----------
    values : weights of any shape
    axis : of the output channels
    most : steps to each side of 0
    kernel : they are those of a convolution [shape=(out, in, ...)], or (in, out, ...)

    Returns
    -------
    steps : whole numbers [shape as values]
    step : [shape as values, 1 along all axes but `axis`]
    """
    others = tuple(i for i in range(values.ndim) if i != axis)
    largest = np.abs(values).max(axis=others, keepdims=True)
    scale = np.maximum(largest, np.finfo(np.float32).tiny * most) / most
    exact = values / scale
    steps = np.rint(exact)
    if kernel:
        flat = exact.reshape(*values.shape[:2], -1)
        steps = _keeping_sums(flat).reshape(values.shape)
    return np.clip(steps, -most, most).astype(np.float32), scale.astype(np.float32)


def in_half(values: NDArray[np.float32], *, kernel: bool = False) -> NDArray[np.float16]:
    """Round weights to half precision; what is too large becomes the largest number.

    A convolution's kernel keeps its sums, for the reason that `in_steps` has: each value takes on
    what the larger ones before it lost, down to the smallest, which are finest.

    Parameters
    ----------
    values : weights of any shape
    kernel : they are those of a convolution [shape=(out, in, ...)], or (in, out, ...)
    """
    limit = np.finfo(np.float16).max
    if not kernel:
        return np.clip(values, -limit, limit).astype(np.float16)
    flat = values.reshape(*values.shape[:2], -1).astype(np.float64)
    order = np.argsort(-np.abs(flat), axis=-1)
    exact, halves = np.take_along_axis(flat, order, -1), np.empty(flat.shape, np.float16)
    lost = np.zeros(flat.shape[:2])
    for place in range(flat.shape[-1]):
        wanted = np.clip(exact[..., place] + lost, -limit, limit)
        halves[..., place] = wanted
        lost = wanted - halves[..., place]
    result = np.empty_like(halves)
    np.put_along_axis(result, order, halves, -1)
    return result.reshape(values.shape)


def _keeping_sums(exact: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round so that sums over the last axis are off by half at most.

    As many values as the sum is off are rounded the other way, those first that were nearest to it.
    """
    steps = np.rint(exact)
    left = exact - steps
    missing = np.rint(left.sum(axis=-1, keepdims=True))
    rank = np.argsort(np.argsort(-left * np.sign(missing), axis=-1), axis=-1)
    return np.asarray(steps + np.sign(missing) * (rank < np.abs(missing)), np.float32)
