"""Connections to a real Mosquitto (refused, guarded, encrypted) and to what is no broker."""

import contextlib
import gc
import itertools
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_genre.errors import EdgeGenreError
from edge_genre.outputs.mqtt import Broker, Mqtt, connection, publisher
from edge_genre.outputs.mqtt.connection import Connection
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_output import LABELS, again_at_once, assert_closes, event, open_files
from tests.support.requirements import require_system
from tests.support.waiting import on_time, wait_for


def openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca.pem), what it signed for localhost and for a client, and another one."""
    require_system([] if shutil.which("openssl") else ["openssl"])
    folder = tmp_path_factory.mktemp("certificates")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for name in ("ca", "other"):
        made = ("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
        openssl("req", "-x509", *key, "-days", 2, "-subj", f"/CN={name}", *made)
    for name, extension in (
        ("localhost", "subjectAltName=DNS:localhost"),
        ("client", "extendedKeyUsage=clientAuth"),
    ):
        request = folder / f"{name}.csr"
        made = ("-keyout", folder / f"{name}.key", "-out", request)
        openssl("req", *key, "-subj", f"/CN={name}", *made)
        (folder / "extension").write_text(extension)
        signed = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial")
        extensions = ("-extfile", folder / "extension", "-out", folder / f"{name}.pem")
        openssl("x509", "-req", "-in", request, *signed, "-days", 2, *extensions)
    openssl(
        *("ec", "-in", folder / "client.key", "-out", folder / "locked.key"),
        *("-aes256", "-passout", "pass:secret"),
    )
    return folder


def encrypted(folder: Path) -> tuple[str, ...]:
    return (
        f"cafile {folder / 'ca.pem'}",
        f"certfile {folder / 'localhost.pem'}",
        f"keyfile {folder / 'localhost.key'}",
    )


@pytest.fixture
def guarded(
    brokers: Callable[..., Mosquitto], certificates: Path, tmp_path: Path
) -> tuple[Mosquitto, dict[str, str]]:
    """A broker with TLS and a password, and the environment that opens it."""
    passwords = tmp_path / "passwords"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", passwords, "pi", "raspberry"],
        check=True,
        capture_output=True,
    )
    broker = brokers(*encrypted(certificates), f"password_file {passwords}")
    ca = str(certificates / "ca.pem")
    broker.options = ("--cafile", ca, "-u", "pi", "-P", "raspberry")
    return broker, {
        "EDGE_GENRE_MQTT_USERNAME": "pi",
        "EDGE_GENRE_MQTT_PASSWORD": "raspberry",
        "EDGE_GENRE_MQTT_CA": ca,
    }


def test_tls_and_password(
    guarded: tuple[Mosquitto, dict[str, str]], connect: Callable[..., Mqtt]
) -> None:
    broker, environment = guarded
    output = connect(f"mqtts://localhost:{broker.port}/music", environment)
    output.write(event("rock"))
    wait_for(lambda: broker.word("music/availability") == "online")
    assert broker.state() == event("rock").to_dict()
    assert_closes(output, 1.0)
    assert broker.word("music/availability") == "offline"


def test_several_answers_in_one_tls_record(
    certificates: Path, connect: Callable[..., Mqtt], said: list[str]
) -> None:
    """The socket has nothing more to read then, but what it has decrypted."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "localhost.pem", certificates / "localhost.key")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"mqtts://localhost:{server.getsockname()[1]}/music"
        connect(url, {"EDGE_GENRE_MQTT_CA": str(certificates / "ca.pem")})
        with context.wrap_socket(server.accept()[0], server_side=True) as client:
            client.recv(4096)
            client.sendall(b"\xd0\x00\x20\x02\x00\x00")  # an answer to a ping; accepted
            wait_for(lambda: said)
    assert said[0].startswith("MQTT: connected")


def test_client_certificate(
    brokers: Callable[..., Mosquitto],
    certificates: Path,
    connect: Callable[..., Mqtt],
    said: list[str],
) -> None:
    broker = brokers(
        *encrypted(certificates), "require_certificate true", "use_identity_as_username true"
    )
    environment = {"EDGE_GENRE_MQTT_CA": str(certificates / "ca.pem")}
    shown = {
        "EDGE_GENRE_MQTT_CERT": str(certificates / "client.pem"),
        "EDGE_GENRE_MQTT_KEY": str(certificates / "client.key"),
    }
    connect(f"mqtts://localhost:{broker.port}/music", environment | shown)
    wait_for(lambda: said)
    assert "not connected" not in said[0]
    connect(f"mqtts://localhost:{broker.port}/other", environment)
    wait_for(lambda: len(said) == 2)
    assert "not connected" in said[1]


@pytest.mark.parametrize(
    ("url", "changes", "reason"),
    [
        (
            "mqtts://localhost:{port}",
            {"EDGE_GENRE_MQTT_PASSWORD": "wrong"},
            "Not authorized: see EDGE_GENRE_MQTT_USERNAME and EDGE_GENRE_MQTT_PASSWORD",
        ),
        (
            "mqtts://localhost:{port}",
            {"EDGE_GENRE_MQTT_CA": "{folder}/other.pem"},
            r"its certificate: self.signed certificate .*; see EDGE_GENRE_MQTT_CA",
        ),
        (
            "mqtts://127.0.0.1:{port}",
            {},
            r"its certificate: IP address mismatch, .* '127\.0\.0\.1'; see EDGE_GENRE_MQTT_CA",
        ),
        ("mqtt://localhost:{port}", {"EDGE_GENRE_MQTT_CA": ""}, "connection lost"),
    ],
)
def test_what_a_guarded_broker_does_not_like(
    guarded: tuple[Mosquitto, dict[str, str]],
    certificates: Path,
    connect: Callable[..., Mqtt],
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    changes: dict[str, str],
    reason: str,
) -> None:
    """One line, though it is tried again and again."""
    broker, environment = guarded
    again_at_once(monkeypatch)
    changes = {name: text.format(folder=certificates) for name, text in changes.items()}
    url = url.format(port=broker.port)
    connect(f"{url}/music", environment | changes)
    wait_for(lambda: said)
    time.sleep(0.5)
    (line,) = said
    address = re.escape(url.split("//")[1])
    assert re.fullmatch(rf"MQTT: not connected to {address} \({reason}\); trying again", line)


def test_tls_where_the_broker_has_none(
    broker: Mosquitto, connect: Callable[..., Mqtt], said: list[str]
) -> None:
    connect(f"mqtts://127.0.0.1:{broker.port}/music")
    wait_for(lambda: said)
    assert said[0].startswith(f"MQTT: not connected to 127.0.0.1:{broker.port} (")


def test_unknown_host(connect: Callable[..., Mqtt], said: list[str]) -> None:
    output = connect("mqtt://no-such-host.invalid/music")
    wait_for(lambda: said)
    assert said[0].startswith("MQTT: not connected to no-such-host.invalid:1883 (")
    assert "name" in said[0].lower()  # what the system's resolver says differs
    assert_closes(output, 1.0)


def test_a_peer_that_is_no_broker(
    connect: Callable[..., Mqtt], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    again_at_once(monkeypatch)
    answers = itertools.cycle(
        [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xd0\xff\xff\xff\xff", b" \0"]
    )
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    client.sendall(next(answers))
                    client.close()

        threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        output = connect(f"mqtt://{address}/music")
        wait_for(lambda: said)
        time.sleep(1.0)
        assert_closes(output, 1.0)
        server.shutdown(socket.SHUT_RDWR)
    assert all(line.startswith(f"MQTT: not connected to {address} (") for line in said)
    assert len(said) == len(set(said)) <= 6


def test_broker_that_takes_connections_and_says_nothing(
    connect: Callable[..., Mqtt], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again and again, and no connection is left open."""
    monkeypatch.setattr(connection, "_ACCEPT_SECONDS", 0.05)
    again_at_once(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        before = open_files()
        gc.disable()  # it would hide what is left open
        try:
            output = connect(f"mqtt://{address}/music")
            clients = [silent.accept()[0] for _ in range(30)]
            ours = open_files() - len(clients)
            assert ours <= before + 3  # two to wake the thread, and a connection
        finally:
            gc.enable()
        monkeypatch.setattr(connection, "_ACCEPT_SECONDS", 10.0)
        clients.append(silent.accept()[0])
        assert_closes(output, 1.0)
        for client in clients:
            client.close()
    assert said[0] == f"MQTT: not connected to {address} (no answer); trying again"


def test_broker_does_not_answer_any_more(
    broker: Mosquitto,
    connect: Callable[..., Mqtt],
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when a cable is pulled: the connection does not end by itself."""
    monkeypatch.setattr(connection, "_KEEPALIVE_SECONDS", 1)
    monkeypatch.setattr(publisher, "_TURN_SECONDS", 0.1)
    connect(f"mqtt://127.0.0.1:{broker.port}/music")
    wait_for(lambda: said)
    time.sleep(3.0)
    on_time(len(said) == 1, f"it does not answer: {said}")
    broker.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: len(said) == 2)
    address = f"127.0.0.1:{broker.port}"
    assert said[1] == f"MQTT: not connected to {address} (no answer any more); trying again"
    broker.process.send_signal(signal.SIGCONT)
    wait_for(lambda: "MQTT: connected" in said[-1])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"CA": "nowhere.pem"},
            "EDGE_GENRE_MQTT_CA: {folder}/nowhere.pem: cannot be read (No such",
        ),
        ({"CA": "extension"}, "EDGE_GENRE_MQTT_CA: {folder}/extension: cannot be used (no cert"),
        ({"CERT": "client.pem", "KEY": "other.key"}, "cannot be used (key values mismatch)"),
        ({"CERT": "client.pem", "KEY": "locked.key"}, "{folder}/locked.key: cannot be used ("),
    ],
)
def test_certificates_that_cannot_be_read(
    certificates: Path, files: dict[str, str], message: str
) -> None:
    environment = {f"EDGE_GENRE_MQTT_{name}": f"{certificates}/{f}" for name, f in files.items()}
    with pytest.raises(EdgeGenreError) as no:
        Mqtt(Broker.from_url("mqtts://localhost", environment), labels=LABELS, model="m")
    assert message.format(folder=certificates) in str(no.value)


def test_a_refused_port_is_said_once_and_leaves_nothing_behind(
    broker: Mosquitto,
    connect: Callable[..., Mqtt],
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hundreds of attempts, with a broker in between: file descriptors and threads are as many."""
    again_at_once(monkeypatch)
    attempts = 0
    refused = Connection.open

    def counted(self: Any) -> None:
        nonlocal attempts
        attempts += 1
        refused(self)

    monkeypatch.setattr(Connection, "open", counted)
    broker.kill()
    threads = threading.active_count()
    output = connect(f"mqtt://127.0.0.1:{broker.port}/music")
    wait_for(lambda: attempts > 20)
    gc.collect()
    descriptors = open_files()
    wait_for(lambda: attempts > 150)
    assert len(said) == 1
    assert "(Connection refused); trying again" in said[0]
    broker.start()
    wait_for(lambda: len(said) == 2)
    broker.kill()
    wait_for(lambda: len(said) >= 3)
    wait_for(lambda: attempts > 300)
    assert open_files() <= descriptors + 1  # an attempt may be running
    assert threading.active_count() == threads + 1
    output.close()
    wait_for(lambda: threading.active_count() == threads)
    assert len(said) <= 4


def test_waits_between_attempts_grow_and_are_bounded(
    connect: Callable[..., Mqtt], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_FIRST_WAIT", 0.2)
    monkeypatch.setattr(publisher, "_LONGEST_WAIT", 0.4)
    attempts: list[float] = []

    def refused(self: Any) -> None:
        attempts.append(time.monotonic())
        raise ConnectionRefusedError

    monkeypatch.setattr(Connection, "open", refused)
    connect("mqtt://127.0.0.1/music")
    wait_for(lambda: len(attempts) == 5)
    waits = [later - sooner for sooner, later in itertools.pairwise(attempts)]
    for wait, expected in zip(waits, (0.2, 0.4, 0.4, 0.4), strict=True):
        assert expected <= wait
        # If they went on growing, the last were 1.6.
        on_time(wait < expected + 0.35, f"{wait:.2f} s between attempts, {expected} s expected")
