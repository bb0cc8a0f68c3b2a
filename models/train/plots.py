"""Pictures of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_genre.models.train.scores import RankingStep, Step


def plot_history(steps: Sequence[Step | RankingStep], path: Path) -> None:
    """Draw the loss and the figures of the validation part over the steps."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    numbers = [each.step for each in steps]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(numbers, [each.train_loss for each in steps], label="training, mixed and smoothed")
    left.plot(numbers, [each.window_loss for each in steps], label="validation windows")
    left.set(xlabel="step", ylabel="cross-entropy")
    for label in steps[0].figures:
        right.plot(numbers, [each.figures[label] for each in steps], label=label)
    right.set(xlabel="step", ylabel=steps[0].what, ylim=(0, 1))
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
