"""What plays, as one retained state on an MQTT broker that Home Assistant finds by itself.

A broker keeps the last retained message of a topic for whoever asks later. So there is one state
to keep right, not a series to deliver: the newest state waits while the broker is away, and what
it replaces is counted. A late message of an old label would be wrong anyway, since subscribers
stamp what they receive with their own clock.

All that can wait (names, connections, TLS, the broker) happens on one thread, which owns the
client; `Mqtt.write` only puts an event down.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import select
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any
from urllib.parse import unquote, urlsplit

from edge_genre.errors import EdgeGenreError
from edge_genre.listening.playing import UNCERTAIN
from edge_genre.outputs import Event
from edge_genre.results import SILENCE

_VARIABLE = "EDGE_GENRE_MQTT_"
_SECRETS = ("USERNAME", "PASSWORD", "CA", "CERT", "KEY")
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_HOME_ASSISTANT = "homeassistant"  # where it looks for things to discover
_KEEPALIVE = 30  # seconds; a broker that is gone without a word is noticed after twice that
_ANSWER = 10.0  # seconds that a broker has to accept a connection
_TURN = 5.0  # seconds after which the client looks at its keep-alive
_SOONEST, _LATEST = 1.0, 30.0  # seconds until it is tried again: twice as long each time
_FAREWELL, _CLOSING = 0.3, 0.4  # seconds to be heard out, and for all of closing


@dataclass(frozen=True, kw_only=True)
class Broker:
    """A broker, what to tell it about oneself, and the topic to write on.

    Parameters
    ----------
    host, port : where it listens
    topic : of the state; ``TOPIC/availability`` is ``online`` or ``offline``
    tls : whether the connection is encrypted, and the broker's certificate checked
    username, password : None where it asks for none
    ca : PEM file of the authority that signed its certificate; None for the system's authorities
    certificate, key : PEM files of a certificate to show to it, and of its key
    """

    host: str
    port: int
    topic: str
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no broker would accept, or what would silently be less than was meant."""
        if not self.topic.isprintable() or self.topic[:1] in ("", "$") or set("+#") & {*self.topic}:
            raise ValueError(f"{self.topic!r} is not a topic: no + or #, no $ at its start")
        if self.password and not self.username:
            raise ValueError(f"{_VARIABLE}PASSWORD is set, but no {_VARIABLE}USERNAME")
        if (self.key is None) != (self.certificate is None):
            raise ValueError(f"{_VARIABLE}CERT and {_VARIABLE}KEY go together")
        if (self.ca or self.certificate) and not self.tls:
            raise ValueError("certificates are set, but mqtt:// uses none: write mqtts://")

    @classmethod
    def from_url(cls, url: str, environment: Mapping[str, str] = os.environ) -> Broker:
        """Read a URL, and from the environment what does not belong on a command line.

        Parameters
        ----------
        url : ``mqtt://[USERNAME@]HOST[:PORT][/TOPIC]``, or ``mqtts://`` for TLS. Without a topic it
            is ``edge-genre/`` and this machine's name.
        environment : ``EDGE_GENRE_MQTT_USERNAME``, ``_PASSWORD``, ``_CA``, ``_CERT`` and ``_KEY``

        Raises
        ------
        ValueError
            It is no such URL, or does not go with the environment; the message is for users.
        """
        unlike = (
            f"{url.rpartition('@')[2]!r} is not the URL of an MQTT broker: "
            "write mqtt://HOST[:PORT][/TOPIC], or mqtts:// for TLS"
        )
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host.encode("idna")  # fails on names that cannot be looked up
        except ValueError:
            raise ValueError(unlike) from None
        authority, _, path = url.partition("://")[2].partition("/")
        if parts.scheme not in _PORTS or not host or port == 0 or re.search(r"[\s?#]", authority):
            raise ValueError(unlike)
        if parts.password is not None:
            raise ValueError(
                f"set {_VARIABLE}PASSWORD instead of a password in the URL, "
                "which everybody on this machine can read"
            )
        topic = unquote(path).strip("/")  # not parts.path, which ends at a # or a ?
        given = {name: environment.get(_VARIABLE + name) or None for name in _SECRETS}
        return cls(
            host=host,
            port=port or _PORTS[parts.scheme],
            topic=topic or f"edge-genre/{_word(socket.gethostname().partition('.')[0])}",
            tls=parts.scheme == "mqtts",
            username=unquote(parts.username or "") or given["USERNAME"],
            password=given["PASSWORD"],
            ca=given["CA"],
            certificate=given["CERT"],
            key=given["KEY"],
        )

    @property
    def address(self) -> str:
        """Host and port, as people write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def availability(self) -> str:
        """The topic that says whether the state is being kept right."""
        return f"{self.topic}/availability"

    @property
    def identity(self) -> str:
        """What this client and its device are called: letters, digits, ``-`` and ``_``.

        It is the same in each run, so that the broker ends what is left of a connection before
        it takes the next. It would otherwise send the last will of a dead one after the state of
        its successor.
        """
        return f"{_word(self.topic)}-{zlib.crc32(self.topic.encode()):08x}"


def _word(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", text).strip("-") or "edge-genre"


def discovery(
    broker: Broker, *, labels: Sequence[str], model: str, every: float
) -> dict[str, dict[str, Any]]:
    """Make what Home Assistant has to be told: one device with three sensors.

    Parameters
    ----------
    broker : whose topic they read
    labels : genres of the model
    model : its name
    every : a state is published at least so often, seconds; without one for twice that and a
        minute, the sensors are unavailable

    Returns
    -------
    Topics and configurations, to be published retained
    """
    release = version("edge-genre")
    shared = {
        "state_topic": broker.topic,
        "availability_topic": broker.availability,
        "expire_after": math.ceil(2 * every) + 60,
        "qos": 1,
        "device": {
            "identifiers": [broker.identity],
            "name": broker.topic.replace("/", " "),
            "manufacturer": "edge-genre",
            "model": model,
            "sw_version": release,
        },
        "origin": {"name": "edge-genre", "sw_version": release},
    }
    genres = list(dict.fromkeys((*labels, SILENCE, UNCERTAIN)))
    sensors: dict[str, dict[str, Any]] = {
        "genre": {
            "name": "Genre",
            "icon": "mdi:music",
            "device_class": "enum",
            "options": genres,
            "value_template": "{{ value_json.playing.label }}",
            "json_attributes_topic": broker.topic,
            "json_attributes_template": "{{ {'probability': value_json.playing.probability, "
            "'window': value_json.label, 'probabilities': value_json.probabilities} | tojson }}",
        },
        "probability": {
            "name": "Probability",
            "icon": "mdi:percent",
            "state_class": "measurement",
            "unit_of_measurement": "%",
            "suggested_display_precision": 0,
            "value_template": "{{ (value_json.playing.probability * 100) | round(1) }}",
        },
        "level": {
            "name": "Level",
            "icon": "mdi:microphone",
            "entity_category": "diagnostic",
            "state_class": "measurement",
            "unit_of_measurement": "dBFS",
            "suggested_display_precision": 0,
            "value_template": "{{ value_json.level_dbfs }}",
        },
    }
    return {
        f"{_HOME_ASSISTANT}/sensor/{broker.identity}/{name}/config": {
            **shared,
            **sensor,
            "unique_id": f"{broker.identity}-{name}",
        }
        for name, sensor in sensors.items()
    }


class Mqtt:
    """Keeps one retained state right, connecting and reconnecting by itself.

    A state is published when what is playing changes, and otherwise every ``every`` seconds: each
    state is a row in Home Assistant's database, for each sensor, and a window a second would be
    86,400 a day. An absent broker stops nothing: it is said once for each reason, and again when
    it is back.

    Parameters
    ----------
    broker : to publish on
    labels : genres of the model
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
        self._tls = _context(broker) if broker.tls else None
        self._devices = discovery(broker, labels=labels, model=model, every=every)

        self._lock = threading.Lock()  # guards what stands before the empty line
        self._newest: Event | None = None
        self._due = False  # the newest is to be published
        self._label: str | None = None  # of the last that was due,
        self._time = -math.inf  # and when that was
        self._dropped = 0

        self._told = 0  # of the dropped
        self._away_since = time.monotonic()
        self._reasons: set[str] = set()  # said since then
        self._closing = threading.Event()
        self._bell, self._ear = socket.socketpair()  # wakes the thread up
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        # Nothing can interrupt the look-up of a name: the program ends without waiting for it.
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """States that were to be published and were replaced by a newer one before they were."""
        return self._dropped

    def write(self, event: Event) -> None:
        """Take one event; never waits."""
        label, now = event.playing.label, time.monotonic()
        with self._lock:
            self._newest = event
            if label == self._label and now - self._time < self._every:
                return
            self._label, self._time = label, now
            self._dropped += self._due
            self._due = True
        self._ring()

    def close(self) -> None:
        """Say ``offline`` and leave; within a second, whatever the broker does."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._ring()
        self._thread.join(_CLOSING)
        with self._lock:
            missing = self._dropped + self._due - self._told
        if missing:
            self._say(f"closed; {_states(missing)} not published on {self._broker.address}")

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # it rings already, or nobody is there any more
            self._bell.send(b"\0")

    def _say(self, line: str) -> None:
        with contextlib.suppress(Exception):  # nobody can read it; MQTT goes on
            self._tell(f"MQTT: {line}")

    # From here on, everything runs on the thread.

    def _run(self) -> None:
        delay = _SOONEST
        while not self._closing.is_set():
            accepted = math.inf
            try:
                connection = _Connection(self._broker, self._tls, self._ear, self._closing)
                with contextlib.closing(connection):
                    connection.open()
                    accepted = time.monotonic()
                    self._serve(connection)
            except Exception as error:  # what is no broker makes paho raise anything
                self._explain(error)
            now = time.monotonic()
            if accepted < now:
                self._away_since = now
            if now - accepted > 2 * _LATEST:  # else it may be lost as soon again and again
                delay = _SOONEST
            self._closing.wait(delay)
            delay = min(2 * delay, _LATEST)
        self._bell.close()
        self._ear.close()

    def _serve(self, connection: _Connection) -> None:
        """Publish what is due until the program ends; raises when the connection is lost."""
        self._welcome()
        for topic, values in self._devices.items():
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
                connection.turn(_TURN)
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

    def _welcome(self) -> None:
        line = f"connected to {self._broker.address}"
        if self._reasons:
            line += f" after {time.monotonic() - self._away_since:.0f} s"
        with self._lock:
            missed, self._told = self._dropped - self._told, self._dropped
        if missed:
            line += f"; {_states(missed)} dropped for newer ones meanwhile"
        self._reasons.clear()
        self._say(f"{line}; topic {self._broker.topic}")

    def _explain(self, error: Exception) -> None:
        reason = _reason(error)
        if reason not in self._reasons and not self._closing.is_set():
            self._say(f"not connected to {self._broker.address} ({reason}); trying again")
        self._reasons.add(reason)


class _Connection:
    """One connection to a broker. Nothing of it is left for the next one to trip over.

    Parameters
    ----------
    broker : to connect to
    tls : context to encrypt it with, or None
    ear : socket that becomes readable when `turn` has to return
    closing : set when the program ends
    """

    def __init__(
        self,
        broker: Broker,
        tls: ssl.SSLContext | None,
        ear: socket.socket,
        closing: threading.Event,
    ) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self._broker = broker
        self._ear = ear
        self._closing = closing
        self.unanswered: set[int] = set()  # messages that the broker has not confirmed
        self._accepted = False
        self._end = "connection lost"
        self._client = Client(CallbackAPIVersion.VERSION2, broker.identity)
        self._client.username_pw_set(broker.username, broker.password)
        self._client.will_set(broker.availability, "offline", qos=1, retain=True)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.on_connect = self._answered
        self._client.on_disconnect = self._ended
        self._client.on_publish = self._confirmed

    def open(self) -> None:
        """Connect, and wait until the broker accepts; raises if it does not."""
        self._client.connect(self._broker.host, self._broker.port, _KEEPALIVE)
        deadline = time.monotonic() + _ANSWER
        while not self._accepted:
            left = deadline - time.monotonic()
            if left <= 0 or self._closing.is_set():
                raise TimeoutError("no answer")
            self.turn(left)

    def publish(self, topic: str, payload: str) -> int:
        """Send a message that is to be retained and confirmed, and return its number."""
        number = self._client.publish(topic, payload, qos=1, retain=True).mid
        self.unanswered.add(number)
        return number

    def turn(self, seconds: float) -> None:
        """Send and receive what there is, after waiting for it; raises if the connection is lost.

        paho's own loops are not used: they keep to themselves why a connection fails, and a
        message in their queue cannot be replaced by a newer one.
        """
        connected = self._client.socket()
        if connected is None:
            raise ConnectionError(self._end)
        decrypted = isinstance(connected, ssl.SSLSocket) and connected.pending() > 0
        readable, writable, _ = select.select(
            [connected, self._ear],
            [connected] if self._client.want_write() else [],
            [],
            0 if decrypted else seconds,
        )
        if self._ear in readable:
            self._ear.recv(4096)
        if connected in readable or decrypted:
            self._client.loop_read()
        if connected in writable:
            self._client.loop_write()
        self._client.loop_misc()

    def leave(self) -> None:
        """Disconnect once all is confirmed; if it is not soon, without a word.

        The broker then says the last will.
        """
        deadline = time.monotonic() + _FAREWELL
        while self.unanswered and (left := deadline - time.monotonic()) > 0:
            self.turn(left)
        if not self.unanswered:
            self._client.disconnect()

    def close(self) -> None:
        """Leave nothing open."""
        connected = self._client.socket()
        if connected is not None:
            connected.close()

    # What paho calls, with arguments of its own before and after those that matter here.

    def _answered(self, *arguments: Any) -> None:
        reason = arguments[3]
        self._accepted = not reason.is_failure
        if reason.is_failure:
            self._end = str(reason)
        if reason in ("Not authorized", "Bad user name or password"):
            self._end += f": see {_VARIABLE}USERNAME and {_VARIABLE}PASSWORD"

    def _ended(self, *arguments: Any) -> None:
        if arguments[3] == "Keep alive timeout":
            self._end = "no answer any more"

    def _confirmed(self, *arguments: Any) -> None:
        self.unanswered.discard(arguments[2])


def _context(broker: Broker) -> ssl.SSLContext:
    """Make what encrypts connections, once: reading a system's authorities takes its time."""
    # Not create_default_context, which since Python 3.13 refuses many a home-made authority.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with _reading(f"{_VARIABLE}CA: {broker.ca}"):
        if broker.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(broker.ca)
    if broker.certificate is not None:
        with _reading(f"{_VARIABLE}CERT and _KEY: {broker.certificate} and {broker.key}"):
            # The password of a key would be asked for on the terminal.
            context.load_cert_chain(broker.certificate, broker.key, password="")
    return context


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise EdgeGenreError(f"{what}: cannot be used ({_tls_reason(error)})") from None
    except OSError as error:
        raise EdgeGenreError(f"{what}: cannot be read ({error.strerror})") from None


def _reason(error: Exception) -> str:
    """Why there is no connection, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate: {error.verify_message.rstrip('.')}; see {_VARIABLE}CA"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {_tls_reason(error)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _tls_reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def _states(count: int) -> str:
    return f"{count} state{'s were' if count > 1 else ' was'}"


def _to_standard_error(line: str) -> None:
    import click

    click.echo(line, err=True)
