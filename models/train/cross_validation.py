"""The same recipe measured otherwise: on every track once, or as most published figures are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console

from edge_genre.benchmarks.accuracy.evaluation import Evaluation, Track, evaluate
from edge_genre.models.data.corpus import Tracks
from edge_genre.models.data.dataset import Data
from edge_genre.models.data.grouping import folds
from edge_genre.models.train.recipes import Recipe
from edge_genre.models.train.training import train


def cross_validate(
    everything: Tracks, n: int, output: Path, recipe: Recipe, console: Console
) -> Evaluation:
    """Train n times, each time without another part of the groups, and score every track once.

    The weights of the last step are scored: choosing a step by the part that is measured would
    flatter the figure. A run that was stopped goes on.

    Raises
    ------
    DataError
        See `edge_genre.models.data.grouping.folds` and `edge_genre.models.train.training.train`.
    """
    fold = folds(everything.labels, everything.groups, n, recipe.seed, genres=everything.genres)
    scored: list[Track] = []
    for number in range(n):
        console.print(f"fold {number + 1} of {n}")
        data = Data(
            everything.chosen(fold != number),
            everything.chosen(fold == number),
            "",
            f"fold {number + 1} of {n}",
        )
        scored += train(data, output / f"fold-{number + 1}", recipe, console).last
    return evaluate(scored, everything.genres)


def leaky_split(everything: Tracks, output: Path, recipe: Recipe, console: Console) -> Evaluation:
    """Cut all tracks into windows, shuffle them, train on four fifths and score the last fifth.

    Windows of one song stand on both sides. It shows how much of a figure is recognising the song,
    and is no measure of anything else.
    """
    chunks = everything.chunks()
    held_out = np.random.default_rng(recipe.seed).random(len(chunks)) < 0.2
    parts = chunks.chosen(~held_out), chunks.chosen(held_out)
    data = Data(*parts, "", "shuffled windows")
    return evaluate(train(data, output / "leaky", recipe, console).last, everything.genres)
