"""Pictures of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from edge_genre.benchmarks.accuracy.evaluation import Evaluation


def plot_confusion(evaluation: Evaluation, genres: Sequence[str], path: Path) -> None:
    """Draw which genre was taken for which: shares of each row, with counts, as a PNG."""
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.5 + 0.55 * len(genres)
    figure = _figure(size, size)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, counts[row, column], ha="center", va="center", color=color)
    axes.set_xticks(range(len(genres)), genres, rotation=45, ha="right")
    axes.set_yticks(range(len(genres)), genres)
    axes.set(xlabel="predicted genre", ylabel="true genre")
    axes.set_title(
        f"{evaluation.tracks_correct} of {evaluation.tracks} tracks "
        f"({evaluation.track_accuracy.value:.1%})"
    )
    figure.savefig(path, dpi=120)


def plot_reliability(evaluation: Evaluation, path: Path) -> None:
    """Draw accuracy over confidence (a reliability diagram), as a PNG."""
    confidence, accuracy, counts = np.array(evaluation.reliability).T
    figure = _figure(5, 5.5)
    top, bottom = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    top.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfectly calibrated")
    top.plot(confidence, accuracy, marker="o", label="tracks")
    top.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    top.set_title(f"calibration error {evaluation.track_calibration_error:.1%}")
    top.legend()
    top.grid(alpha=0.3)
    bottom.bar(confidence, counts, width=0.04)
    bottom.set(xlabel="confidence: mean probability of the predicted genre", ylabel="tracks")
    figure.savefig(path, dpi=120)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen, whatever is set elsewhere
    return figure
