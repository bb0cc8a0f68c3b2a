"""How far a converted model is from the one it was made from."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Parity:
    """Agreement of two models over the same windows.

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

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain numbers, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Parity":
        """The reverse of ``to_dict``; an unknown or a missing key is a ``TypeError``."""
        return cls(**values)


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
    agreement = reference.argmax(axis=1) == candidate.argmax(axis=1)
    return Parity(
        windows=len(reference),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        top1_agreement=float(agreement.mean()),
    )
