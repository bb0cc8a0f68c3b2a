"""Which of a model's outputs is the answer, and which explain it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_genre.convert.batches import Outputs, is_row
from edge_genre.convert.tensors import written
from edge_genre.errors import ConversionError


@dataclass(frozen=True)
class Chosen:
    """Outputs that a file keeps.

    Parameters
    ----------
    answer : the one with a number for each label
    explanations : others that were asked for
    notes : what a user should know of the choice
    """

    answer: str
    explanations: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, the answer first."""
        return (self.answer, *self.explanations)


def choose(outputs: Outputs, n_labels: int, explain: Sequence[str] = ()) -> Chosen:
    """Choose the first output that has a number for each label, and those that are asked for.

    Parameters
    ----------
    outputs : what a model gives for some windows
    explain : names of outputs to keep besides the answer

    Raises
    ------
    ConversionError
        No output is an answer, one that is asked for is not there, or is no vector.
    """
    for name in explain:
        if name not in outputs:
            raise ConversionError(
                f"has no output {name!r} to explain with: its outputs are {', '.join(outputs)}"
            )
        if not is_row(outputs[name]):
            raise ConversionError(
                f"output {name!r} is {written(outputs[name].shape[1:])} for each window, expected "
                "a number for each step"
            )
    fitting = [
        name
        for name, output in outputs.items()
        if is_row(output) and output.shape[1] == n_labels and name not in explain
    ]
    if not fitting:
        shapes = [str(output.shape[1:]) for output in outputs.values()]
        if len(outputs) > 1:
            shapes = [f"{name} {shape}" for name, shape in zip(outputs, shapes, strict=True)]
        raise ConversionError(
            f"gives outputs of shape {' and '.join(shapes)}, but there are {n_labels} labels"
        )
    answer, *others = fitting
    left = [name for name in outputs if name not in (answer, *explain)]
    notes = []
    if others:
        notes.append(
            f"outputs {', '.join(fitting)} have {n_labels} numbers each: the first, {answer}, is "
            "taken for the answer"
        )
    if left:
        notes.append(
            f"output {answer} is the answer; left out: {', '.join(left)} (--explain NAME keeps one)"
        )
    return Chosen(answer, tuple(explain), tuple(notes))
