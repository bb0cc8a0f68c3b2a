"""What was playing as plays: stretches of one label, made of the events of single windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge_genre.listening.playing import Held
from edge_genre.outputs import Event

# How far two clocks may differ before one of them counts as set or stopped, and how long a hole in
# the audio may be before it ends a play: about as much as a song's label is smoothed over.
_APART_SECONDS = 30.0


@dataclass
class Play:
    """A stretch of one label; positions in the audio in seconds."""

    number: int
    label: str
    since: float  # as `edge_genre.listening.playing.Held` has it
    begin: float
    started: datetime
    end: float
    ended: datetime
    alone_from: float = math.inf  # from where on no earlier play lasts
    probabilities: float = 0.0  # their sum
    windows: int = 0

    def reach(self, end: float, ended: datetime) -> None:
        """Let it last until a later position and time."""
        self.end, self.ended = end, ended

    def move(self, by: timedelta) -> None:
        """Say when it was by a clock that has been set meanwhile."""
        self.started += by
        self.ended += by

    @property
    def seconds(self) -> float:
        """Its length, of audio."""
        return max(0.0, self.end - self.begin)

    @property
    def heard(self) -> float:
        """Seconds at its end that no earlier play has: of all plays, they add up to what was heard.

        All of a play's where labels exclude each other.
        """
        return min(self.seconds, max(0.0, self.end - self.alone_from))


class PlayMaker:
    """Makes plays of events, one after another.

    Labels that exclude each other make plays that join without gaps, so that they add up to what
    was heard: the first begins with its first window, each other one where its label began to hold.
    Labels that hold together have plays of their own, which overlap; where none holds, what is said
    in its place is a play. A hole in the audio (the microphone was away) or in time (the machine
    slept) ends all plays, even if the same label comes after it: nobody knows what was there.

    Parameters
    ----------
    uptime : seconds on a clock that nobody sets and that does not stop while the machine sleeps
    """

    def __init__(self, uptime: Callable[[], float]) -> None:
        self.current: list[Play] = []  # in the order in which they began
        self._uptime = uptime
        self._up = 0.0  # at the event before
        self._count = 0

    def take(self, event: Event) -> list[Play]:
        """Take one event; return the plays that it ends."""
        end, before = event.result.end, self.current
        up_before, self._up = self._up, self._uptime()
        stretches = event.playing.stretches
        if not before or self._is_apart(before, event, self._up - up_before):
            ended, going = before, []
            begun = [self._begun(each, event, event.result.start) for each in stretches]
            edge = event.result.start
        else:
            known = {(play.label, play.since) for play in before}
            lasting = {(each.label, each.since) for each in stretches}
            going = [play for play in before if (play.label, play.since) in lasting]
            ended = [play for play in before if (play.label, play.since) not in lasting]
            fresh = [each for each in stretches if (each.label, each.since) not in known]
            begun = [self._begun(each, event, each.since) for each in fresh]
            edge = min((each.since for each in fresh), default=end)
            for play in ended:
                play.reach(edge, _at(event, edge))
        self.current = [*going, *begun]
        first = self.current[0]
        first.alone_from = min(first.alone_from, max(first.begin, edge))
        probabilities = {each.label: each.probability for each in stretches}
        for play in self.current:
            play.reach(end, event.time)
            play.probabilities += probabilities[play.label]
            play.windows += 1
        return ended

    def _begun(self, held: Held, event: Event, position: float) -> Play:
        started = _at(event, position)
        self._count += 1
        return Play(
            number=self._count,
            label=held.label,
            since=held.since,
            begin=position,
            started=started,
            end=position,
            ended=started,
        )

    @staticmethod
    def _is_apart(plays: list[Play], event: Event, up: float) -> bool:
        """Whether there is a hole before an event; if its clock was set, the plays are moved."""
        play = plays[0]  # all of them have the same end
        heard = event.result.end - play.end
        passed = (event.time - play.ended).total_seconds()
        # Audio alone would not do: it stops while the machine sleeps. Uptime alone would not do
        # either: audio from a pipe may come faster than real time.
        if min(abs(passed - heard), abs(passed - up)) > _APART_SECONDS:
            for each in plays:
                each.move(timedelta(seconds=passed - heard))
            passed = heard
        lost = event.result.start - play.end if event.result.dropped_samples else 0.0
        return heard < 0 or max(passed - heard, lost) > _APART_SECONDS


def _at(event: Event, position: float) -> datetime:
    """When a position in the audio was heard, by the clock of an event that is near it."""
    return event.time - timedelta(seconds=event.result.end - position)
