"""What a model takes: named inputs, each with the front end that computes its features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_genre.errors import ModelError
from edge_genre.frontend import FrontEndSpec

AUDIO = "audio"  # the name of an input that nobody named, being the only one


@dataclass(frozen=True)
class Input:
    """One input of a model.

    Parameters
    ----------
    name : as the graph calls its tensor, without what a framework puts around it (see
        `edge_genre.engines.bare_name`); of a model with one input, any
    front_end : the features that it takes
    """

    name: str
    front_end: FrontEndSpec

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        spec = self.front_end
        return {"name": self.name, "front_end": spec.to_dict(), "front_end_hash": spec.hash}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Input:
        """Build from JSON values.

        Raises
        ------
        ModelError
            It is no object, or the front-end spec does not match its hash.
        SpecError
            A value of it is impossible.
        KeyError
            One is missing.
        """
        if not isinstance(values, dict):
            raise ModelError(f"an input is {values!r}, expected an object")
        described, expected = values["front_end"], values["front_end_hash"]
        spec = None if described is None else FrontEndSpec.from_dict(described)
        found = spec and spec.hash
        if spec is None or found != expected:
            raise ModelError(
                f"front-end spec has hash {found}, expected {expected}: "
                "it was changed after the model was made"
            )
        return cls(values["name"], spec)


def inputs_of(
    front_end: FrontEndSpec | str | Mapping[str, FrontEndSpec | str] | None,
) -> tuple[Input, ...]:
    """The inputs of a model with these front ends; none where there is none.

    Parameters
    ----------
    front_end : a spec or the name of a preset; of several inputs, by their names

    Raises
    ------
    SpecError
        There is no such preset.
    """
    if front_end is None:
        return ()
    named = front_end if isinstance(front_end, Mapping) else {AUDIO: front_end}
    return tuple(
        Input(name, FrontEndSpec.preset(spec) if isinstance(spec, str) else spec)
        for name, spec in named.items()
    )


def require_together(inputs: tuple[Input, ...]) -> None:
    """Refuse inputs that no stream of audio can serve together.

    Raises
    ------
    ModelError
        Names are empty or not distinct, or two inputs hear windows of different lengths or rates.
    """
    names = [each.name for each in inputs]
    good = all(isinstance(name, str) and name for name in names)
    if not good or len(set(names)) != len(names):
        raise ModelError(f"inputs are named {names}, expected different names")
    for other in inputs[1:]:
        both = [inputs[0], other]
        heard = [(each.front_end.window_seconds, each.front_end.sample_rate) for each in both]
        if heard[0] != heard[1]:
            first, second = (f"{seconds:g} s at {rate} Hz" for seconds, rate in heard)
            raise ModelError(
                f"input {both[0].name} hears windows of {first}, but input {both[1].name} of "
                f"{second}: all inputs of audio hear the same window"
            )
