"""What tests of the MQTT output share: an event, and how its output behaves."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_genre.outputs import Event
from edge_genre.outputs.mqtt import Mqtt, publisher
from edge_genre.results import WindowResult
from tests.support.playing import playing
from tests.support.waiting import on_time

LABELS = ("jazz", "rock")


def event(label: str = "jazz", end: float = 3.0) -> Event:
    """A window that ended at ``end``, and what plays after it."""
    probabilities = None if label == "silence" else {"jazz": 0.75, "rock": 0.25}
    result = WindowResult(
        start=end - 3.0,
        end=end,
        labels=() if label == "silence" else ("jazz",),
        probabilities=probabilities,
        level_dbfs=-20.0,
        front_end_ms=0.5,
        inference_ms=1.0,
    )
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Event(now, result, playing(label, 0.625, 3.0, probabilities))


def assert_closes(output: Mqtt, seconds: float) -> None:
    before = time.monotonic()
    output.close()
    took = time.monotonic() - before
    on_time(took < seconds, f"closed in {took:.2f} s")


def again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "_FIRST_WAIT", 0.02)
    monkeypatch.setattr(publisher, "_LONGEST_WAIT", 0.02)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
