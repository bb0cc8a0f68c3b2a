"""Small sets of tracks to train on."""

import numpy as np

from edge_genre.frontend import FrontEndSpec
from edge_genre.models.data.corpus import Tracks
from edge_genre.models.data.stored import Stored

SPEC = FrontEndSpec(normalize="mean_variance")


def tracks_of(*levels: np.ndarray, n_frames: int = 39, spec: FrontEndSpec = SPEC) -> Tracks:
    """Tracks of these frames, one genre, each a group of its own."""
    names = np.array([str(number) for number in range(len(levels))])
    sounds = tuple(Stored.of_columns(each, n_frames) for each in levels)
    return Tracks(spec, sounds, np.zeros(len(levels), np.int64), names, names, ("a",))


def tracks_of_windows(windows: np.ndarray, spec: FrontEndSpec) -> Tracks:
    """Tracks of one window each, which was computed whole."""
    names = np.array([str(number) for number in range(len(windows))])
    sounds = tuple(Stored(window[None]) for window in windows)
    return Tracks(spec, sounds, np.zeros(len(windows), np.int64), names, names, ("a",))
