"""What a network is shown at each step of training."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from edge_genre.models.data.corpus import Tracks
from edge_genre.models.train.augment import mixup
from edge_genre.models.train.objectives import OBJECTIVES
from edge_genre.models.train.recipes import Recipe


def training_batch(tracks: Tracks, recipe: Recipe, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The batch of one step, float32: features (batch, ...), targets (batch, classes + embedding).

    It depends on the seed and the step alone, so a resumed run sees what an unbroken one sees.
    """
    rng = np.random.default_rng([recipe.seed, step])
    # A permutation rather than free draws: no track is left out for long.
    chosen = np.resize(rng.permutation(len(tracks)), recipe.batch)
    x = recipe.augmentation.windows(tracks, chosen, recipe.crop or tracks.spec.n_frames, rng)
    y = OBJECTIVES[recipe.task.kind].targets(
        tracks.labels[chosen], len(tracks.genres), recipe.smoothing
    )
    if tracks.embeddings is not None:
        y = np.hstack([y, tracks.embeddings[chosen]])
    return mixup(x, y, recipe.mix, rng)


def training_batches(
    tracks: Tracks, recipe: Recipe, first: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches of steps `first` .. `recipe.steps` - 1, each made while the one before trains."""
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(training_batch, tracks, recipe, first)
        for step in range(first, recipe.steps):
            batch = ahead.result()
            if step + 1 < recipe.steps:
                ahead = pool.submit(training_batch, tracks, recipe, step + 1)
            yield batch
