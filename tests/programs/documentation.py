"""Write the generated parts of README.md: help texts, models, the schema's example.

Run it as ``python -m tests.programs.documentation``; a test checks that nothing would change.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from edge_genre import Classifier
from edge_genre.audio.file import AudioFile
from edge_genre.audio.source import Metered
from edge_genre.benchmarks.markdown import with_part
from edge_genre.cli import main
from edge_genre.demo import clip
from edge_genre.model.bundled import bundled_models
from edge_genre.model.file import read

README = Path(__file__).parents[2] / "README.md"
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
        parts.append(f"### {name}\n```\n{command.get_help(context)}\n```")
    return "\n\n".join(parts)


def models() -> str:
    """A row a bundled model, from its own card."""
    rows = ["| file | size | weights | window | genres | windows right | tracks right |"]
    rows.append("|---|---|---|---|---|---|---|")
    for path in bundled_models():
        info = read(path).info
        assert info is not None
        right = {
            row["unit"]: f"{row['correct']} of {row['n']} ({row['correct'] / row['n']:.1%})"
            for row in info.accuracy
        }
        rows.append(
            f"| `{path.name}` | {path.stat().st_size / 1000:.0f} kB | {info.quantization} | "
            f"{info.front_end.window_seconds:g} s | {len(info.labels)} | "
            f"{right['window']} | {right['track']} |"
        )
    return "\n".join(rows)


def window() -> str:
    """The demo clip's first window, with times that do not depend on the machine."""
    with AudioFile(clip()) as source:
        result = next(Classifier.load().stream(Metered(source, limit=4)))
    values = result.to_dict() | {"front_end_ms": 0.5, "inference_ms": 1.0}
    # Another processor may round the last digits otherwise.
    values["probabilities"] = {k: round(v, 2) for k, v in values["probabilities"].items()}
    values["probability"] = round(values["probability"], 2)
    return f"```json\n{json.dumps(values, indent=2)}\n```"


def generated() -> dict[str, str]:
    """Every generated part by its name."""
    return {"commands": commands(), "models": models(), "window": window()}


def update(text: str) -> str:
    """A text with every part written again."""
    for name, content in generated().items():
        text = with_part(text, name, content)
    return text


if __name__ == "__main__":
    README.write_text(update(README.read_text()))
