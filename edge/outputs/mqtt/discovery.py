"""The configurations by which Home Assistant discovers the sensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from edge_genre import __version__
from edge_genre.listening.playing import states
from edge_genre.outputs.mqtt.address import Broker, word
from edge_genre.task import Task

_PREFIX = "homeassistant"  # of the topics where it looks for things to discover

# What a window says of all labels; of many labels, those that hold after smoothing, and of a window
# the ten that say most: Home Assistant stores 16 kB of attributes, and there may be 500 labels.
_ATTRIBUTES = (
    "{{ {'probability': value_json.playing.probability, "
    "'window': value_json.label, 'probabilities': value_json.probabilities} | tojson }}"
)
_ATTRIBUTES_OF_MANY = (
    "{% set held = namespace(labels={}) %}{% for each in value_json.playing.labels %}"
    "{% set held.labels = dict(held.labels, **{each.label: each.probability}) %}{% endfor %}"
    "{% set best = (value_json.probabilities or {}) | dictsort(false, 'value', true) %}"
    "{{ {'probability': value_json.playing.probability, 'labels': held.labels, "
    "'window': value_json.label, 'probabilities': dict(best[:10])} | tojson }}"
)


def configurations(
    broker: Broker, *, labels: Sequence[str], task: Task, model: str, every: float
) -> dict[str, dict[str, Any]]:
    """Make the configurations that Home Assistant discovers: one device with three sensors.

    Parameters
    ----------
    broker : whose topic they read
    labels, task : of the model: the first sensor is called what a label is
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
        for name, sensor in _sensors(broker, labels, task).items()
    }


def _sensors(broker: Broker, labels: Sequence[str], task: Task) -> dict[str, dict[str, Any]]:
    """What the sensors do not share, by their names."""
    many = not task.exclusive
    noun = word(task.noun).lower()
    return {
        noun if noun not in ("probability", "level") else f"{noun}-label": {
            "name": task.noun[0].upper() + task.noun[1:],
            "icon": "mdi:music",
            "device_class": "enum",
            "options": list(dict.fromkeys((*labels, *states(task)))),
            "value_template": "{{ value_json.playing.label }}",
            "json_attributes_topic": broker.topic,
            "json_attributes_template": _ATTRIBUTES_OF_MANY if many else _ATTRIBUTES,
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
