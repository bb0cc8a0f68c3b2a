"""Small sets of tracks to train on."""

import numpy as np

from edge_genre.models.data.corpus import Tracks


def tracks_of(*levels: np.ndarray) -> Tracks:
    """Tracks of these frames, one genre, each a group of its own."""
    names = np.array([str(number) for number in range(len(levels))])
    lengths = np.array([len(each) for each in levels])
    labels = np.zeros(len(levels), np.int64)
    return Tracks(np.concatenate(levels), lengths, labels, names, names, ("a",))
