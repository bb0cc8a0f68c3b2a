"""``edge-genre listen``: the microphone, live."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_genre.cli.options import (
    describe_options,
    json_option,
    model_option,
    on_command_line,
    pcm_options,
    rounded_hop,
    seconds_option,
    silence_option,
    standard_input,
    top_option,
    vote_option,
)

if TYPE_CHECKING:
    from edge_genre.audio.source import Source
    from edge_genre.classifier import Classifier
    from edge_genre.outputs import Output
    from edge_genre.outputs.mqtt import Broker

_LATEST_END = 0.95  # seconds after SIGTERM


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
    "--hop",
    default=1.0,
    show_default=True,
    help="Step from one window to the next, rounded to whole spectrogram frames.",
)
@seconds_option("--seconds", help="Stop after this much audio.  [default: never]")
@click.option(
    "--smooth",
    type=click.FloatRange(0),
    default=25.0,
    show_default=True,
    metavar="SECONDS",
    help="Average over this many seconds of windows to decide what is playing; 0 takes each alone. "
    "Of labels that hold together, each is averaged by itself.",
)
@click.option(
    "--hold",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long another genre has to lead before it replaces what is playing; of labels that "
    "hold together, how long one has to be below its threshold by a fifth before it ends.",
)
@vote_option("--vote")
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SHARE",
    help="What is playing is uncertain while its probability is below this, such as 0.4; not of "
    "labels that hold together, which have thresholds.  [default: never]",
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a row for each window.")
@click.option(
    "--history",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.db",
    help="Record what is playing in this file, for `edge-genre history`.",
)
@click.option(
    "--mqtt",
    "mqtt_url",
    metavar="URL",
    help="Publish what is playing to an MQTT broker: mqtt://HOST/TOPIC, or mqtts:// for TLS. "
    "Home Assistant finds it by itself.",
)
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
    smooth: float,
    hold: float,
    vote: str,
    min_confidence: float,
    as_json: bool,
    as_csv: bool,
    history: Path | None,
    mqtt_url: str | None,
    top: int,
    silence_dbfs: float,
    model: str | None,
    load: Callable[[str | None], Classifier],
    **pcm: Any,
) -> None:
    """Classify what the microphone hears, in rolling windows.

    Windows are smoothed, so that a song has one label, or of labels that hold together all that
    reach their thresholds. A microphone that goes away is opened again when it is back; what was
    missed is counted. Where the machine is too slow for the hop, windows are left out, and counted
    too.

    On a terminal it shows a live view, elsewhere it prints a line for each window, with --json of
    the documented schema. Ctrl-C ends it. See `edge-genre service` for how to let it run for weeks.
    """
    from edge_genre.listening.events import events
    from edge_genre.listening.playing import NowPlaying
    from edge_genre.service.notify import ServiceManager

    if path is not None and device is not None and on_command_line("device"):
        raise click.UsageError("--device and --input exclude each other.")
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    broker = None if mqtt_url is None else _broker(mqtt_url)
    classifier = load(model)
    hop = rounded_hop(classifier, hop) if on_command_line("hop") else classifier.round_hop(hop)
    try:
        now_playing = NowPlaying(
            task=classifier.task,
            smooth=smooth,
            hold=hold,
            vote=vote,
            min_confidence=min_confidence,
        )
    except ValueError as error:  # the others are checked as options
        raise click.BadParameter(f"{error}.", param_hint="--min-confidence") from None
    manager = ServiceManager()
    with _until_terminated(), contextlib.ExitStack() as stack:
        name, source = stack.enter_context(_open(device, path, hop, pcm, manager.alive))
        about = (
            f"{name}, {source.rate} Hz; {_model_name(classifier)}, "
            f"windows of {classifier.spec.window_seconds:g} s every {hop:.2f} s"
        )
        click.echo(about, err=True)
        outputs = [_printer(classifier, top, hop, as_json=as_json, as_csv=as_csv)]
        outputs += _recorders(classifier, hop, history, broker)
        for output in outputs:
            stack.callback(output.close)
        stack.callback(manager.stopping)
        if seconds is not None:
            from edge_genre.audio.source import Metered

            source = Metered(source, limit=seconds)
        results = classifier.stream(source, hop=hop, silence_dbfs=silence_dbfs, live=path is None)
        manager.ready(about)
        for event in events(results, now_playing, outputs):
            manager.alive()
            manager.status(f"{event.playing.text}; {about}")


def _model_name(classifier: Classifier) -> str:
    return classifier.info.name or classifier.model.path.name


def _broker(url: str) -> Broker:
    from edge_genre.outputs.mqtt import Broker

    try:
        return Broker.from_url(url)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--mqtt") from None


@contextlib.contextmanager
def _until_terminated() -> Iterator[None]:
    """Let SIGTERM end the program as its own end would: all is closed, and the exit code is 0."""

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough to close everything
        # A sound card that hangs is closed last, and would be waited for without end.
        latest = threading.Timer(_LATEST_END, os._exit, (0,))
        latest.daemon = True
        latest.start()
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _printer(
    classifier: Classifier, top: int, hop: float, *, as_json: bool, as_csv: bool
) -> Output:
    from edge_genre.outputs.text import Csv, JsonLines, Words

    if as_json:
        return JsonLines()
    if as_csv:
        return Csv()
    if sys.stdout.isatty():
        from edge_genre.cli.listen_view import LiveView

        return LiveView(top, classifier.task, hop)
    return Words(top, classifier.task)


def _recorders(
    classifier: Classifier, hop: float, history: Path | None, broker: Broker | None
) -> Iterator[Output]:
    """Outputs beside the printed one."""
    name = _model_name(classifier)
    if history is not None:
        from edge_genre.outputs.history import History

        yield History(history, model=name, task=classifier.task, say=_to_stderr)
    if broker is not None:
        from edge_genre.outputs.mqtt import Mqtt

        every = max(60.0, hop)  # seconds
        labels, task = classifier.labels, classifier.task
        yield Mqtt(broker, labels=labels, task=task, model=name, every=every, say=_to_stderr)


@contextlib.contextmanager
def _open(
    device: str | None,
    path: str | None,
    hop: float,
    pcm: dict[str, Any],
    alive: Callable[[], None],
) -> Iterator[tuple[str, Source]]:
    if path is None:
        from edge_genre.audio.microphone import block_seconds
        from edge_genre.audio.reopening import ReopeningMicrophone

        block = block_seconds(hop)
        with ReopeningMicrophone(device, block=block, say=_to_stderr, alive=alive) as microphone:
            yield microphone.name, microphone
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


def _to_stderr(line: str) -> None:
    click.echo(f"edge-genre: {line}", err=True)
