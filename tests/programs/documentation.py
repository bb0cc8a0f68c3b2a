"""Write the generated parts of the documentation: help texts, models, examples of results.

Run it as ``python -m tests.programs.documentation`` (``make generated``); a test checks that
nothing would change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from edge_genre import Classifier
from edge_genre.audio.file import AudioFile
from edge_genre.audio.source import Metered
from edge_genre.benchmarks.markdown import table, with_part
from edge_genre.cli import main
from edge_genre.demo import clip
from edge_genre.frontend import PRESETS
from edge_genre.model.bundled import bundled_models
from edge_genre.model.file import read

ROOT = Path(__file__).parents[2]
WIDTH = 88


def every_command() -> dict[str, click.Command]:
    """The commands by name, loaded."""
    context = click.Context(main)
    names = main.list_commands(context)
    found = {name: main.get_command(context, name) for name in names}
    return {name: command for name, command in found.items() if command}


def commands() -> str:
    """The help of every command."""
    parts = []
    for name, command in every_command().items():
        context = click.Context(
            command,
            info_name=f"edge-genre {name}",
            terminal_width=WIDTH,
            max_content_width=WIDTH,
            **main.context_settings,
        )
        parts.append(f"## {name}\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(parts)


def models() -> str:
    """A row a bundled model, from its own card."""
    rows = []
    for path in bundled_models():
        info = read(path).info
        assert info is not None
        assert info.front_end is not None
        right = {
            row["unit"]: f"{row['correct']} of {row['n']} ({row['correct'] / row['n']:.1%})"
            for row in info.accuracy
        }
        rows.append(
            (
                f"`{path.name}`",
                f"{path.stat().st_size / 1000:.0f} kB",
                info.quantization,
                f"{info.front_end.window_seconds:g} s",
                str(len(info.labels)),
                right["window"],
                right["track"],
                info.license,
            )
        )
    head = "file|size|weights|window|genres|windows right|tracks right|licence of the weights"
    return table(head.split("|"), rows)


def presets() -> str:
    """A row a preset of the front end: what it computes, and what a window is."""
    rows = []
    for name, spec in PRESETS.items():
        other = [
            f"`{key}` {json.dumps(value)}"
            for key, value in spec.to_dict().items()
            if value != getattr(type(spec), key) and key not in ("kind", "window_seconds")
        ]
        rows.append(
            (
                f"`{name}`",
                f"`{spec.kind}`",
                f"{spec.window_seconds:g} s",
                " x ".join(map(str, spec.shape)),
                ", ".join(other) or "nothing",
            )
        )
    return table(("preset", "kind", "window", "shape", "other than the defaults"), rows)


def window() -> str:
    """The demo clip's first window, with times that do not depend on the machine."""
    with AudioFile(clip()) as source:
        result = next(Classifier.load().stream(Metered(source, limit=4)))
    return _example(result.to_dict() | {"front_end_ms": 0.5, "inference_ms": 1.0})


def song() -> str:
    """The demo clip."""
    return _example(Classifier.load().classify_file(clip()).to_dict() | {"path": "song.ogg"})


def _example(values: dict[str, Any]) -> str:
    # Another processor may round the last digits otherwise.
    values["probabilities"] = {k: round(v, 2) for k, v in values["probabilities"].items()}
    values["probability"] = round(values["probability"], 2)
    return f"```json\n{json.dumps(values, indent=2)}\n```"


# Where each generated part stands.
PARTS = {
    "README.md": {"models": models},
    "docs/reference/commands.md": {"commands": commands},
    "docs/reference/results.md": {"window": window, "song": song},
    "docs/reference/front-ends.md": {"presets": presets},
}


def generated() -> Iterator[tuple[str, str, str]]:
    """Every generated part: its page, its name, and what it should be."""
    for page, parts in PARTS.items():
        for name, make in parts.items():
            yield page, name, make()


if __name__ == "__main__":
    for page, name, content in generated():
        path = ROOT / page
        path.write_text(with_part(path.read_text(), name, content))
