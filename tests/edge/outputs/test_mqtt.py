"""The MQTT output against a real Mosquitto, whose own clients read what was published."""

import contextlib
import gc
import itertools
import json
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest

from edge_genre.errors import EdgeGenreError
from edge_genre.listening.playing import Playing
from edge_genre.outputs import Event
from edge_genre.outputs import mqtt as module
from edge_genre.outputs.mqtt import Broker, Mqtt
from edge_genre.results import WindowResult
from tests.support.mosquitto import PATH, Mosquitto, missing, wait_for
from tests.support.requirements import require_system
from tests.support.waiting import on_time

ROOT = Path(__file__).parents[3]
LABELS = ("jazz", "rock")


def event(label: str = "jazz", end: float = 3.0) -> Event:
    """A window that ended at ``end``, and what plays after it."""
    probabilities = None if label == "silence" else {"jazz": 0.75, "rock": 0.25}
    result = WindowResult(
        start=end - 3.0,
        end=end,
        label="silence" if label == "silence" else "jazz",
        probabilities=probabilities,
        level_dbfs=-20.0,
        front_end_ms=0.5,
        inference_ms=1.0,
    )
    playing = Playing(label=label, probability=0.625, probabilities=probabilities, since=3.0)
    return Event(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), result, playing)


@pytest.fixture(autouse=True)
def _installed() -> None:
    require_system([*missing(), *([] if shutil.which("openssl", path=PATH) else ["openssl"])])


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Make brokers that are gone after the test."""
    made: list[Mosquitto] = []

    def make(*configuration: str) -> Mosquitto:
        made.append(Mosquitto(tmp_path, *(configuration or ("allow_anonymous true",))))
        made[-1].start()
        return made[-1]

    yield make
    for broker in made:
        broker.kill()


@pytest.fixture
def broker(brokers: Callable[..., Mosquitto]) -> Mosquitto:
    return brokers()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def connect(said: list[str]) -> Iterator[Callable[..., Mqtt]]:
    """Make outputs that are closed after the test; what they say is in ``said``."""
    made: list[Mqtt] = []

    def make(url: str, environment: dict[str, str] | None = None, **options: Any) -> Mqtt:
        options = {"labels": LABELS, "model": "songnet-gtzan", "say": said.append} | options
        made.append(Mqtt(Broker.from_url(url, environment or {}), **options))
        return made[-1]

    yield make
    for output in made:
        output.close()


def times_to_write(output: Mqtt, count: int = 200) -> list[float]:
    """Write so many events, each with a label of its own; return what each took."""
    taken = []
    for number in range(count):
        given = event(f"genre {number}", end=float(number))
        before = time.perf_counter()
        output.write(given)
        taken.append(time.perf_counter() - before)
        time.sleep(0.005)
    return taken


def assert_quick(taken: list[float], report: Callable[[str], None], when: str) -> None:
    """With allowance for a busy machine, which lets a thread wait for a processor."""
    median, *_, most = statistics.quantiles(taken, n=100)[49:]
    report(f"write {when}: median {median * 1e6:.0f} us, 99 % {most * 1e6:.0f} us")
    slow = sum(each > 1e-3 for each in taken)
    quick = median < 3e-4 and slow < 0.1 * len(taken) and max(taken) < 0.5
    on_time(quick, f"write {when}: median {median:.1e} s, {slow} of {len(taken)} over 1 ms")


def assert_closes(output: Mqtt, seconds: float) -> None:
    before = time.monotonic()
    output.close()
    took = time.monotonic() - before
    on_time(took < seconds, f"closed in {took:.2f} s")


def test_state_is_there_for_whoever_comes_later(
    broker: Mosquitto, connect: Callable[..., Mqtt], said: list[str]
) -> None:
    output = connect(f"mqtt://127.0.0.1:{broker.port}/home/music")
    assert broker.word("home/music/availability") is None  # there is no state yet
    output.write(event("rock", end=4.0))
    wait_for(lambda: broker.word("home/music/availability"))
    found = broker.retained("home/#")
    assert set(found) == {"home/music", "home/music/availability"}
    assert json.loads(found["home/music"]) == event("rock", end=4.0).to_dict()
    assert found["home/music/availability"] == "online"

    assert_closes(output, 1.0)
    assert broker.word("home/music/availability") == "offline"
    assert said == [f"MQTT: connected to 127.0.0.1:{broker.port}; topic home/music"]
    output.write(event())  # nobody is there any more
    output.close()


def test_home_assistant_discovers_three_sensors(
    broker: Mosquitto, connect: Callable[..., Mqtt]
) -> None:
    """Its documented keys, its topics, and its templates rendered with its template engine."""
    output = connect(f"mqtt://127.0.0.1:{broker.port}/home/music", every=60)
    output.write(event("rock"))
    wait_for(lambda: broker.state("home/music"))
    found = broker.retained("homeassistant/#", 3)
    configurations = {topic.split("/")[3]: json.loads(text) for topic, text in found.items()}
    assert set(configurations) == {"genre", "probability", "level"}

    state = json.dumps(broker.state("home/music"))
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)

    def rendered(name: str, key: str, text: str = state) -> str:
        template = environment.from_string(configurations[name][key])
        return template.render(value=text, value_json=json.loads(text))

    assert rendered("genre", "value_template") == "rock"
    assert rendered("probability", "value_template") == "62.5"
    assert rendered("level", "value_template") == "-20.0"
    assert json.loads(rendered("genre", "json_attributes_template")) == {
        "probability": 0.625,
        "window": "jazz",
        "probabilities": {"jazz": 0.75, "rock": 0.25},
    }
    silence = json.dumps(event("silence").to_dict())
    attributes = json.loads(rendered("genre", "json_attributes_template", silence))
    assert attributes["probabilities"] is None
    assert configurations["genre"]["options"] == ["jazz", "rock", "silence", "uncertain"]

    for topic, configuration in zip(found, configurations.values(), strict=True):
        prefix, component, identity, _, end = topic.split("/")
        assert (prefix, component, end) == ("homeassistant", "sensor", "config")
        assert identity.replace("-", "").isalnum()
        assert configuration["state_topic"] == "home/music"
        assert configuration["availability_topic"] == "home/music/availability"
        assert configuration["expire_after"] == 180
        assert configuration["device"]["identifiers"] == [identity]
        assert configuration["device"]["model"] == "songnet-gtzan"
    assert len({values["unique_id"] for values in configurations.values()}) == 3


def states_seen(broker: Mosquitto, output: Mqtt, write: Callable[[], None]) -> list[dict[str, Any]]:
    """What a subscriber gets of the states while somebody writes, until all is closed."""

    def mark() -> None:
        command = ("mosquitto_pub", "-h", "localhost", "-p", str(broker.port), "-q", "2")
        subprocess.run([*command, "-r", "-t", "mark", "-m", "{}"], check=True)

    mark()
    subscriber = broker.subscriber("music", "-t", "mark")
    assert subscriber.stdout is not None
    lines = iter(subscriber.stdout.readline, "")
    assert next(lines).startswith("mark")  # from now on it gets everything
    write()
    output.close()
    mark()
    found = [line.split("\t", 3) for line in itertools.takewhile(lambda x: x[:4] != "mark", lines)]
    subscriber.kill()
    subscriber.wait()
    return [json.loads(row[3]) for row in found]


def test_a_change_is_published_at_once_and_little_else(
    broker: Mosquitto, connect: Callable[..., Mqtt], said: list[str]
) -> None:
    output = connect(f"mqtt://127.0.0.1:{broker.port}/music")
    wait_for(lambda: said)

    def three_songs() -> None:
        for number in range(300):
            output.write(event(("jazz", "rock", "jazz")[number // 100], end=float(number)))
            time.sleep(0.002)

    found = states_seen(broker, output, three_songs)
    assert [(state["playing"]["label"], state["end"]) for state in found] == [
        ("jazz", 0.0),
        ("rock", 100.0),
        ("jazz", 200.0),
    ]
    assert output.dropped == 0


def test_a_state_comes_now_and_then_without_a_change(
    broker: Mosquitto, connect: Callable[..., Mqtt], said: list[str]
) -> None:
    output = connect(f"mqtt://127.0.0.1:{broker.port}/music", every=0.5)
    wait_for(lambda: said)

    seconds = 0.0

    def one_song() -> None:
        nonlocal seconds
        start = time.monotonic()
        for number in range(200):
            output.write(event(end=float(number)))
            time.sleep(0.01)
        seconds = time.monotonic() - start

    found = states_seen(broker, output, one_song)
    assert len(found) <= seconds / 0.5 + 2
    on_time(len(found) >= 0.6 * seconds / 0.5, f"{len(found)} states in {seconds:.1f} s")


def test_every_state_is_published_or_counted_as_dropped(
    broker: Mosquitto, connect: Callable[..., Mqtt], said: list[str]
) -> None:
    output = connect(f"mqtt://127.0.0.1:{broker.port}/music", every=0)
    wait_for(lambda: said)

    def hurry() -> None:
        for number in range(5000):
            output.write(event(end=float(number)))

    found = states_seen(broker, output, hurry)
    assert len(found) + output.dropped == 5000
    assert [state["end"] for state in found] == sorted(state["end"] for state in found)
    assert found[-1]["end"] == 4999.0


def test_broker_is_killed_and_started_again(
    broker: Mosquitto,
    connect: Callable[..., Mqtt],
    said: list[str],
    report: Callable[[str], None],
) -> None:
    """It keeps nothing on its disk, and all that it had must be there again."""
    output = connect(f"mqtt://127.0.0.1:{broker.port}/music")
    output.write(event("rock"))
    wait_for(broker.state)
    before = broker.retained("#")
    broker.kill()
    wait_for(lambda: len(said) == 2)
    taken = times_to_write(output)
    assert_quick(taken, report, "while the broker is away")
    gc.collect()
    # By `type`, since `isinstance` asks the dead weak proxies of other tests for their class.
    assert sum(type(thing) is Event for thing in gc.get_objects()) <= 1  # the newest alone
    dropped = output.dropped
    assert dropped == len(taken) - 1

    broker.start()
    wait_for(lambda: len(said) >= 3 and "connected to" in said[-1])
    newest = len(taken) - 1
    wait_for(lambda: (broker.state() or {}).get("end") == newest)
    after = broker.retained("#")
    assert after["music/availability"] == "online"
    assert set(after) == set(before)
    address = f"127.0.0.1:{broker.port}"
    assert said[1] == f"MQTT: not connected to {address} (connection lost); trying again"
    assert set(said[2:-1]) <= {
        f"MQTT: not connected to {address} (Connection refused); trying again"
    }
    assert f"; {dropped} states were dropped for newer ones meanwhile; topic music" in said[-1]


def test_broker_that_forgot_is_told_again(
    broker: Mosquitto,
    connect: Callable[..., Mqtt],
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It had confirmed the state, and no other has come since."""
    again_at_once(monkeypatch)
    output = connect(f"mqtt://127.0.0.1:{broker.port}/music")
    output.write(event("rock"))
    wait_for(lambda: broker.word("music/availability"))
    broker.kill()
    broker.start()
    wait_for(broker.state)
    assert broker.state() == event("rock").to_dict()
    wait_for(lambda: broker.word("music/availability") == "online")
    assert output.dropped == 0
    assert "dropped" not in said[-1]


def test_broker_stalls(
    broker: Mosquitto,
    connect: Callable[..., Mqtt],
    said: list[str],
    report: Callable[[str], None],
) -> None:
    """It does not read any more, though the connection stands; later it does again."""
    output = connect(f"mqtt://127.0.0.1:{broker.port}/music")
    output.write(event("rock"))
    wait_for(lambda: broker.word("music/availability"))  # so the state is confirmed
    broker.process.send_signal(signal.SIGSTOP)
    taken = times_to_write(output)
    assert_quick(taken, report, "while the broker stalls")
    broker.process.send_signal(signal.SIGCONT)
    wait_for(lambda: (broker.state() or {}).get("end") == len(taken) - 1)
    assert output.dropped == len(taken) - 2  # one was on its way, and one waited
    assert len(said) == 1


def test_closing_while_the_broker_stalls(
    broker: Mosquitto, connect: Callable[..., Mqtt], said: list[str]
) -> None:
    output = connect(f"mqtt://127.0.0.1:{broker.port}/music")
    output.write(event("rock"))
    wait_for(broker.state)
    broker.process.send_signal(signal.SIGSTOP)
    output.write(event("jazz"))
    assert_closes(output, 1.0)
    broker.process.send_signal(signal.SIGCONT)
    wait_for(lambda: broker.word("music/availability") == "offline")


def test_broker_does_not_answer_any_more(
    broker: Mosquitto,
    connect: Callable[..., Mqtt],
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when a cable is pulled: the connection does not end by itself."""
    monkeypatch.setattr(module, "_KEEPALIVE", 1)
    monkeypatch.setattr(module, "_TURN", 0.1)
    connect(f"mqtt://127.0.0.1:{broker.port}/music")
    wait_for(lambda: said)
    time.sleep(3.0)
    assert len(said) == 1  # it answers
    broker.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: len(said) == 2)
    address = f"127.0.0.1:{broker.port}"
    assert said[1] == f"MQTT: not connected to {address} (no answer any more); trying again"
    broker.process.send_signal(signal.SIGCONT)
    wait_for(lambda: "MQTT: connected" in said[-1])


def test_broker_that_takes_connections_and_says_nothing(
    connect: Callable[..., Mqtt], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again and again, and no connection is left open."""
    monkeypatch.setattr(module, "_ANSWER", 0.05)
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
        monkeypatch.setattr(module, "_ANSWER", 10.0)
        clients.append(silent.accept()[0])
        assert_closes(output, 1.0)
        for client in clients:
            client.close()
    assert said[0] == f"MQTT: not connected to {address} (no answer); trying again"


def test_names_that_are_looked_up_for_ever(
    connect: Callable[..., Mqtt],
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    report: Callable[[str], None],
) -> None:
    asked, over = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> None:
        asked.set()
        over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    output = connect("mqtt://broker.home/music")
    assert asked.wait(10)
    taken = times_to_write(output)
    assert_quick(taken, report, "while a name is looked up")
    assert_closes(output, 1.0)
    assert said == [f"MQTT: closed; {len(taken)} states were not published on broker.home:1883"]
    over.set()


def test_writing_while_connected_is_quick(
    broker: Mosquitto,
    connect: Callable[..., Mqtt],
    said: list[str],
    report: Callable[[str], None],
) -> None:
    output = connect(f"mqtt://127.0.0.1:{broker.port}/music", every=0)
    wait_for(lambda: said)
    assert_quick(times_to_write(output), report, "while connected, each one published")


PUBLISHER = """
import sys, time
from edge_genre.outputs.mqtt import Broker, Mqtt
from tests.edge.outputs.test_mqtt import event
output = Mqtt(Broker.from_url(sys.argv[1]), labels=["jazz"], model="m")
output.write(event("rock"))
time.sleep(60)
"""


def test_last_will_of_a_killed_process(broker: Mosquitto) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, f"mqtt://127.0.0.1:{broker.port}/music"],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: broker.word("music/availability") == "online")
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: broker.word("music/availability") == "offline")
    assert broker.state() == event("rock").to_dict()


class Relay:
    """Stands between a client and a broker; `cut` tells the client alone that it is over."""

    def __init__(self, port: int) -> None:
        self._broker = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                broker = socket.create_connection(("127.0.0.1", self._broker))
                self.pairs.append((client, broker))
                for source, target in ((client, broker), (broker, client)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                target.sendall(data)

    def cut(self) -> None:
        self.pairs[-1][0].shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for end in (self._server, *itertools.chain(*self.pairs)):
            end.close()


def test_last_will_of_a_lost_connection_does_not_hide_the_next(
    broker: Mosquitto, connect: Callable[..., Mqtt], said: list[str]
) -> None:
    """The broker takes the old connection for alive until the new one comes."""
    relay = Relay(broker.port)
    try:
        output = connect(f"mqtt://127.0.0.1:{relay.port}/music")
        output.write(event("rock"))
        wait_for(broker.state)
        follower = broker.subscriber("music/availability", "-W", "15")
        assert follower.stdout is not None
        words = [follower.stdout.readline()]
        relay.cut()
        words += [follower.stdout.readline() for _ in range(2)]
        assert [word.split()[-1:] for word in words] == [["online"], ["offline"], ["online"]]
        follower.kill()
        follower.wait()
        time.sleep(0.5)
        assert broker.word("music/availability") == "online"
        assert len(relay.pairs) == 2
    finally:
        output.close()
        relay.close()


def openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca.pem), what it signed for localhost and for a client, and another one."""
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


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SOONEST", 0.02)
    monkeypatch.setattr(module, "_LATEST", 0.02)


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


def test_a_refused_port_is_said_once_and_leaves_nothing_behind(
    broker: Mosquitto,
    connect: Callable[..., Mqtt],
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hundreds of attempts, with a broker in between: file descriptors and threads are as many."""
    again_at_once(monkeypatch)
    attempts = 0
    refused = module._Connection.open

    def counted(self: Any) -> None:
        nonlocal attempts
        attempts += 1
        refused(self)

    monkeypatch.setattr(module._Connection, "open", counted)
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
    monkeypatch.setattr(module, "_SOONEST", 0.2)
    monkeypatch.setattr(module, "_LATEST", 0.4)
    attempts: list[float] = []

    def refused(self: Any) -> None:
        attempts.append(time.monotonic())
        raise ConnectionRefusedError

    monkeypatch.setattr(module._Connection, "open", refused)
    connect("mqtt://127.0.0.1/music")
    wait_for(lambda: len(attempts) == 5)
    waits = [later - sooner for sooner, later in itertools.pairwise(attempts)]
    for wait, expected in zip(waits, (0.2, 0.4, 0.4, 0.4), strict=True):
        assert expected <= wait
        # If they went on growing, the last were 1.6.
        on_time(wait < expected + 0.35, f"{wait:.2f} s between attempts, {expected} s expected")


def test_nobody_hears_what_is_said(broker: Mosquitto, connect: Callable[..., Mqtt]) -> None:
    """A closed standard error ends nothing."""

    def broken(line: str) -> None:
        raise BrokenPipeError

    output = connect(f"mqtt://127.0.0.1:{broker.port}/music", say=broken)
    output.write(event("rock"))
    wait_for(broker.state)


def test_lines_go_to_the_standard_error(
    broker: Mosquitto, connect: Callable[..., Mqtt], capfd: pytest.CaptureFixture[str]
) -> None:
    output = connect(f"mqtt://127.0.0.1:{broker.port}/music", say=None)
    output.write(event("rock"))
    wait_for(broker.state)
    output.close()
    printed = capfd.readouterr()
    assert printed.err == f"MQTT: connected to 127.0.0.1:{broker.port}; topic music\n"
    assert printed.out == ""


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


def test_paho_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(EdgeGenreError, match=r"pip install 'edge-genre\[mqtt\]'"):
        Mqtt(Broker.from_url("mqtt://localhost", {}), labels=LABELS, model="m")
