"""FMA's spectrograms on the grid of SongNet's front end."""

import numpy as np
import pytest

from edge_genre.models import fma

N_MELS = 128


def test_bands_of_another_rate_are_met_at_their_centres() -> None:
    """A tone at 4 kHz stands in another band where bands reach up to 22 kHz."""
    theirs, ours = (fma._centres(spec) for spec in (fma._THEIRS, fma._OURS))
    levels = np.full((3, N_MELS), -60, np.float32)
    levels[:, np.abs(theirs - 4000).argmin()] = 0
    moved = fma.on_our_bands(levels)
    assert moved.shape == levels.shape
    assert ours[moved[0].argmax()] == pytest.approx(4000, rel=0.03)
    np.testing.assert_allclose(fma.on_our_bands(np.full((2, N_MELS), -7.0)), -7, atol=1e-5)


def test_columns_of_another_rate_are_met_in_time() -> None:
    """A ramp over 30 s stays one, in three times as many columns."""
    moved = fma.in_our_time(np.arange(128, dtype=np.float32)[None])
    assert moved.shape == (1, 384)
    np.testing.assert_allclose(np.diff(moved), fma.SPEED, atol=1e-3)
