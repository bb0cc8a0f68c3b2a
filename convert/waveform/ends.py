"""Which front end feeds which input of a graph, and which of its outputs is the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    taken, given = ([bare_name(name) for name in names] for names in (inputs, outputs))
    wanted = taken if len(taken) == len(front_ends) == 1 else sorted(front_ends)
    left = [number for number, name in enumerate(given) if name not in explanations]
    if sorted(taken) != sorted(wanted) or len(left) != 1 or len(given) != 1 + len(explanations):
        if len(front_ends) > 1 or explanations:
            expected = ", ".join(("one answer", *explanations))
            raise ConversionError(
                f"the {kind} graph has inputs {', '.join(taken)} and outputs {', '.join(given)}, "
                f"expected inputs {', '.join(front_ends)} and outputs {expected}"
            )
        raise ConversionError(
            f"the {kind} graph has {len(taken)} inputs and {len(given)} outputs, "
            "expected one of each"
        )
    only = next(iter(front_ends.values()))
    return Ends(
        tuple(front_ends.get(name, only) for name in taken),
        left[0],
        {name: given.index(name) for name in explanations},
    )
