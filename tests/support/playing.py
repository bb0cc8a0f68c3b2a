"""What is playing, as tests say it."""

from edge_genre.listening.playing import Held, Playing, states
from edge_genre.task import GENRES


def playing(
    label: str,
    probability: float = 0.0,
    since: float = 0.0,
    probabilities: dict[str, float] | None = None,
) -> Playing:
    """One label, or what is said where none holds."""
    shown = Held(label, probability, since)
    if label in states(GENRES):
        return Playing(held=(), otherwise=shown, probabilities=probabilities)
    return Playing(held=(shown,), probabilities=probabilities)
