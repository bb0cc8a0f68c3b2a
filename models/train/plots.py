"""Pictures of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_genre.models.train.metrics import Step


def plot_history(steps: Sequence[Step], path: Path) -> None:
    """Draw loss and validation accuracy over the steps."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    numbers = [each.step for each in steps]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(numbers, [each.train_loss for each in steps], label="training, mixed and smoothed")
    left.plot(numbers, [each.window_loss for each in steps], label="validation windows")
    left.set(xlabel="step", ylabel="cross-entropy")
    right.plot(numbers, [each.window_accuracy for each in steps], label="validation windows")
    right.plot(numbers, [each.track_accuracy for each in steps], label="validation tracks")
    right.set(xlabel="step", ylabel="accuracy", ylim=(0, 1))
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
