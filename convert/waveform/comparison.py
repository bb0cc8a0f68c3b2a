"""What a front end in the graph may change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.verify.parity import AnyParity, compare_by_task
from edge_genre.task import GENRES, Task

AGREEMENT = 0.995
MAX_DIFFERENCE = 1e-3
# An 8-bit classifier rounds. A feature that is off by its last digit may round to the next step,
# and that step moves a probability by more than the limit above: in single and in double precision
# NumPy's own front end gives probabilities this far apart. One that rounds otherwise moves a few
# windows, 7e-5 on average; one that is wrong moves nearly all: mel filters that end 125 Hz too
# early, 7e-3 and more.
MAX_DIFFERENCE_IN_8_BITS = 0.05
MEAN_DIFFERENCE_IN_8_BITS = 1e-3


def judge_front_end(
    quantization: str,
    split: NDArray[np.float32],
    joined: NDArray[np.float32],
    task: Task = GENRES,
) -> tuple[AnyParity, tuple[str, ...]]:
    """Compare a classifier's probabilities behind the NumPy front end and behind the graph's own.

    Parameters
    ----------
    quantization : of the classifier
    split, joined : probabilities of the same windows [shape=(windows, classes)]
    task : what they mean

    Returns
    -------
    How far they are apart, and why the file may not be kept; nothing if it may
    """
    parity = compare_by_task(split, joined, task)
    in_8_bits = quantization in ("dynamic", "int8")
    largest = MAX_DIFFERENCE_IN_8_BITS if in_8_bits else MAX_DIFFERENCE
    reasons = []
    # A label changes at its threshold, however little its probability moves.
    if task.exclusive and parity.agreement < AGREEMENT:
        reasons.append(
            f"{parity.agreement:.2%} of {parity.windows} windows get the same {task.noun}, "
            f"{AGREEMENT:.2%} expected"
        )
    if parity.max_difference > largest:
        reasons.append(f"a probability is off by {parity.max_difference:.2g}, {largest:g} allowed")
    if in_8_bits and parity.mean_difference > MEAN_DIFFERENCE_IN_8_BITS:
        reasons.append(
            f"probabilities are off by {parity.mean_difference:.2g} on average, "
            f"{MEAN_DIFFERENCE_IN_8_BITS:g} allowed"
        )
    return parity, tuple(f"with the front end in the graph, {reason}" for reason in reasons)
