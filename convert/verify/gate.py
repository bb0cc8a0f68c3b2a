"""What a converted model may differ by from the one it was made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.verify.parity import Parity, compare
from edge_genre.convert.verify.windows import UNKNOWN


@dataclass(frozen=True)
class Limit:
    """The gate of one quantization.

    Parameters
    ----------
    agreement : least share of windows with the same first class
    max_difference : of one probability; None for no limit of its own
    accuracy_loss : share of windows that are right no longer, where labels are known; None likewise
    """

    agreement: float
    max_difference: float | None = None
    accuracy_loss: float | None = None


LIMITS = {
    "fp32": Limit(agreement=1.0, max_difference=1e-4),
    "fp16": Limit(agreement=0.995, max_difference=5e-3),
    "dynamic": Limit(agreement=0.985, accuracy_loss=0.01),
    "int8": Limit(agreement=0.985, accuracy_loss=0.01),
}


@dataclass(frozen=True)
class Verdict:
    """A converted model beside its source, on the same windows.

    Parameters
    ----------
    parity : how far apart their probabilities are
    labelled : windows whose genre is known
    source_correct, correct : how many of these the source and the converted model get right
    reasons : why the model may not be kept; none if it may
    """

    parity: Parity
    labelled: int
    source_correct: int
    correct: int
    reasons: tuple[str, ...]


def judge(
    quantization: str,
    source: NDArray[np.float32],
    converted: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> Verdict:
    """Hold a converted model against the limits of its quantization.

    Parameters
    ----------
    quantization : one of `LIMITS`
    source, converted : probabilities [shape=(windows, classes)]
    labels : class of each window, or `UNKNOWN`

    Raises
    ------
    ValueError
        The probabilities differ in shape or are not finite.
    """
    limit, parity = LIMITS[quantization], compare(source, converted)
    known = labels != UNKNOWN
    labelled = int(known.sum())
    before, after = (
        int((each.argmax(axis=1) == labels)[known].sum()) for each in (source, converted)
    )
    reasons = []
    if parity.top1_agreement < limit.agreement:
        reasons.append(
            f"{parity.top1_agreement:.2%} of {parity.windows} windows get the same genre, "
            f"{limit.agreement:.2%} expected"
        )
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
