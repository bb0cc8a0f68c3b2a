"""Where an MQTT broker is, how it is opened, and which topics are written there."""

from __future__ import annotations

import os
import re
import socket
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

VARIABLE = "EDGE_GENRE_MQTT_"  # what environment variables begin with
_SECRETS = ("USERNAME", "PASSWORD", "CA", "CERT", "KEY")
_PORTS = {"mqtt": 1883, "mqtts": 8883}


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
            raise ValueError(f"{VARIABLE}PASSWORD is set, but no {VARIABLE}USERNAME")
        if (self.key is None) != (self.certificate is None):
            raise ValueError(f"{VARIABLE}CERT and {VARIABLE}KEY go together")
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
                f"set {VARIABLE}PASSWORD instead of a password in the URL, "
                "which everybody on this machine can read"
            )
        topic = unquote(path).strip("/")  # not parts.path, which ends at a # or a ?
        secrets = {name: environment.get(VARIABLE + name) or None for name in _SECRETS}
        return cls(
            host=host,
            port=port or _PORTS[parts.scheme],
            topic=topic or f"edge-genre/{word(socket.gethostname().partition('.')[0])}",
            tls=parts.scheme == "mqtts",
            username=unquote(parts.username or "") or secrets["USERNAME"],
            password=secrets["PASSWORD"],
            ca=secrets["CA"],
            certificate=secrets["CERT"],
            key=secrets["KEY"],
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
        return f"{word(self.topic)}-{zlib.crc32(self.topic.encode()):08x}"


def word(text: str) -> str:
    """A text as one word of letters, digits, ``-`` and ``_``, for topics and identities."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", text).strip("-") or "edge-genre"
