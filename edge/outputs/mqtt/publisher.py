"""Keeps one retained state on an MQTT broker right, from a thread of its own."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from edge_genre.errors import EdgeGenreError
from edge_genre.outputs import Event
from edge_genre.outputs.mqtt.address import Broker
from edge_genre.outputs.mqtt.connection import Connection, tls_context, why_not_connected
from edge_genre.outputs.mqtt.discovery import configurations
from edge_genre.task import GENRES, Task

_TURN_SECONDS = 5.0  # after which the client looks at its keep-alive
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0  # seconds until the next attempt: twice as long each time
_CLOSE_SECONDS = 0.4  # that all of closing may take


class Mqtt:
    """Keeps one retained state right, connecting and reconnecting by itself.

    A state is published when what is playing changes (of many labels, which of them hold), and
    otherwise every ``every`` seconds: each state is a row in Home Assistant's database, for each
    sensor, and a window a second would be 86,400 a day. An absent broker stops nothing: it is said
    once for each reason, and again when it is back.

    Parameters
    ----------
    broker : to publish on
    labels, task : of the model
    model : its name
    every : seconds from one state to the next, at most, as long as events come
    say : takes a line for the user, from another thread; by default, to the standard error

    Raises
    ------
    EdgeGenreError
        paho-mqtt is not installed, or a certificate cannot be read.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        labels: Sequence[str],
        task: Task = GENRES,
        model: str,
        every: float = 60.0,
        say: Callable[[str], None] | None = None,
    ) -> None:
        try:
            import paho.mqtt.client  # noqa: F401 here, where it delays no audio
        except ImportError as error:
            raise EdgeGenreError(
                f"MQTT needs paho-mqtt: pip install 'edge-genre[mqtt]' ({error})"
            ) from None
        self._broker = broker
        self._every = every
        self._tell = say or _to_standard_error
        self._tls = tls_context(broker) if broker.tls else None
        self._sensors = configurations(broker, labels=labels, task=task, model=model, every=every)

        self._lock = threading.Lock()  # of the next five
        self._newest: Event | None = None
        self._due = False  # the newest is to be published
        self._labels: set[str] = set()  # of the last state that was due,
        self._time = -math.inf  # and when it was
        self._dropped = 0

        self._reported = 0  # of the dropped
        self._away_since = time.monotonic()
        self._reasons: set[str] = set()  # said since then
        self._closing = threading.Event()
        # A byte from the one to the other ends the thread's wait.
        self._waker, self._wake = socket.socketpair()
        self._waker.setblocking(False)
        self._wake.setblocking(False)
        # Nothing can interrupt the look-up of a name: the program ends without waiting for it.
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """States that were to be published and were replaced by a newer one before they were."""
        return self._dropped

    def write(self, event: Event) -> None:
        """Take one event; never waits."""
        labels, now = {each.label for each in event.playing.stretches}, time.monotonic()
        with self._lock:
            self._newest = event
            if labels == self._labels and now - self._time < self._every:
                return
            self._labels, self._time = labels, now
            self._dropped += self._due
            self._due = True
        self._wake_thread()

    def close(self) -> None:
        """Say ``offline`` and leave; within a second, whatever the broker does."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake_thread()
        self._thread.join(_CLOSE_SECONDS)
        with self._lock:
            missing = self._dropped + self._due - self._reported
        if missing:
            self._say(f"closed; {_states(missing)} not published on {self._broker.address}")

    def _wake_thread(self) -> None:
        with contextlib.suppress(OSError):  # it rings already, or nobody is there any more
            self._waker.send(b"\0")

    def _say(self, line: str) -> None:
        with contextlib.suppress(Exception):  # nobody can read it; MQTT goes on
            self._tell(f"MQTT: {line}")

    # From here on, everything runs on the thread.

    def _run(self) -> None:
        delay = _FIRST_WAIT
        while not self._closing.is_set():
            accepted = math.inf
            try:
                connection = Connection(self._broker, self._tls, self._wake, self._closing)
                with contextlib.closing(connection):
                    connection.open()
                    accepted = time.monotonic()
                    self._serve(connection)
            except Exception as error:  # paho raises all kinds where the peer is no broker
                self._say_not_connected(error)
            now = time.monotonic()
            if accepted < now:
                self._away_since = now
            if now - accepted > 2 * _LONGEST_WAIT:  # else it may be lost as soon again and again
                delay = _FIRST_WAIT
            self._closing.wait(delay)
            delay = min(2 * delay, _LONGEST_WAIT)
        self._waker.close()
        self._wake.close()

    def _serve(self, connection: Connection) -> None:
        """Publish what is due until the program ends; raises when the connection is lost."""
        self._say_connected()
        for topic, values in self._sensors.items():
            connection.publish(topic, _json(values))
        with self._lock:  # a broker that was started again may have forgotten everything
            self._due = self._newest is not None
        online = False
        state = 0
        while not self._closing.is_set():
            # One state at a time is on its way: if the broker stalls, the newest waits here.
            if state not in connection.unanswered and (event := self._take()):
                state = connection.publish(self._broker.topic, _json(event.to_dict()))
                if not online:  # not before: the state on the broker was of another run
                    connection.publish(self._broker.availability, "online")
                    online = True
            try:
                connection.turn(_TURN_SECONDS)
            except Exception:
                if state in connection.unanswered:
                    with self._lock:
                        self._dropped += self._due
                raise
        if event := self._take():
            connection.publish(self._broker.topic, _json(event.to_dict()))
        connection.publish(self._broker.availability, "offline")
        connection.leave()

    def _take(self) -> Event | None:
        with self._lock:
            event = self._newest if self._due else None
            self._due = False
        return event

    def _say_connected(self) -> None:
        line = f"connected to {self._broker.address}"
        if self._reasons:
            line += f" after {time.monotonic() - self._away_since:.0f} s"
        with self._lock:
            missed, self._reported = self._dropped - self._reported, self._dropped
        if missed:
            line += f"; {_states(missed)} dropped for newer ones meanwhile"
        self._reasons.clear()
        self._say(f"{line}; topic {self._broker.topic}")

    def _say_not_connected(self, error: Exception) -> None:
        why = why_not_connected(error)
        if why not in self._reasons and not self._closing.is_set():
            self._say(f"not connected to {self._broker.address} ({why}); trying again")
        self._reasons.add(why)


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def _states(count: int) -> str:
    return f"{count} state{'s were' if count > 1 else ' was'}"


def _to_standard_error(line: str) -> None:
    import click

    click.echo(line, err=True)
