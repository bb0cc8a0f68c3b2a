"""How far a converted model is from the one it was made from."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edge_genre.task import Task


@dataclass(frozen=True)
class Parity:
    """Agreement of two models over the same windows, where labels exclude each other.

    Parameters
    ----------
    windows : how many were compared.
    max_difference : largest absolute difference of one probability.
    mean_difference : mean absolute difference over all probabilities.
    top1_agreement : share of windows, 0 to 1, to which both give the same first class.
    """

    windows: int
    max_difference: float
    mean_difference: float
    top1_agreement: float

    @property
    def agreement(self) -> float:
        """Share of windows, 0 to 1, to which both give the same."""
        return self.top1_agreement

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain numbers, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Parity":
        """The reverse of ``to_dict``; an unknown or a missing key is a ``TypeError``."""
        return cls(**values)


@dataclass(frozen=True)
class LabelParity:
    """Agreement of two models over the same windows, where each label holds or not.

    Parameters
    ----------
    windows, max_difference, mean_difference : as of `Parity`.
    label_agreement : of the labels that either gives to a window, the share, 0 to 1, that both
        give; 1 where neither gives any. Most labels hold nowhere near a window, and would hide in
        a share of all pairs what becomes of those that do.
    """

    windows: int
    max_difference: float
    mean_difference: float
    label_agreement: float

    @property
    def agreement(self) -> float:
        """Share of labels, 0 to 1, that both give."""
        return self.label_agreement

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain numbers, ready for JSON."""
        return asdict(self)


AnyParity = Parity | LabelParity


def compare(reference: np.ndarray, candidate: np.ndarray) -> Parity:
    """Compare the probabilities that two models give to the same windows.

    Parameters
    ----------
    reference : probabilities of the source model, shape (windows, classes).
    candidate : those of the converted model, same shape and order.

    Raises
    ------
    ValueError
        the shapes differ, are not two-dimensional or empty, or a value is not finite.
    """
    differences = _differences(reference, candidate)
    agreement = reference.argmax(axis=1) == candidate.argmax(axis=1)
    return Parity(*differences, float(agreement.mean()))


def compare_labels(reference: np.ndarray, candidate: np.ndarray, task: Task) -> LabelParity:
    """The same where each label holds from its threshold on; see `compare`."""
    differences = _differences(reference, candidate)
    return LabelParity(
        *differences, agreement_of_labels(task.reached(reference), task.reached(candidate))
    )


def compare_by_task(reference: np.ndarray, candidate: np.ndarray, task: Task) -> AnyParity:
    """The same by what the outputs mean; see `compare`."""
    if task.exclusive:
        return compare(reference, candidate)
    return compare_labels(reference, candidate, task)


def agreement_of_labels(held: np.ndarray, found: np.ndarray) -> float:
    """Share of the pairs of a window and a label that hold in either, in both; 1 of none."""
    either = int((held | found).sum())
    return int((held & found).sum()) / either if either else 1.0


def _differences(reference: np.ndarray, candidate: np.ndarray) -> tuple[int, float, float]:
    """Windows, and the largest and the mean difference of a probability."""
    if reference.shape != candidate.shape or reference.ndim != 2 or reference.size == 0:
        raise ValueError(
            f"got probabilities of shapes {reference.shape} and {candidate.shape}; expected the "
            "same (windows, classes) twice, with at least one window"
        )
    # In double, so that the mean over many windows does not round.
    reference, candidate = reference.astype(np.float64), candidate.astype(np.float64)
    # A NaN would pass every "difference < tolerance" test that is written the other way round.
    if not (np.isfinite(reference).all() and np.isfinite(candidate).all()):
        raise ValueError("got probabilities with NaN or infinity in them; expected finite numbers")
    difference = np.abs(reference - candidate)
    return len(reference), float(difference.max()), float(difference.mean())
