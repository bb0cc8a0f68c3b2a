"""What plays, as one retained state on an MQTT broker that Home Assistant finds by itself.

A broker keeps the last retained message of a topic for whoever asks later. So there is one state
to keep right, not a series to deliver: the newest state waits while the broker is away, and what
it replaces is counted. A late message of an old label would be wrong anyway, since subscribers
stamp what they receive with their own clock.

All that can wait (names, connections, TLS, the broker) happens on one thread, which owns the
client; `Mqtt.write` only puts an event down.
"""

from edge_genre.outputs.mqtt.address import Broker
from edge_genre.outputs.mqtt.publisher import Mqtt

__all__ = ["Broker", "Mqtt"]
