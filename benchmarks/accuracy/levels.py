"""Log-mel levels of single frames, which a front end makes its features of.

They stand between samples and features: what they are of, a window of audio or the columns of a
file, is nothing to the front end, whose own code makes features of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend import _KINDS, FrontEndSpec

Levels = NDArray[np.float32]

_MADE_OF_LEVELS = ("log_mel", "mfcc", "mfcc_deltas")
_DECIBELS = 10 / math.log(10)  # in a neper of power
# What a window as a whole decides, and how its edges are padded.
_NOT_OF_FRAMES = (
    *("kind", "n_mfcc", "window_seconds", "center", "pad_mode"),
    *("ref", "amin", "top_db", "normalize", "mean", "scale", "axes"),
)


def computation(spec: FrontEndSpec) -> Any:
    """What computes a front end's features of frames."""
    return _KINDS[spec.kind](spec, np.float32)


def made_of_levels(spec: FrontEndSpec) -> bool:
    """Whether a window's features are made of log-mel levels, which single frames give."""
    return spec.kind in _MADE_OF_LEVELS


def frames_of(spec: FrontEndSpec) -> FrontEndSpec:
    """The same frames, with nothing that is done to a window as a whole."""
    return spec.replace(
        ref=1.0, top_db=None, normalize="none", mean=0.0, scale=1.0, axes="time_first"
    )


def grid_of(spec: FrontEndSpec) -> dict[str, Any]:
    """What the levels of a frame depend on, but for a number that all levels share."""
    values = {key: value for key, value in spec.to_dict().items() if key not in _NOT_OF_FRAMES}
    if values["fmax"] is None:
        values["fmax"] = spec.sample_rate / 2
    return values


def features_of(spec: FrontEndSpec, windows: Levels) -> Levels:
    """Features of windows of which the frames' levels are known.

    Parameters
    ----------
    spec : of a kind that is made of levels.
    windows : [shape=(n, n_frames, n_mels)], any number of frames.

    Returns
    -------
    float32 [shape=(n, ...)]; with the front end's number of frames (n, *spec.shape)
    """
    finish = computation(spec).finish
    return np.stack([finish([window]) for window in windows])


def in_decibels(spec: FrontEndSpec, levels: Levels) -> Levels:
    """A front end's levels in dB, whose reference is of no account."""
    if spec.log == "natural":
        return levels * np.float32(_DECIBELS)
    if spec.log == "none":
        return np.log(np.maximum(levels, np.float32(1e-20))) * np.float32(_DECIBELS)
    return levels


def of_decibels(spec: FrontEndSpec, decibels: Levels) -> Levels:
    """A front end's levels again, from those in dB."""
    if spec.log == "natural":
        return decibels * np.float32(1 / _DECIBELS)
    if spec.log == "none":
        return np.exp(decibels * np.float32(1 / _DECIBELS))
    return decibels
