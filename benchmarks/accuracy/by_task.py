"""Which evaluation a model gets, by the kind of its task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_genre.benchmarks.accuracy.evaluation import Evaluation, Track, evaluate
from edge_genre.benchmarks.accuracy.multi_label import MultiLabelEvaluation, evaluate_labels
from edge_genre.task import Task

AnyEvaluation = Evaluation | MultiLabelEvaluation

# By the names in `edge_genre.task.KINDS`. Who shows an evaluation goes by the class of its record.
EVALUATIONS: dict[str, Callable[[Sequence[Track], Sequence[str], Task], AnyEvaluation]] = {
    "single_label": lambda tracks, labels, task: evaluate(tracks, labels),
    "multi_label": evaluate_labels,
}


def evaluate_task(tracks: Sequence[Track], labels: Sequence[str], task: Task) -> AnyEvaluation:
    """Score what a model says of labelled tracks, one or more, as its task asks.

    Raises
    ------
    DataError
        The tracks say nothing of the task; see `evaluate_labels`.
    """
    return EVALUATIONS[task.kind](tracks, labels, task)
