"""A run so far: the content of ``history.json``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

from edge_genre.host.record import Record
from edge_genre.models.train.scores import RankingStep, Step

# Parts of what a run is, and what is said of a run in which one differs.
_DIFFERENCES = {
    "recipe": "of another recipe",
    "tracks": "on other tracks",
    "initial": "that began otherwise",
}


@dataclass(frozen=True)
class History(Record):
    """A run so far.

    Parameters
    ----------
    recipe : as JSON has it; see `edge_genre.models.train.recipes.Recipe`
    tracks : SHA-256 of the data; see `edge_genre.models.data.dataset.Data.digest`
    initial : SHA-256 of the file with the network that it began with; None for random weights
    seconds : of training
    steps : those that were evaluated
    """

    recipe: dict[str, Any]
    tracks: str
    initial: str | None
    seconds: float = 0.0
    steps: tuple[Step | RankingStep, ...] = field(default=(), metadata={"key": "history"})

    @property
    def best(self) -> Step | RankingStep:
        """The step whose weights are kept."""
        return max(self.steps, key=lambda step: step.figure)

    def difference(self, other: Self) -> str | None:
        """In what this run is another one than ``other``, in words; None if in nothing."""
        for name, words in _DIFFERENCES.items():
            if getattr(self, name) != getattr(other, name):
                return words
        return None

    def until(self, step: int) -> Self:
        """Return the run without what was evaluated after a step."""
        return replace(self, steps=tuple(each for each in self.steps if each.step <= step))
