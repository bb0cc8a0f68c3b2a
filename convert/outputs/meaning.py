"""What a model's outputs are and mean, by its last operator and by their values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.outputs.activations import SIGMOID, SOFTMAX
from edge_genre.errors import ConversionError

SINGLE, MULTI = "single_label", "multi_label"  # kinds of `edge_genre.task`

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Meaning:
    """What rows of outputs are.

    Parameters
    ----------
    output : one of `edge_genre.choices.OUTPUTS`
    kind : of task, one of `edge_genre.task.KINDS`
    note : what a user should know of it, if anything
    """

    output: str
    kind: str
    note: str = ""


def may_be_probabilities(rows: Rows) -> bool:
    """Whether each output for itself could be a probability."""
    return bool((rows >= -1e-6).all() and (rows <= 1 + 1e-6).all())


def meaning(
    rows: Rows,
    activation: str | None = None,
    *,
    output: str | None = None,
    kind: str | None = None,
) -> Meaning:
    """Find out what outputs are, and hold what is said of them against it.

    Parameters
    ----------
    rows : outputs for windows [shape=(windows, labels)]
    activation : the graph's last operator, where it says; one of
        `edge_genre.convert.outputs.activations`
    output, kind : what they are said to be

    Raises
    ------
    ConversionError
        They are something else than is said.
    """
    if output == "logits" and activation == SIGMOID:
        raise ConversionError(
            "--outputs logits, but its last operator is a sigmoid, which gives probabilities: "
            "leave --outputs out"
        )
    found = output or _output(rows)
    excluding = _excluding(rows, activation, found)
    if excluding and kind == MULTI:
        raise ConversionError(
            f"--task multi-label, but {excluding}, so that only one label can hold: leave --task "
            "out"
        )
    if excluding or found != "probabilities" or not may_be_probabilities(rows):
        return Meaning(found, kind or SINGLE)
    why = (
        "its last operator is a sigmoid"
        if activation == SIGMOID
        else "its outputs lie between 0 and 1 and do not add up to 1"
    )
    if kind == SINGLE:
        return Meaning(found, SINGLE, f"{why}: for one label, they are divided by their sum")
    note = f"{why}: each label holds or not, whatever the others do"
    if kind is None:
        note += " (--task single-label if only the most probable one counts)"
    return Meaning(found, MULTI, note)


def _output(rows: Rows) -> str:
    if _adds_up(rows):
        return "probabilities"
    if _are_logarithms(rows):
        return "log_probabilities"
    return "probabilities" if may_be_probabilities(rows) else "logits"


def _excluding(rows: Rows, activation: str | None, output: str) -> str:
    """Why labels exclude each other, in words; nothing if they need not."""
    if activation == SOFTMAX:
        return "its last operator is a softmax"
    if output == "log_probabilities" and _are_logarithms(rows):
        return "its outputs are log-probabilities that add up to 1"
    if output == "probabilities" and activation != SIGMOID and _adds_up(rows):
        return "its outputs add up to 1"
    return ""


def _are_logarithms(rows: Rows) -> bool:
    return bool((rows <= 1e-6).all() and np.allclose(np.exp(rows).sum(axis=1), 1, atol=1e-2))


def _adds_up(rows: Rows) -> bool:
    # Ten probabilities of 8 bits may be off by half a step of 1/256 each.
    return bool((rows >= -1e-6).all() and np.allclose(rows.sum(axis=1), 1, atol=2e-2))
