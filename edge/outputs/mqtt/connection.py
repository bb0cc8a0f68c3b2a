"""One connection to an MQTT broker, and why there is none."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

from edge_genre.errors import EdgeGenreError, one_line
from edge_genre.host.files import reading
from edge_genre.outputs.mqtt.address import VARIABLE, Broker

_KEEPALIVE_SECONDS = 30  # a broker that is gone without a word is noticed after twice that
_ACCEPT_SECONDS = 10.0  # that a broker has to accept a connection
_GOODBYE_SECONDS = 0.3  # that it has to confirm the last messages


class Connection:
    """One connection to a broker. Nothing of it is left for the next one to trip over.

    Parameters
    ----------
    broker : to connect to
    tls : context to encrypt it with, or None
    wake : socket that becomes readable when `turn` has to return
    closing : set when the program ends
    """

    def __init__(
        self,
        broker: Broker,
        tls: ssl.SSLContext | None,
        wake: socket.socket,
        closing: threading.Event,
    ) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self._broker = broker
        self._wake = wake
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
        self._client.connect(self._broker.host, self._broker.port, _KEEPALIVE_SECONDS)
        deadline = time.monotonic() + _ACCEPT_SECONDS
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
            [connected, self._wake],
            [connected] if self._client.want_write() else [],
            [],
            0 if decrypted else seconds,
        )
        if self._wake in readable:
            self._wake.recv(4096)
        if connected in readable or decrypted:
            self._client.loop_read()
        if connected in writable:
            self._client.loop_write()
        self._client.loop_misc()

    def leave(self) -> None:
        """Disconnect once all is confirmed; if it is not soon, without a word.

        The broker then says the last will.
        """
        deadline = time.monotonic() + _GOODBYE_SECONDS
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
            self._end += f": see {VARIABLE}USERNAME and {VARIABLE}PASSWORD"

    def _ended(self, *arguments: Any) -> None:
        if arguments[3] == "Keep alive timeout":
            self._end = "no answer any more"

    def _confirmed(self, *arguments: Any) -> None:
        self.unanswered.discard(arguments[2])


def tls_context(broker: Broker) -> ssl.SSLContext:
    """Make what encrypts connections, once: reading a system's authorities takes its time."""
    # Not create_default_context, which since Python 3.13 refuses many a home-made authority.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with _reading_pem(f"{VARIABLE}CA: {broker.ca}"):
        if broker.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(broker.ca)
    if broker.certificate is not None:
        with _reading_pem(f"{VARIABLE}CERT and _KEY: {broker.certificate} and {broker.key}"):
            # The password of a key would be asked for on the terminal.
            context.load_cert_chain(broker.certificate, broker.key, password="")
    return context


@contextlib.contextmanager
def _reading_pem(what: str) -> Iterator[None]:
    with reading(what, EdgeGenreError):
        try:
            yield
        except ssl.SSLError as error:
            raise EdgeGenreError(f"{what}: cannot be used ({_tls_reason(error)})") from None


def why_not_connected(error: Exception) -> str:
    """Why there is no connection, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate: {error.verify_message.rstrip('.')}; see {VARIABLE}CA"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {_tls_reason(error)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error)


def _tls_reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
