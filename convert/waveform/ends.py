"""Which front end feeds which input of a graph, and which of its outputs is the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_genre.convert.tensors import matched
from edge_genre.engines.tensor import bare_name
from edge_genre.errors import ConversionError
from edge_genre.frontend import FrontEndSpec


@dataclass(frozen=True)
class Ends:
    """What is known of a graph's inputs and outputs.

    Parameters
    ----------
    front_ends : of the inputs, in the graph's order
    answer : the number of the output that is the answer
    explanations : names and numbers of the others that stay, in the task's order
    """

    front_ends: tuple[FrontEndSpec, ...]
    answer: int
    explanations: Mapping[str, int]


def ends(
    kind: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    front_ends: Mapping[str, FrontEndSpec],
    explanations: Sequence[str],
) -> Ends:
    """Tell a graph's inputs and outputs apart by their names.

    Parameters
    ----------
    kind : of the graph, for people
    inputs, outputs : the graph's own names
    front_ends : by the names of the inputs; that of an only one may be any
    explanations : names of the outputs that are not the answer

    Raises
    ------
    ConversionError
        They are not the graph's.
    """
    given = [bare_name(name) for name in outputs]
    try:
        order = matched([bare_name(name) for name in inputs], list(front_ends))
    except ConversionError as error:
        raise ConversionError(f"the {kind} graph {error}") from None
    left = [number for number, name in enumerate(given) if name not in explanations]
    if len(left) != 1 or len(given) != 1 + len(explanations):
        expected = ", ".join(("one answer", *explanations))
        raise ConversionError(
            f"the {kind} graph gives {', '.join(given)}, but is expected to give {expected}"
        )
    specs = list(front_ends.values())
    return Ends(
        tuple(specs[index] for index in order),
        left[0],
        {name: given.index(name) for name in explanations},
    )
