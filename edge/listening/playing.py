"""What is playing now: one label a song, made of many windows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge_genre.choices import VOTES
from edge_genre.results import SILENCE, WindowResult

UNCERTAIN = "uncertain"


@dataclass(frozen=True, kw_only=True)
class Playing:
    """What is playing.

    Parameters
    ----------
    label : a genre, ``"silence"``, or ``"uncertain"``
    probability : of the genre over the last windows (with a majority vote, its share of them); 0
        for the other two
    probabilities : of all genres, likewise; None for silence
    since : position in the audio where the label began to hold, seconds
    """

    label: str
    probability: float
    probabilities: dict[str, float] | None
    since: float

    def to_dict(self) -> dict[str, object]:
        """Return the documented schema, ready for JSON."""
        return {
            "label": self.label,
            "probability": round(self.probability, 4),
            "since": round(self.since, 3),
        }


class NowPlaying:
    """Smooths windows and holds a label until another one has proven itself.

    The label of a window alone changes a dozen times in a song. The mean over 25 seconds, and a
    label that is given up only after another has led for 5 by a margin, give one label a song: in
    40 streams of 12 validation tracks of 81 s each, one after another, 0.86 changes a track with
    songnet-gtzan, where the labels that each track ends with make 0.80 necessary (windows alone
    change 16.5 times). A new song has its label after a quarter of a minute.

    Parameters
    ----------
    smooth : seconds of windows that decide together; 0 for each alone
    hold : seconds for which another label has to lead before it takes over
    margin : of probability by which it has to lead
    min_confidence : below it, what plays is uncertain
    vote : ``"mean"`` of the probabilities or ``"majority"`` of the labels

    Raises
    ------
    ValueError
        A number is negative, or the vote is unknown.
    """

    def __init__(
        self,
        *,
        smooth: float = 25.0,
        hold: float = 5.0,
        margin: float = 0.05,
        min_confidence: float = 0.0,
        vote: str = "mean",
    ) -> None:
        if min(smooth, hold, margin, min_confidence) < 0:
            raise ValueError("smooth, hold, margin and min_confidence must not be negative")
        if vote not in VOTES:
            raise ValueError(f"vote is {vote!r}, expected one of {', '.join(VOTES)}")
        self._smooth = smooth
        self._hold = hold
        self._margin = margin
        self._min_confidence = min_confidence
        self._majority = vote == "majority"
        # Of the windows that decide: where they end, and their probabilities.
        self._ends: deque[float] = deque()
        self._rows: deque[tuple[float, ...]] = deque()
        self._smoothed: dict[str, float] | None = None
        self._label = ""
        self._challenged: float | None = None  # since when another label leads
        self._shown = ""
        self._since = 0.0

    def update(self, result: WindowResult) -> Playing:
        """Take the next window into account.

        Parameters
        ----------
        result : its window ends later than that of the call before

        Returns
        -------
        What is playing when the window ends
        """
        if result.probabilities is None:
            leader = SILENCE
        else:
            self._smoothed = self._with(result.end, result.probabilities)
            leader = max(self._smoothed, key=self._smoothed.__getitem__)
        if self._takes_over(leader, result.end):
            self._label = leader
            self._challenged = None
        if self._label == SILENCE:  # what comes after it is another song
            self._ends.clear()
            self._rows.clear()
            self._smoothed = None
        return self._playing(result.end)

    def _with(self, end: float, probabilities: dict[str, float]) -> dict[str, float]:
        """Probabilities of the windows that count, a new one among them."""
        if self._majority:
            best = max(probabilities, key=probabilities.__getitem__)
            probabilities = {genre: float(genre == best) for genre in probabilities}
        self._ends.append(end)
        self._rows.append(tuple(probabilities.values()))
        while self._ends[0] <= end - self._smooth and len(self._ends) > 1:
            self._ends.popleft()
            self._rows.popleft()
        # Added up anew each time: a sum that is kept would drift over weeks.
        sums = map(sum, zip(*self._rows, strict=True))
        count = len(self._rows)
        return {genre: each / count for genre, each in zip(probabilities, sums, strict=True)}

    def _takes_over(self, leader: str, now: float) -> bool:
        if leader == self._label:
            self._challenged = None
            return False
        if self._label in ("", SILENCE):
            return True
        if leader != SILENCE and self._smoothed:
            ahead = self._smoothed[leader] - self._smoothed[self._label]
            if ahead < self._margin:
                self._challenged = None
                return False
        if self._challenged is None:
            self._challenged = now
        return now - self._challenged >= self._hold

    def _playing(self, now: float) -> Playing:
        label, probability = self._label, (self._smoothed or {}).get(self._label, 0.0)
        if label != SILENCE and probability < self._min_confidence:
            label, probability = UNCERTAIN, 0.0
        if label != self._shown:
            self._shown, self._since = label, now
        return Playing(
            label=label, probability=probability, probabilities=self._smoothed, since=self._since
        )
