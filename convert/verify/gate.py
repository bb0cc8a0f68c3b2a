"""What a converted model may differ by from the one it was made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.verify.parity import AnyParity, compare_by_task
from edge_genre.convert.verify.windows import UNKNOWN
from edge_genre.task import GENRES, Task


@dataclass(frozen=True)
class Limit:
    """The gate of one quantization.

    Parameters
    ----------
    agreement : least share of windows with the same first class; of labels that each hold or not,
        least share of those that either gives that both give. None for no limit of its own
    max_difference : of one probability; None likewise
    accuracy_loss : share of windows that are right no longer, where labels are known; None likewise
    """

    agreement: float | None
    max_difference: float | None = None
    accuracy_loss: float | None = None


LIMITS = {
    "fp32": Limit(agreement=1.0, max_difference=1e-4),
    "fp16": Limit(agreement=0.995, max_difference=5e-3),
    "dynamic": Limit(agreement=0.985, accuracy_loss=0.01),
    "int8": Limit(agreement=0.985, accuracy_loss=0.01),
}
# Of labels that each hold or not. Where no probability may move by more than is said here, a label
# only changes if it stood at its threshold, which says nothing of the conversion: there is no limit
# of its own. In 8 bits it is the one for single labels, counted in labels: a window that changes
# its only label gives one that the source does not give, and does not give one that it gives. Of N
# windows of which 1.5 % change, both give 0.985 N labels and either 1.015 N: 97 %.
_OF_LABELS = {
    "fp32": Limit(agreement=None, max_difference=1e-4),
    "fp16": Limit(agreement=None, max_difference=5e-3),
    "dynamic": Limit(agreement=0.97, accuracy_loss=0.01),
    "int8": Limit(agreement=0.97, accuracy_loss=0.01),
}


def limit_of(quantization: str, task: Task) -> Limit:
    """The gate of a quantization for models of a task."""
    return (LIMITS if task.exclusive else _OF_LABELS)[quantization]


@dataclass(frozen=True)
class Verdict:
    """A converted model beside its source, on the same windows.

    Parameters
    ----------
    parity : how far apart their probabilities are
    labelled : windows whose labels are known
    source_correct, correct : how many of these the source and the converted model get right, all
        labels of a window
    reasons : why the model may not be kept; none if it may
    """

    parity: AnyParity
    labelled: int
    source_correct: int
    correct: int
    reasons: tuple[str, ...]


def judge(
    quantization: str,
    source: NDArray[np.float32],
    converted: NDArray[np.float32],
    labels: NDArray[np.int64],
    task: Task = GENRES,
) -> Verdict:
    """Hold a converted model against the limits of its quantization.

    Parameters
    ----------
    quantization : one of `LIMITS`
    source, converted : probabilities [shape=(windows, classes)]
    labels : class of each window, or `UNKNOWN`; of labels that each hold or not, which of them do
        [shape=(windows, classes)]
    task : what the probabilities mean

    Raises
    ------
    ValueError
        The probabilities differ in shape or are not finite.
    """
    limit, parity = limit_of(quantization, task), compare_by_task(source, converted, task)
    labelled, before, after = _right(source, converted, labels, task)
    reasons = []
    if limit.agreement is not None and parity.agreement < limit.agreement:
        same = (
            f"of {parity.windows} windows get the same {task.noun}"
            if task.exclusive
            else f"of the {task.nouns} of {parity.windows} windows are the same"
        )
        reasons.append(f"{parity.agreement:.2%} {same}, {limit.agreement:.2%} expected")
    if limit.max_difference is not None and parity.max_difference > limit.max_difference:
        reasons.append(
            f"a probability is off by {parity.max_difference:.2g}, {limit.max_difference:g} allowed"
        )
    if limit.accuracy_loss is not None and before - after > limit.accuracy_loss * labelled:
        reasons.append(
            f"{after} instead of {before} of {labelled} labelled windows are right, "
            f"a loss of {limit.accuracy_loss:.0%} allowed"
        )
    return Verdict(parity, labelled, before, after, tuple(reasons))


def _right(
    source: NDArray[np.float32],
    converted: NDArray[np.float32],
    labels: NDArray[np.int64],
    task: Task,
) -> tuple[int, int, int]:
    """Windows whose labels are known, and how many of them each of two models gets right."""
    known = (labels != UNKNOWN).reshape(len(labels), -1).all(axis=1)
    if task.exclusive:
        right = [each.argmax(axis=1) == labels for each in (source, converted)]
    else:
        right = [(task.reached(each) == labels).all(axis=1) for each in (source, converted)]
    before, after = (int(each[known].sum()) for each in right)
    return int(known.sum()), before, after
