"""What `listen` shows on a terminal: what plays, how sure, how loud, and what it costs."""

from __future__ import annotations

from collections import deque

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from edge_genre.cli.view import bars
from edge_genre.listening.events import Usage
from edge_genre.outputs import Event
from edge_genre.results import ranked
from edge_genre.task import Task

_ENDED = 5
_METER = 30
_FLOOR_DBFS = -60.0


class LiveView:
    """An `edge_genre.outputs.Output` that redraws one place of the terminal.

    Parameters
    ----------
    top, task : what to show, see `edge_genre.results.ranked`
    hop : seconds from window to window
    """

    def __init__(self, top: int, task: Task, hop: float, console: Console | None = None) -> None:
        self._top = top
        self._task = task
        self._hop = hop
        self._usage = Usage()
        self._current: dict[str, float] = {}  # what holds, and since when
        self._ended: deque[tuple[str, float]] = deque(maxlen=_ENDED)  # what held, and how long
        self._since = 0.0  # the last change
        self._dropped = self._skipped = 0
        self._live = Live("listening ...", auto_refresh=False, console=console)
        self._live.start(refresh=True)

    def write(self, event: Event) -> None:
        """Show one event."""
        self._follow(event)
        self._dropped += event.result.dropped_samples
        self._skipped += event.result.skipped_windows
        self._live.update(self._picture(event), refresh=True)

    def _follow(self, event: Event) -> None:
        """Take note of what has begun and ended."""
        now = {each.label: each.since for each in event.playing.stretches}
        begun = [since for label, since in now.items() if label not in self._current]
        ended = [label for label in self._current if label not in now]
        if begun or ended:
            self._since = max(begun, default=event.result.end)
        self._ended += [(label, self._since - self._current[label]) for label in ended]
        self._current = now

    def close(self) -> None:
        """Leave the last picture on the terminal."""
        self._live.stop()

    def _picture(self, event: Event) -> RenderableType:
        result, playing = event.result, event.playing
        headline = Text(playing.text, style="bold green")
        headline.append(f"  for {_clock(result.end - self._since)}", style="dim")
        shown = ranked(playing.probabilities, playing.labels, self._top, task=self._task)
        lines: list[RenderableType] = [headline, bars(*shown, self._live.console.width)]
        lines += [self._level(result.level_dbfs), self._history(result.end)]
        lines.append(Text(self._cost(event), style="dim"))
        return Group(*lines)

    def _level(self, dbfs: float) -> Text:
        filled = round(_METER * min(1.0, max(0.0, 1 - dbfs / _FLOOR_DBFS)))
        style = "red" if dbfs > -3 else "cyan"  # nothing is above 0: it is clipped
        meter = Text("level  ", style="dim")
        meter.append("|" * filled, style=style)
        return meter.append(f"{'.' * (_METER - filled)} {dbfs:.0f} dBFS", style="dim")

    def _history(self, now: float) -> Text:
        """The last labels, each with how long it held."""
        current = [(label, now - since) for label, since in self._current.items()]
        text = Text("played ", style="dim")
        for label, seconds in [*self._ended, *current]:
            text.append(f"{label} ", style="bold")
            text.append(f"{_clock(seconds)}  ", style="dim")
        return text

    def _cost(self, event: Event) -> str:
        result = event.result
        milliseconds = result.front_end_ms + result.inference_ms
        parts = [
            f"{milliseconds:.1f} ms a window",
            f"{milliseconds / 1e3 / self._hop:.2%} of real time",
            f"CPU {self._usage.share():.1%}",
        ]
        if self._dropped:
            parts.append(f"{self._dropped} samples lost")
        if self._skipped:
            parts.append(f"{self._skipped} windows skipped")
        return "cost   " + ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02}"
