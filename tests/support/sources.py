"""What tests of readers of trained models share."""

import numpy as np
import pytest

from edge_genre.convert.sources import open_model
from edge_genre.errors import ConversionError


def noise(shape, n=7, seed=0) -> np.ndarray:
    """Windows of a shape, float32 [shape=(n, *shape)]."""
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)


def answer(source, *windows) -> np.ndarray:
    """What the only output of a trained model gives."""
    (rows,) = source.predict(*windows).values()
    return rows


def refusal(path, **options) -> str:
    """The one line that a file is refused with."""
    with pytest.raises(ConversionError) as caught:
        open_model(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message
