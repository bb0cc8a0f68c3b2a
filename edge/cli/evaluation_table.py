"""An evaluation on a terminal of 80 columns, whatever task it is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch

from rich import box
from rich.table import Table
from rich.text import Text

from edge_genre.benchmarks.accuracy.evaluation import Estimate, Evaluation
from edge_genre.benchmarks.accuracy.multi_label import LabelScore, MultiLabelEvaluation
from edge_genre.benchmarks.accuracy.thresholds import ThresholdChoice
from edge_genre.benchmarks.text import some
from edge_genre.cli.view import console, facts
from edge_genre.task import Task

_MOST = 20  # rows of labels


@singledispatch
def print_evaluation(evaluation: object, task: Task) -> None:
    """Print the figures and a table of the labels, by the class of the record.

    Parameters
    ----------
    evaluation : record whose class has a table
    task : of the model
    """
    raise TypeError(f"there is no table of {type(evaluation).__name__}")


@dataclass(frozen=True)
class Headline:
    """The one figure to compare evaluations by.

    Parameters
    ----------
    name : of the figure
    figure : as it is counted
    share : the same in 0..1
    """

    name: str
    figure: int | float
    share: float


@singledispatch
def headline(evaluation: object) -> Headline:
    """The figure to compare evaluations by, by the class of the record."""
    raise TypeError(f"there is no figure of {type(evaluation).__name__}")


@headline.register
def _(evaluation: Evaluation) -> Headline:
    return Headline("tracks right", evaluation.tracks_correct, evaluation.track_accuracy.value)


@headline.register
def _(evaluation: MultiLabelEvaluation) -> Headline:
    value = evaluation.macro_average_precision.value
    return Headline("macro average precision", value, value)


@print_evaluation.register
def _(evaluation: Evaluation, task: Task) -> None:
    found = evaluation
    rows = {
        "tracks": f"{_percent(found.track_accuracy)}, {found.tracks_correct} of {found.tracks}",
        "windows": f"{_percent(found.window_accuracy)}, {found.windows_correct} of {found.windows}",
        "macro F1": f"{_percent(found.macro_f1)}, of tracks",
        "calibration error": f"{found.track_calibration_error:.1%} of tracks, "
        f"{found.window_calibration_error:.1%} of windows",
        "of it by chance": f"{found.track_calibration_chance:.1%} of tracks, even if confidence "
        "were perfectly calibrated",
        "confused most": ", ".join(f"{a} and {b} ({n})" for a, b, n in found.confused[:3]) or "-",
    }
    table = Table(task.noun)
    for name in ("tracks", "right", "recall", "precision", "F1"):
        table.add_column(name, justify="right")
    table.add_column("taken for")
    for genre in found.genres:
        taken_for = ", ".join(f"{other} {n}" for other, n in [*genre.taken_for.items()][:3])
        shares = (f"{share:.0%}" for share in (genre.recall, genre.precision, genre.f1))
        counts = str(genre.tracks), str(genre.correct)
        table.add_row(Text(genre.genre), *counts, *shares, Text(taken_for))
    console().print(facts(rows))
    console().print(table)


@print_evaluation.register
def _(evaluation: MultiLabelEvaluation, task: Task) -> None:
    found, nouns, measured = evaluation, task.nouns, evaluation.measured
    rows = {"tracks": f"{found.tracks}, of {found.windows} windows"}
    for name, macro, micro in (
        ("average precision", found.macro_average_precision, found.micro_average_precision),
        ("ROC AUC", found.macro_roc_auc, found.micro_roc_auc),
        ("F1", found.macro_f1, found.micro_f1),
    ):
        rows[f"macro {name}"] = _interval(macro)
        rows[f"micro {name}"] = _interval(micro)
    rows["measured"] = f"{found.labels_measured} of {len(found.labels)} {nouns}"
    if len(measured) > _MOST:
        rows["not shown"] = some([label.label for label in measured[_MOST:]], len(measured))
    if found.without_positive:
        rows["of no track"] = some(found.without_positive)
    if found.without_negative:
        rows["of every track"] = some(found.without_negative)
    console().print(facts(rows))
    console().print(_labels(measured[:_MOST], task))


def _labels(labels: list[LabelScore], task: Task) -> Table:
    table = Table(box=box.SIMPLE, collapse_padding=True, caption_justify="left")
    table.add_column(task.noun, overflow="fold", min_width=12)
    for name in ("tracks", "AP", "ROC AUC", "from", "given", "recall", "precision", "F1"):
        table.add_column(name, justify="right", no_wrap=True)
    for label in labels:
        table.add_row(
            Text(label.label),
            str(label.tracks),
            f"{label.average_precision:.3f}",
            f"{label.roc_auc:.3f}",
            f"{label.threshold:.2g}",
            str(label.said),
            *(f"{share:.2f}" for share in (label.recall, label.precision, label.f1)),
        )
    table.caption = "given to how many tracks, from which probability on"
    return table


def print_choice(choice: ThresholdChoice, task: Task) -> None:
    """Print which thresholds were chosen, and what F1 they give on the very data they are from."""
    labels = len(choice.changed) + len(choice.kept) + len(choice.unmeasured)
    rows = {"thresholds": f"{len(choice.changed)} of {labels} changed"}
    if choice.kept:
        rows["kept"] = f"{some(choice.kept)}: no other one gives a higher F1"
    if choice.unmeasured:
        untold = f"{len(choice.unmeasured)} {task.nouns}"
        rows["kept, too"] = f"those of {untold} that no track or every track has"
    rows |= {
        "macro F1": f"{choice.macro_f1_before:.3f} before, {choice.macro_f1_after:.3f} now",
        "micro F1": f"{choice.micro_f1_before:.3f} before, {choice.micro_f1_after:.3f} now",
        "note": "they were chosen on these very tracks: of other music expect less",
    }
    console().print(facts(rows))


def print_conditions(evaluation: object, under: Mapping[str, object]) -> None:
    """Print what each condition changes.

    Parameters
    ----------
    evaluation : of the files as they are
    under : evaluations by the name of the condition
    """
    before = headline(evaluation)
    table = Table("condition")
    for title in (before.name, "change"):
        table.add_column(title, justify="right")
    for condition, other in under.items():
        after = headline(other)
        change = 100 * (after.share - before.share)
        shown = str(after.figure) if isinstance(after.figure, int) else f"{after.figure:.3f}"
        table.add_row(condition, shown, f"{change:+.1f} points")
    console().print(table)


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
