"""What Home Assistant gets, read by its own template engine."""

import json
from collections.abc import Callable

import jinja2

from edge_genre.outputs.mqtt import Mqtt
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_output import event
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
