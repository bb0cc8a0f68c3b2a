"""Where the results of listening go: one protocol, one file for each place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from edge_genre.listening.playing import Playing
from edge_genre.results import WindowResult


@dataclass(frozen=True)
class Event:
    """One window that was heard, and what it makes of what is playing.

    Parameters
    ----------
    time : when the window ended, by the wall clock, with its zone
    result : of the window
    playing : after it
    """

    time: datetime
    result: WindowResult
    playing: Playing

    def to_dict(self) -> dict[str, Any]:
        """Return the schema of the window with ``time`` and ``playing``, ready for JSON."""
        return self.result.to_dict() | {
            "time": self.time.isoformat(timespec="milliseconds"),
            "playing": self.playing.to_dict(),
        }


class Output(Protocol):
    """A place that takes events, one after another.

    Neither method may wait for anything slower than a local disk: audio does not wait.
    """

    def write(self, event: Event) -> None:
        """Take one event."""

    def close(self) -> None:
        """Finish what was begun, within a second."""
