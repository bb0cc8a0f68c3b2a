"""Which layers compute in 8 bits: as many as agree with the exact model on calibration windows.

Layers near the input see features of different ranges under one scale and are the first to
lose accuracy. As few of the leading ones as agreement asks for keep activations in float.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.tensors import Arrays
from edge_genre.convert.verify.parity import agreement_of_labels

# Share of calibration windows that may get another class. The gate allows 1.5 % of others, of which
# two or three times as many changed wherever both were counted.
MAY_CHANGE = 0.005
# Of labels that each hold or not, twice as much: where one takes another's place, a window gives
# one that it did not give before, and does not give one that it gave.
MAY_CHANGE_OF_LABELS = 2 * MAY_CHANGE
TRIED = 256  # windows at most

Edges = Sequence[float]  # from which outputs on labels hold

_Model = TypeVar("_Model")


def at_most(windows: Arrays, most: int) -> list[NDArray[np.float32]]:
    """Take every so many-th window of each input, at most `most` of them."""
    return [each[:: -(-len(each) // most)] for each in windows]


def fewest(
    attempt: Callable[[int], _Model],
    agrees: Callable[[_Model], bool],
    most: int,
) -> _Model:
    """Find the first attempt that agrees, by bisection; number `most` is taken on trust.

    Parameters
    ----------
    attempt : makes the model in which so many leading layers are left alone
    agrees : whether a model is good enough
    """
    low, high, best = 0, most, None
    while low < high:
        middle = (low + high) // 2 if low else 0  # none at all is the likeliest: try it first
        candidate = attempt(middle)
        if agrees(candidate):
            high, best = middle, candidate
        else:
            low = middle + 1
    return attempt(most) if best is None else best


def agrees(
    exact: NDArray[np.float32], found: NDArray[np.float32], edges: Edges | None = None
) -> bool:
    """Whether two forms of a model give nearly all windows the same.

    Parameters
    ----------
    exact, found : outputs for windows [shape=(windows, classes)]
    edges : of labels that each hold or not, from which outputs on they do
    """
    if edges is None:
        return changed(logits_of(exact), logits_of(found)) <= MAY_CHANGE
    least = np.array(edges, np.float32)
    return 1 - agreement_of_labels(exact >= least, found >= least) <= MAY_CHANGE_OF_LABELS


def logits_of(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take logarithms of probabilities; whatever else a model gives stays."""
    return np.log(np.maximum(outputs, 1e-30)) if outputs.min() >= 0 else outputs


def changed(exact: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Estimate the share of windows whose class changes.

    To count them is to count very few. How far the best class stands before the others, and how
    far it falls back, have little to do with one another in logits: each window's loss is therefore
    held against every window's lead.

    Parameters
    ----------
    exact, found : logits or log-probabilities [shape=(windows, classes)]
    """
    best = exact.argmax(axis=1)[:, np.newaxis]

    def lead(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        others = outputs.copy()
        np.put_along_axis(others, best, -np.inf, axis=1)
        return np.take_along_axis(outputs, best, axis=1)[:, 0] - others.max(axis=1)

    leads = np.sort(lead(exact))
    losses = lead(exact) - lead(found)
    return float(np.searchsorted(leads, losses).mean() / len(leads))
