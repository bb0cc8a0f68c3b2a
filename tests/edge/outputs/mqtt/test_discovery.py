"""What Home Assistant gets, read by its own template engine."""

import json
from collections.abc import Callable

import jinja2
import jinja2.sandbox
import pytest

from edge_genre.outputs.mqtt import Broker, Mqtt
from edge_genre.outputs.mqtt.discovery import configurations
from edge_genre.task import Task
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_output import event, many_labels
from tests.support.waiting import wait_for


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


def test_many_labels(broker: Mosquitto, connect: Callable[..., Mqtt]) -> None:
    """As many as AudioSet has, with names that are no words of a program."""
    labels = [f'Speech, "kind" {number}' for number in range(521)]
    task = Task(kind="multi_label", noun="sound")
    output = connect(f"mqtt://127.0.0.1:{broker.port}/home/music", labels=labels, task=task)
    given = many_labels(labels, held=labels[7:9])
    output.write(given)
    wait_for(lambda: broker.state("home/music") == json.loads(json.dumps(given.to_dict())))
    found = broker.retained("homeassistant/#", 3)
    configuration = {topic.split("/")[3]: json.loads(text) for topic, text in found.items()}
    assert set(configuration) == {"sound", "probability", "level"}
    sound = configuration["sound"]
    assert sound["name"] == "Sound"
    assert sound["unique_id"].endswith("-sound")
    assert sound["options"] == [*labels, "silence", "nothing"]
    assert max(map(len, sound["options"])) <= 255  # Home Assistant's limit of a state

    # What Home Assistant renders with; it does not store more than 16 kB of attributes.
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)

    def rendered(key: str, state: dict[str, object]) -> str:
        return environment.from_string(sound[key]).render(value_json=state)

    state = broker.state("home/music") or {}
    assert rendered("value_template", state) == labels[7]
    text = rendered("json_attributes_template", state)
    assert len(text) < 16_384
    attributes = json.loads(text)
    assert attributes["labels"] == {labels[7]: 0.9, labels[8]: 0.8}
    assert (attributes["probability"], attributes["window"]) == (0.9, labels[7])
    # The two that hold, and of the others the last ones: see `many_labels`.
    assert set(attributes["probabilities"]) == {*labels[7:9], *labels[-8:]}
    for nothing in (many_labels(labels), many_labels([])):
        attributes = json.loads(rendered("json_attributes_template", nothing.to_dict()))
        assert attributes["labels"] == {}
        assert attributes["window"] == nothing.result.label


@pytest.mark.parametrize(
    ("noun", "key", "name"),
    [
        ("genre", "genre", "Genre"),
        ("mood of the room", "mood-of-the-room", "Mood of the room"),
        ("level", "level-label", "Level"),
    ],
)
def test_the_sensor_is_called_what_a_label_is(noun: str, key: str, name: str) -> None:
    made = configurations(
        Broker.from_url("mqtt://pi/music", {}),
        labels=["a", "b"],
        task=Task(noun=noun),
        model="m",
        every=60,
    )
    keys = [topic.split("/")[3] for topic in made]
    assert keys == [key, "probability", "level"]
    first = next(iter(made.values()))
    assert (first["name"], first["options"]) == (name, ["a", "b", "silence", "uncertain"])
