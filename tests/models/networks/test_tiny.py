"""The tiny architecture: any length, and its size."""

import numpy as np

from edge_genre.models.networks.tiny import tiny

N_FRAMES, N_MELS = 39, 128


def test_it_reads_any_length_and_fits_a_microcontroller() -> None:
    short, free = tiny(), tiny(n_frames=None)
    free.set_weights(short.get_weights())
    x = np.random.default_rng(0).normal(size=(2, N_FRAMES, N_MELS)).astype(np.float32)
    np.testing.assert_allclose(free(x).numpy(), short(x).numpy(), atol=1e-6)
    assert short.count_params() < 27_000
