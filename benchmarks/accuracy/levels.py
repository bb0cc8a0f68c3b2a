"""Levels of frames, wherever they are from: a front end's own code makes features of them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend import FrontEndSpec
from edge_genre.frontend.levels import Logarithmic
from edge_genre.frontend.mel_spectrogram import MelSpectrogram

# Of what a window's frames depend on: its length, and how its edges are padded.
_OF_WINDOWS = ("kind", "window_seconds", "center", "pad_mode")


def frames_of(spec: FrontEndSpec) -> dict[str, Any]:
    """What the levels of a frame depend on, but for a number that all levels share."""
    of_frames = [*(field.name for field in fields(MelSpectrogram)), "log"]
    values = {key: getattr(spec, key, None) for key in of_frames if key not in _OF_WINDOWS}
    if values["fmax"] is None:
        values["fmax"] = spec.sample_rate / 2
    return values


def features_of(spec: FrontEndSpec, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of windows whose frames are known.

    Parameters
    ----------
    spec : of a kind that is made of levels
    windows : rows of frames [shape=(n, n_frames, n_mels)], of no more frames than the front end's

    Returns
    -------
    float32 [shape=(n, ...)]; with the front end's number of frames (n, *spec.shape)
    """
    finish = spec.computation(np.float32).finish
    return np.stack([finish([window]) for window in windows])


def levels_alone(spec: FrontEndSpec) -> FrontEndSpec:
    """The same windows of the same frames, with nothing that is done to a window as a whole."""
    if not isinstance(spec, Logarithmic):
        return spec
    return spec.replace(kind="log_mel", **_PLAIN)


_PLAIN: dict[str, Any] = {
    "ref": 1.0,
    "top_db": None,
    "normalize": "none",
    "mean": 0.0,
    "scale": 1.0,
    "axes": "time_first",
    "statistics": (),
    "normalize_over": "window",
}
