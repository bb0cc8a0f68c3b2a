"""URLs of brokers, and the environment that goes with them."""

import re
import socket

import pytest

from edge_genre.outputs.mqtt import Broker


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://pi", ("pi", 1883, False, None)),
        ("mqtts://pi/", ("pi", 8883, True, None)),
        ("MQTT://Broker.Home:1884/a/b/", ("broker.home", 1884, False, "a/b")),
        ("mqtt://me@[fe80::1]:1883/K%C3%BCche", ("fe80::1", 1883, False, "Küche")),
        ("mqtt://pi/living room?", ("pi", 1883, False, "living room?")),
    ],
)
def test_url(url: str, expected: tuple[str, int, bool, str | None]) -> None:
    host, port, tls, topic = expected
    broker = Broker.from_url(url, {})
    assert (broker.host, broker.port, broker.tls) == (host, port, tls)
    name = socket.gethostname().partition(".")[0]
    assert broker.topic == (topic or f"edge-genre/{name}")
    assert broker.username == ("me" if "me@" in url else None)
    assert broker.address == (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def test_topics_have_identities_of_their_own() -> None:
    topics = ("a/b", "a-b", "кухня", "ванная", "x")
    assert len({Broker.from_url(f"mqtt://pi/{topic}", {}).identity for topic in topics}) == 5


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "localhost",
            "192.168.1.5:1883",
            "http://pi/music",
            "mqtt:pi",
            "mqtt://",
            "mqtt:///a",
        ),
        *(
            "mqtt://pi:0",
            "mqtt://pi:99999",
            "mqtt://pi:x",
            "mqtt://my pi",
            "mqtt://[::1",
            "mqtt://a..b",
        ),
        *("mqtt://pi#a", "mqtt://me:secret@", "tcp://me:secret@pi"),
    ],
)
def test_no_url(url: str) -> None:
    with pytest.raises(
        ValueError, match=r"is not the URL of an MQTT broker: write mqtt://HOST"
    ) as no:
        Broker.from_url(url, {})
    assert "secret" not in str(no.value)


@pytest.mark.parametrize(
    ("url", "environment", "message"),
    [
        ("mqtt://pi/home/+/music", {}, "'home/+/music' is not a topic"),
        ("mqtt://pi/home/#", {}, "'home/#' is not a topic"),
        ("mqtt://pi/home%23", {}, "'home#' is not a topic"),
        ("mqtt://pi/$SYS/music", {}, "is not a topic"),
        ("mqtt://pi/a%00b", {}, "is not a topic"),
        ("mqtt://pi/a\udcff", {}, "is not a topic"),
        (
            "mqtt://me:secret@pi",
            {},
            "set EDGE_GENRE_MQTT_PASSWORD instead of a password in the URL",
        ),
        ("mqtt://pi", {"PASSWORD": "x"}, "no EDGE_GENRE_MQTT_USERNAME"),
        ("mqtt://pi", {"CA": "ca.pem"}, "write mqtts://"),
        ("mqtts://pi", {"CERT": "a.pem"}, "EDGE_GENRE_MQTT_CERT and EDGE_GENRE_MQTT_KEY"),
    ],
)
def test_what_does_not_go_together(url: str, environment: dict[str, str], message: str) -> None:
    environment = {f"EDGE_GENRE_MQTT_{name}": value for name, value in environment.items()}
    with pytest.raises(ValueError, match=re.escape(message)) as no:
        Broker.from_url(url, environment)
    assert "secret" not in str(no.value)


def test_a_password_is_not_shown() -> None:
    environment = {"EDGE_GENRE_MQTT_USERNAME": "pi", "EDGE_GENRE_MQTT_PASSWORD": "raspberry"}
    broker = Broker.from_url("mqtt://broker", environment)
    assert broker.password == "raspberry"
    assert "raspberry" not in repr(broker)
