"""What tests of the MQTT output share: an event, and how its output behaves."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_genre.listening.playing import Held, Playing
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


def many_labels(labels: Sequence[str], held: Sequence[str] = ()) -> Event:
    """A window of labels that hold together, some of which hold; silence where there are none."""
    sure = {label: 0.9 - 0.1 * place for place, label in enumerate(held)}
    probabilities = {label: sure.get(label, n / 2_000) for n, label in enumerate(labels)} or None
    result = replace(event().result, labels=tuple(held), probabilities=probabilities)
    now = Playing(
        held=tuple(Held(label, sure[label], 3.0) for label in held),
        otherwise=None if held else Held(result.label, 0.0, 3.0),
        probabilities=probabilities,
    )
    return replace(event(), result=result, playing=now)


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
