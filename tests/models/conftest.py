"""Music to train on that tests make up."""

from pathlib import Path

import numpy as np
import pytest

GENRES = ("blues", "jazz", "metal")
N_TRACKS, N_MELS, N_COLUMNS = 12, 128, 90


@pytest.fixture(scope="session")
def noise_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of noise in the real one's format whose levels tell a track's split: 0, 1 or 3."""
    rng = np.random.default_rng(0)
    split = np.array([0, 0, 1, 0, 1, 3, 0, 0, 1, 0, 3, 0], np.uint8)
    # Bytes of training tracks are even, those of all others odd.
    levels = rng.integers(0, 128, (N_TRACKS, N_MELS, N_COLUMNS)) * 2 + (split != 0)[:, None, None]
    path = tmp_path_factory.mktemp("corpus") / "corpus.npz"
    np.savez(
        path,
        X=levels.astype(np.uint8),
        y=(np.arange(N_TRACKS) % len(GENRES)).astype(np.uint8),
        name=np.array([f"track{i}" for i in range(N_TRACKS)]),
        split=split,
        genres=np.array(GENRES),
        front_end="songnet-gtzan",
    )
    return path
