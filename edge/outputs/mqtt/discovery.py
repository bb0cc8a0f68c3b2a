"""The configurations by which Home Assistant discovers the sensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from edge_genre import __version__
from edge_genre.listening.playing import UNCERTAIN
from edge_genre.outputs.mqtt.address import Broker
from edge_genre.results import SILENCE

_PREFIX = "homeassistant"  # of the topics where it looks for things to discover


def configurations(
    broker: Broker, *, labels: Sequence[str], model: str, every: float
) -> dict[str, dict[str, Any]]:
    """Make the configurations that Home Assistant discovers: one device with three sensors.

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
            "sw_version": __version__,
        },
        "origin": {"name": "edge-genre", "sw_version": __version__},
    }
    return {
        f"{_PREFIX}/sensor/{broker.identity}/{name}/config": {
            **shared,
            **sensor,
            "unique_id": f"{broker.identity}-{name}",
        }
        for name, sensor in _sensors(broker, labels).items()
    }


def _sensors(broker: Broker, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the sensors do not share, by their names."""
    genres = list(dict.fromkeys((*labels, SILENCE, UNCERTAIN)))
    return {
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
