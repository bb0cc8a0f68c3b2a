"""``edge-genre listen``: the microphone, live."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from edge_genre.cli.options import (
    describe_options,
    given,
    json_option,
    model_option,
    pcm_options,
    rounded_hop,
    seconds_option,
    silence_option,
    standard_input,
    top_option,
)
from edge_genre.cli.view import bars, print_json, summary

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edge_genre.audio.source import Source
    from edge_genre.classifier import Classifier
    from edge_genre.results import WindowResult


@click.command("listen")
@click.option(
    "-d",
    "--device",
    envvar="EDGE_GENRE_DEVICE",
    show_envvar=True,
    metavar="DEVICE",
    help="Index or part of the name (see `edge-genre devices`).  [default: the system's]",
)
@click.option(
    "-i",
    "--input",
    "path",
    metavar="FILE",
    help="Listen to an audio file as if it were played now, or with - to raw PCM on the "
    "standard input, instead of a microphone.",
)
@seconds_option(
    "--hop", default=1.0, show_default=True, help="From one window to the next; whole frames."
)
@seconds_option("--seconds", help="Stop after so much audio.  [default: never]")
@json_option
@top_option
@silence_option
@model_option
@describe_options
@pcm_options
def command(
    device: str | None,
    path: str | None,
    hop: float,
    seconds: float | None,
    as_json: bool,
    top: int,
    silence_dbfs: float,
    model: str | None,
    load: Callable[[str | None], Classifier],
    **pcm: Any,
) -> None:
    """Classify what the microphone hears, in rolling windows.

    The microphone runs at its own rate and is resampled. On a terminal the result is a live view,
    elsewhere a line a window, with --json the documented schema. Ctrl-C ends it.
    """
    if path is not None and device is not None and given("device"):
        raise click.UsageError("--device and --input exclude each other.")
    classifier = load(model)
    hop = rounded_hop(classifier, hop) if given("hop") else classifier.round_hop(hop)
    with _open(device, path, pcm) as (name, source):
        click.echo(
            f"{name}, {source.rate} Hz; {classifier.info.name or classifier.model.path.name}, "
            f"windows of {classifier.spec.window_seconds:g} s every {hop:.2f} s",
            err=True,
        )
        if seconds is not None:
            from edge_genre.audio.source import Metered

            source = Metered(source, limit=seconds)
        results = classifier.stream(source, hop=hop, silence_dbfs=silence_dbfs)
        if as_json:
            for result in results:
                print_json(result.to_dict())
        elif sys.stdout.isatty():
            _live(results, top)
        else:
            for result in results:
                click.echo(_line(result, top))


@contextlib.contextmanager
def _open(
    device: str | None, path: str | None, pcm: dict[str, Any]
) -> Iterator[tuple[str, Source]]:
    if path is None:
        from edge_genre.audio.microphone import Microphone

        with Microphone(device) as microphone:
            yield microphone.device.name, microphone
            if microphone.overflows:
                click.echo(f"PortAudio lost audio {microphone.overflows} times", err=True)
        return
    from edge_genre.audio.file import AudioFile, RealTime
    from edge_genre.audio.source import naming

    with naming(path):
        if path == "-":
            yield "standard input", standard_input(**pcm)
        else:
            with AudioFile(path) as file:
                yield path, RealTime(file)


def _live(results: Iterable[WindowResult], top: int) -> None:
    from rich.live import Live

    with Live("listening ...", auto_refresh=False) as live:
        for result in results:
            live.update(_view(result, top), refresh=True)


def _view(result: WindowResult, top: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    headline = Text(f"{result.label}  ", style="bold green")
    headline.append(_status(result), style="dim")
    return Group(headline, bars(result.probabilities, top))


def _line(result: WindowResult, top: int) -> str:
    return f"{result.label:<12} {_status(result)}  {summary(result.probabilities, top)}".rstrip()


def _status(result: WindowResult) -> str:
    milliseconds = result.front_end_ms + result.inference_ms
    status = f"{result.end:7.1f} s  {result.level_dbfs:6.1f} dBFS  {milliseconds:5.1f} ms"
    if result.padded_seconds:
        status += f"  padded by {result.padded_seconds:.1f} s"
    if result.dropped_samples:
        status += f"  {result.dropped_samples} samples lost"
    return status
