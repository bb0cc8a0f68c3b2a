"""Real Mosquittos, and outputs that publish on them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_genre.outputs.mqtt import Broker, Mqtt
from tests.support.mosquitto import Mosquitto, missing
from tests.support.mqtt_output import LABELS
from tests.support.requirements import require_system


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Make brokers that are gone after the test."""
    require_system(missing())
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
