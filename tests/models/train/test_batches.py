"""What a network is shown at each step."""

from pathlib import Path

import numpy as np

from edge_genre.benchmarks.accuracy.features_file import TRAIN, FeaturesFile
from edge_genre.models.data.corpus import Tracks
from edge_genre.models.train.batches import training_batches
from edge_genre.models.train.recipes import Recipe


def test_batches_depend_on_seed_and_step_alone(noise_corpus: Path) -> None:
    recipe = Recipe(seed=3, steps=4, batch=10)
    tracks = Tracks.of_features(FeaturesFile.read(noise_corpus), TRAIN, recipe.spec)
    run = list(training_batches(tracks, recipe, 0))
    rest = list(training_batches(tracks, recipe, 2))
    assert [len(run), len(rest)] == [4, 2]
    for (x, y), (again_x, again_y) in zip(run[2:], rest, strict=True):
        np.testing.assert_array_equal(x, again_x)
        np.testing.assert_array_equal(y, again_y)
    assert run[0][0].shape == (10, 39, 128)
    np.testing.assert_allclose(run[0][1].sum(1), 1, atol=1e-6)
    assert not np.array_equal(run[0][0], run[1][0])
