"""Classical classifiers, and what they know of artists."""

import numpy as np

from edge_genre.frontend import FrontEndSpec
from edge_genre.models.data.corpus import Tracks
from edge_genre.models.data.dataset import Data
from edge_genre.models.data.stored import Stored
from edge_genre.models.train.baselines import artist_effect

SPEC = FrontEndSpec.preset("songnet-gtzan")


def test_what_is_known_of_artists_is_no_genre() -> None:
    """What an artist sounds like tells the genre, until the artist is new."""
    rng = np.random.default_rng(0)
    frames, labels, held = [], [], []
    for genre in range(2):
        for artist in range(6):
            sound = rng.normal(0, 12, SPEC.n_mels)  # of the artist, not of the genre
            for _ in range(6):
                frames.append(-40 + sound + rng.normal(0, 3, (2 * SPEC.n_frames, SPEC.n_mels)))
                labels.append(genre)
                held.append(artist >= 4)
    names = np.arange(len(frames)).astype(str)
    sounds = tuple(Stored.of_columns(each.astype(np.float32), SPEC.n_frames) for each in frames)
    tracks = Tracks(SPEC, sounds, np.array(labels), names, names, ("a", "b"))
    held_out = np.array(held)
    data = Data(tracks.chosen(~held_out), tracks.chosen(held_out), "made up", "by artist")
    found = artist_effect(data)
    assert found.genres == ("a", "b")
    assert found.all_mixed > 0.9
    assert found.all_apart < 0.8
    assert len(found.apart) == len(found.mixed) == 2
