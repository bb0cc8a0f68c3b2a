"""Pictures of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.accuracy.evaluation import Evaluation
from edge_genre.benchmarks.accuracy.multi_label import Curve, LabelScore, MultiLabelEvaluation
from edge_genre.benchmarks.text import short
from edge_genre.task import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 20  # labels with a bar
_NAMED = 8  # of them with a colour


@contextmanager
def _as_written() -> Iterator[None]:
    """Texts are drawn as they are: a label with dollars in it is no formula."""
    import matplotlib as mpl

    with mpl.rc_context({"text.parse_math": False}):
        yield


@singledispatch
def plot(evaluation: object, labels: Sequence[str], task: Task, folder: Path) -> None:
    """Draw the pictures that belong to a kind of evaluation into a folder, as PNGs.

    Parameters
    ----------
    evaluation : record whose class has pictures
    labels, task : of the model
    folder : that exists
    """
    raise TypeError(f"there are no pictures of {type(evaluation).__name__}")


@plot.register
def _(evaluation: Evaluation, labels: Sequence[str], task: Task, folder: Path) -> None:
    plot_confusion(evaluation, labels, folder / "confusion.png", noun=task.noun)
    plot_reliability(evaluation, folder / "reliability.png", noun=task.noun)


@plot.register
def _(evaluation: MultiLabelEvaluation, labels: Sequence[str], task: Task, folder: Path) -> None:
    plot_precision_recall(evaluation, folder / "precision_recall.png", nouns=task.nouns)


@_as_written()
def plot_confusion(
    evaluation: Evaluation, labels: Sequence[str], path: Path, *, noun: str = "genre"
) -> None:
    """Draw which label was taken for which: shares of each row, with counts, as a PNG."""
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.5 + 0.55 * len(labels)
    figure = _figure(size, size)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, counts[row, column], ha="center", va="center", color=color)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel=f"predicted {noun}", ylabel=f"true {noun}")
    axes.set_title(
        f"{evaluation.tracks_correct} of {evaluation.tracks} tracks "
        f"({evaluation.track_accuracy.value:.1%})"
    )
    figure.savefig(path, dpi=120)


@_as_written()
def plot_reliability(evaluation: Evaluation, path: Path, *, noun: str = "genre") -> None:
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
    bottom.set(xlabel=f"confidence: mean probability of the predicted {noun}", ylabel="tracks")
    figure.savefig(path, dpi=120)


@_as_written()
def plot_precision_recall(evaluation: MultiLabelEvaluation, path: Path, *, nouns: str) -> None:
    """Draw precision over recall, and average precision of the most frequent labels, as a PNG.

    The area below a curve is the average precision.
    """
    measured = evaluation.measured
    shown = measured[:_MOST]
    figure = _figure(11, max(5.0, 1.5 + 0.28 * len(shown)))
    left, right = figure.subplots(1, 2, width_ratios=(5, 4))
    colors = _curves(left, evaluation, measured)
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    macro, micro = evaluation.macro_average_precision, evaluation.micro_average_precision
    left.set_title(f"average precision: macro {macro.value:.3f}, micro {micro.value:.3f}")
    left.legend(loc="lower left", fontsize="small")
    left.grid(alpha=0.3)
    rows = np.arange(len(shown))[::-1]
    values = [label.average_precision or 0.0 for label in shown]
    right.barh(rows, values, color=[colors.get(label.label, "silver") for label in shown])
    chance = [label.tracks / evaluation.tracks for label in shown]
    right.plot(chance, rows, "k|", markersize=9, label="by chance: the share of tracks")
    right.set_yticks(rows, [f"{short(label.label, 28)} ({label.tracks})" for label in shown])
    right.set(xlabel="average precision", xlim=(0, 1))
    few = f"the {len(shown)} most frequent of {len(measured)} {nouns}"
    right.set_title(few if len(measured) > len(shown) else f"{nouns} (tracks)")
    right.legend(loc="lower right", fontsize="small")
    figure.savefig(path, dpi=120)


def _curves(
    axes: Axes, evaluation: MultiLabelEvaluation, measured: Sequence[LabelScore]
) -> dict[str, str]:
    """Draw a curve a label, and that of all together; give the colours of those with a name."""
    colors: dict[str, str] = {}
    for number, label in enumerate(measured):
        recall, precision = _from_zero(label.curve)
        if number < _NAMED:
            colors[label.label] = f"C{number}"
            style: dict[str, Any] = {"color": f"C{number}", "label": short(label.label, 28)}
            if label.said:
                axes.plot(label.recall, label.precision, "o", color=f"C{number}")
        else:
            style = {"color": "silver", "linewidth": 0.6, "zorder": 0}
        axes.plot(recall, precision, drawstyle="steps-pre", **style)
    recall, precision = _from_zero(evaluation.curve)
    axes.plot(
        recall,
        precision,
        color="black",
        linewidth=2.5,
        drawstyle="steps-pre",
        label="all pairs (micro)",
    )
    axes.plot([], [], "o", color="grey", label="at the threshold")
    return colors


def _from_zero(curve: Curve) -> NDArray[np.float64]:
    """Recall and precision [shape=(2, points)]; up to the first hit they are as they are there."""
    return np.array([(0.0, curve[0][1]), *curve]).T


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen, whatever is set elsewhere
    return figure
