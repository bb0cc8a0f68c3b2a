"""A front end for small folders of music by genre, and the songs in them."""

import numpy as np

from edge_genre.frontend import FrontEndSpec
from edge_genre.models.data.audio_folder import AudioTrack
from tests.support.signals import music

RATE = 8_000
SPEC = FrontEndSpec(
    sample_rate=RATE, window_seconds=1.0, n_fft=512, hop_length=200, n_mels=40, ref=1.0, top_db=None
)
SECONDS = 4


def song(seed: int) -> np.ndarray:
    """Four seconds of music, other music for each seed."""
    return music(SECONDS * RATE, RATE, seed=seed)


def groups_of(tracks: list[AudioTrack]) -> dict[str, str]:
    """Group of each track, by genre and file name."""
    return {f"{track.genre}/{track.path.name}": track.group for track in tracks}
