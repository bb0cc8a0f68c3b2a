"""Events as lines on the standard output: JSON, CSV, or words."""

from __future__ import annotations

import csv
import itertools
import json
import sys

import click

from edge_genre.outputs import Event
from edge_genre.results import WindowResult, ranked
from edge_genre.task import Task

COLUMNS = (
    "time",
    "start",
    "end",
    "label",
    "probability",
    "playing",
    "playing_probability",
    "level_dbfs",
    "dropped_samples",
    "skipped_windows",
    "labels",
    "playing_labels",
)


class JsonLines:
    """The documented schema, an object a line."""

    def __init__(self) -> None:
        self._encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

    def write(self, event: Event) -> None:
        """Print one line, at once."""
        sys.stdout.write(self._encoder.encode(event.to_dict()) + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing is left to do."""


class Csv:
    """`COLUMNS`, a line a window after one with their names."""

    def __init__(self) -> None:
        self._writer = csv.writer(sys.stdout, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def write(self, event: Event) -> None:
        """Print one line, at once."""
        values = event.to_dict()
        playing = values["playing"]
        values |= {
            "labels": ";".join(event.result.labels),
            "playing": playing["label"],
            "playing_labels": ";".join(event.playing.labels),
            "playing_probability": playing["probability"],
        }
        self._writer.writerow(values[name] for name in COLUMNS)
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing is left to do."""


class Words:
    """What plays, and what the window was taken for, for people.

    Parameters
    ----------
    top, task : what to show, see `edge_genre.results.ranked`
    """

    def __init__(self, top: int, task: Task) -> None:
        self._top = top
        self._task = task

    def write(self, event: Event) -> None:
        """Print one line, at once."""
        playing = event.playing
        shown = ranked(playing.probabilities, playing.labels, self._top, task=self._task)
        labels = "  ".join(f"{label} {value:.0%}" for label, value in itertools.chain(*shown))
        click.echo(f"{playing.text:<12} {status(event.result)}  {labels}".rstrip())

    def close(self) -> None:
        """Nothing is left to do."""


def status(result: WindowResult) -> str:
    """Position, level, cost and losses of a window in few words."""
    milliseconds = result.front_end_ms + result.inference_ms
    text = f"{result.end:7.1f} s  {result.level_dbfs:6.1f} dBFS  {milliseconds:5.1f} ms"
    if result.padded_seconds:
        text += f"  padded by {result.padded_seconds:.1f} s"
    if result.dropped_samples:
        text += f"  {result.dropped_samples} samples lost"
    if result.skipped_windows:
        text += f"  {result.skipped_windows} windows skipped"
    return text
