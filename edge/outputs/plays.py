"""What was playing as plays: stretches of one label, made of the events of single windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge_genre.outputs import Event

# How far two clocks may differ before one of them counts as set or stopped, and how long a hole in
# the audio may be before it ends a play: about as much as a song's label is smoothed over.
_APART_SECONDS = 30.0


@dataclass
class Play:
    """A stretch of one label; positions in the audio in seconds."""

    number: int
    label: str
    since: float  # as `edge_genre.listening.playing.Playing` has it
    begin: float
    started: datetime
    end: float
    ended: datetime
    probabilities: float = 0.0  # their sum
    windows: int = 0

    def reach(self, end: float, ended: datetime) -> None:
        """Let it last until a later position and time."""
        self.end, self.ended = end, ended

    def move(self, by: timedelta) -> None:
        """Say when it was by a clock that has been set meanwhile."""
        self.started += by
        self.ended += by


class PlayMaker:
    """Makes plays of events, one after another.

    The plays of a run join without gaps, so that they add up to what was heard: the first begins
    with its first window, each other one where its label began to hold. A hole in the audio (the
    microphone was away) or in time (the machine slept) ends a play, even if the same genre comes
    after it: nobody knows what was there.

    Parameters
    ----------
    uptime : seconds on a clock that nobody sets and that does not stop while the machine sleeps
    """

    def __init__(self, uptime: Callable[[], float]) -> None:
        self.current: Play | None = None
        self._uptime = uptime
        self._up = 0.0  # at the event before
        self._count = 0

    def take(self, event: Event) -> Play | None:
        """Take one event; return the play that it ends, if any."""
        end, since = event.result.end, event.playing.since
        before, up_before, self._up = self.current, self._up, self._uptime()
        ended = before
        if before is None or self._is_apart(before, event, self._up - up_before):
            self._begin(event, event.result.start)
        elif (event.playing.label, since) != (before.label, before.since):
            before.reach(since, event.time - timedelta(seconds=end - since))
            self._begin(event, since)
        else:
            ended = None
        play = self.current
        assert play is not None
        play.reach(end, event.time)
        play.probabilities += event.playing.probability
        play.windows += 1
        return ended

    def _begin(self, event: Event, position: float) -> None:
        started = event.time - timedelta(seconds=event.result.end - position)
        self._count += 1
        self.current = Play(
            number=self._count,
            label=event.playing.label,
            since=event.playing.since,
            begin=position,
            started=started,
            end=position,
            ended=started,
        )

    @staticmethod
    def _is_apart(play: Play, event: Event, up: float) -> bool:
        """Whether there is a hole before an event; if its clock was set, the play is moved."""
        heard = event.result.end - play.end
        passed = (event.time - play.ended).total_seconds()
        # Audio alone would not do: it stops while the machine sleeps. Uptime alone would not do
        # either: audio from a pipe may come faster than real time.
        if min(abs(passed - heard), abs(passed - up)) > _APART_SECONDS:
            play.move(timedelta(seconds=passed - heard))
            passed = heard
        lost = event.result.start - play.end if event.result.dropped_samples else 0.0
        return heard < 0 or max(passed - heard, lost) > _APART_SECONDS
