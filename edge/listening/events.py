"""From a source of audio to what is playing, window by window, for weeks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from edge_genre.listening.playing import NowPlaying
from edge_genre.outputs import Event, Output
from edge_genre.results import WindowResult

_USAGE_SECONDS = 10.0


def events(
    results: Iterable[WindowResult],
    now_playing: NowPlaying,
    outputs: Iterable[Output] = (),
    *,
    clock: Callable[[], datetime] = lambda: datetime.now().astimezone(),
) -> Iterator[Event]:
    """Say of each window what is playing after it, and give it to all outputs.

    Parameters
    ----------
    results : of `Classifier.stream`
    now_playing : which smooths them
    outputs : get each event before it is yielded
    clock : the wall's, with its zone
    """
    places = list(outputs)
    for result in results:
        event = Event(clock(), result, now_playing.update(result))
        for output in places:
            output.write(event)
        yield event


class Usage:
    """What listening costs: its share of one core over the last ten seconds.

    Parameters
    ----------
    clock, cpu : monotonic time, and CPU time of this process, seconds
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock, self._cpu = clock, cpu
        self._marks = deque([(clock(), cpu())])

    def share(self) -> float:
        """CPU seconds a second; 0 until there is anything to say."""
        now = self._clock(), self._cpu()
        self._marks.append(now)
        while len(self._marks) > 2 and self._marks[1][0] <= now[0] - _USAGE_SECONDS:
            self._marks.popleft()
        begin = self._marks[0]
        passed = now[0] - begin[0]
        return (now[1] - begin[1]) / passed if passed > 0 else 0.0
