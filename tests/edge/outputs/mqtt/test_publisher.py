"""The state that is published on a real Mosquitto, whose own clients read it."""

import contextlib
import gc
import itertools
import json
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_genre.errors import EdgeGenreError
from edge_genre.outputs import Event
from edge_genre.outputs.mqtt import Broker, Mqtt
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_output import LABELS, again_at_once, assert_closes, event, many_labels
from tests.support.waiting import PATIENCE, on_time, wait_for

ROOT = Path(__file__).parents[4]


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
    on_time(output.dropped == 0, f"{output.dropped} states of 300 dropped in 0.6 s")
    assert [(state["playing"]["label"], state["end"]) for state in found] == [
        ("jazz", 0.0),
        ("rock", 100.0),
        ("jazz", 200.0),
    ]


def test_another_label_that_holds_is_a_change_and_another_order_is_none(
    broker: Mosquitto, connect: Callable[..., Mqtt], said: list[str]
) -> None:
    output = connect(f"mqtt://127.0.0.1:{broker.port}/music")
    wait_for(lambda: said)
    heard = [["jazz"], ["jazz", "rock"], ["rock", "jazz"], ["rock"], [], []]

    def windows() -> None:
        for held in heard:
            output.write(many_labels(LABELS, held))
            time.sleep(0.05)

    found = states_seen(broker, output, windows)
    on_time(output.dropped == 0, f"{output.dropped} states of {len(heard)} dropped")
    labels = [[each["label"] for each in state["playing"]["labels"]] for state in found]
    assert labels == [["jazz"], ["jazz", "rock"], ["rock"], []]
    assert found[-1]["playing"]["label"] == "nothing"


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
    assert len(said) == 1
    # One was on its way, and one waited.
    on_time(output.dropped == len(taken) - 2, f"{output.dropped} of {len(taken)} states dropped")


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
    assert asked.wait(PATIENCE)
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
from tests.support.mqtt_output import event
output = Mqtt(Broker.from_url(sys.argv[1]), labels=["jazz"], model="m")
output.write(event("rock"))
time.sleep(600)
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


def test_paho_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(EdgeGenreError, match=r"pip install 'edge-genre\[mqtt\]'"):
        Mqtt(Broker.from_url("mqtt://localhost", {}), labels=LABELS, model="m")
