"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import functools
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge_genre.choices import LABEL_SETS, OUTPUTS, PCM_FORMATS, TASKS, VOTES
from edge_genre.errors import AudioError, ModelError, SpecError
from edge_genre.host.files import reading

if TYPE_CHECKING:
    from edge_genre.audio.pcm import PcmStream
    from edge_genre.classifier import Classifier
    from edge_genre.frontend import FrontEndSpec
    from edge_genre.task import Task

_Command = TypeVar("_Command", bound=Callable[..., Any])

MAX_SECONDS = 86_400.0


def _positive(ctx: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value <= MAX_SECONDS:
        raise click.BadParameter(f"{value:g} is not a number of seconds from above 0 to a day.")
    return value


def _finite(ctx: click.Context, parameter: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter(f"{value:g} is not a finite number.")
    return value


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON Lines.")
silence_option = click.option(
    "--silence",
    "silence_dbfs",
    type=float,
    default=-60.0,
    show_default=True,
    callback=_finite,
    metavar="DBFS",
    help="A window below this level is silence and gets no genre.",
)
top_option = click.option(
    "--top",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Number of genres to show; of labels that hold together, besides those that hold.",
)


def seconds_option(name: str, **attributes: Any) -> Callable[[_Command], _Command]:
    """An option that takes a positive number of seconds."""
    return click.option(name, type=float, callback=_positive, metavar="SECONDS", **attributes)


def vote_option(*names: str) -> Callable[[_Command], _Command]:
    """An option that takes one of `edge_genre.choices.VOTES`, the first by default."""
    return click.option(
        *names,
        type=click.Choice(VOTES),
        default=VOTES[0],
        show_default=True,
        help="How windows are combined: by the mean of their probabilities, or by the majority of "
        "their genres (of labels that hold together, all that half of the windows have).",
    )


def several_option(
    name: str, known: tuple[str, ...], **attributes: Any
) -> Callable[[_Command], _Command]:
    """An option that takes some of a few values, with commas between them."""

    def several(
        ctx: click.Context, parameter: click.Parameter, value: str | None
    ) -> tuple[str, ...] | None:
        if value is None:
            return None
        found = tuple(part.strip() for part in value.split(","))
        for part in found:
            if part not in known:
                raise click.BadParameter(f"{part!r} is not one of {', '.join(known)}.")
        return found

    return click.option(name, callback=several, metavar=f"[{','.join(known)}]", **attributes)


def on_command_line(parameter: str) -> bool:
    """Whether a parameter of the running command stands on its command line.

    If not, its value is a default or from the environment.
    """
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE


@dataclass(frozen=True)
class Description:
    """What a model file that does not describe itself is said to be; see `Classifier.load`."""

    front_end: dict[str, FrontEndSpec] | None  # by the names of the inputs
    labels: tuple[str, ...] | None
    output: str | None
    task: Task | None

    def load(self, model: str | None, *, threads: int = 1) -> Classifier:
        """Load a model with it."""
        from edge_genre.classifier import Classifier

        if model == "":
            raise click.UsageError("MODEL is empty.")
        return Classifier.load(
            model,
            front_end=self.front_end,
            labels=self.labels,
            output=self.output,
            task=self.task,
            threads=threads,
        )


def description_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that describe a model file; the command gets a `Description`."""

    @click.option(
        "--frontend",
        "frontends",
        multiple=True,
        metavar="[NAME=]SPEC",
        help="Front end: a preset or a JSON file. Needed only if the model file has no edge-genre "
        "metadata. Of a model with several inputs, once for each, with the input's name.",
    )
    @click.option(
        "--labels",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Labels: a text file, one a line. Needed only if the model file has no edge-genre "
        "metadata.",
    )
    @click.option(
        "--outputs",
        type=click.Choice(OUTPUTS),
        help="What such a model's outputs are.  [default: probabilities]",
    )
    @click.option(
        "--task",
        "task_kind",
        type=click.Choice(TASKS),
        help="What they mean: labels that exclude each other, or each on its own.  "
        "[default: single-label]",
    )
    @functools.wraps(command)
    def wrapper(
        frontends: tuple[str, ...],
        labels: Path | None,
        outputs: str | None,
        task_kind: str | None,
        **arguments: Any,
    ) -> Any:
        description = Description(
            front_end=_by_name(frontends) if frontends else None,
            labels=None if labels is None else tuple(_read_labels(labels)),
            output=outputs,
            task=None if task_kind is None else _task(task_kind),
        )
        return command(description=description, **arguments)

    return wrapper


def _by_name(texts: Sequence[str]) -> dict[str, FrontEndSpec]:
    from edge_genre.model.input import AUDIO

    found = read_front_ends(texts)
    return found if isinstance(found, dict) else {AUDIO: found}


def _task(kind: str) -> Task:
    from edge_genre.task import Task

    return Task(kind=kind.replace("-", "_"))


def describe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options for how to load a model; the command gets ``load(model)``."""

    @description_options
    @click.option(
        "--threads",
        type=click.IntRange(1, 64),
        default=1,
        show_default=True,
        help="Threads for inference.",
    )
    @functools.wraps(command)
    def wrapper(description: Description, threads: int, **arguments: Any) -> Any:
        load = functools.partial(description.load, threads=threads)
        return command(load=load, **arguments)

    return wrapper


model_option = click.option(
    "-m",
    "--model",
    metavar="MODEL",
    help="A TFLite or ONNX file, or a bundled name (see `edge-genre models`).  "
    "[env var: EDGE_GENRE_MODEL; default: songnet-gtzan]",
)


def pcm_options(command: _Command) -> _Command:
    """Options that describe raw PCM on the standard input."""
    options = (
        click.option(
            "--format",
            "sample_format",
            type=click.Choice(PCM_FORMATS),
            default=PCM_FORMATS[0],
            show_default=True,
            help="Sample format of raw PCM on the standard input.",
        ),
        click.option(
            "--channels",
            type=click.IntRange(1, 64),
            default=1,
            show_default=True,
            help="Channels of raw PCM, interleaved.",
        ),
        click.option(
            "--rate",
            type=click.IntRange(4_000, 768_000),
            default=22_050,
            show_default=True,
            metavar="HZ",
            help="Sample rate of raw PCM.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_front_ends(texts: Sequence[str]) -> FrontEndSpec | dict[str, FrontEndSpec]:
    """The front end of a model's only input, or those of its inputs by their names.

    Parameters
    ----------
    texts : as options give them: one SPEC (see `read_spec`), or NAME=SPEC for each input
    """
    named = [text for text in texts if "=" in text and not Path(text).exists()]
    if len(texts) == 1 and not named:
        return read_spec(texts[0])
    found: dict[str, FrontEndSpec] = {}
    for text in texts:
        name, _, spec = text.partition("=")
        if text not in named or not name or name in found:
            raise click.BadParameter(
                f"{text!r} is not NAME=SPEC with the name of another input.",
                param_hint="--frontend",
            )
        found[name] = read_spec(spec)
    return found


def read_spec(text: str) -> FrontEndSpec:
    """A front-end spec from a preset's name or a JSON file."""
    from edge_genre.frontend import FrontEndSpec

    if not text.endswith(".json"):
        return FrontEndSpec.preset(text)
    with reading(text, SpecError):
        content = Path(text).read_bytes()
    try:
        return FrontEndSpec.from_dict(json.loads(content))
    except SpecError as error:
        raise SpecError(f"{text}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{text}: is not JSON ({error})") from None


def _read_labels(path: Path) -> list[str]:
    try:
        with reading(path, ModelError):
            lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ModelError(f"{path}: is not a text file") from None
    return [line.strip() for line in lines if line.strip()]


def read_label_list(text: str) -> list[str]:
    """Labels from a text file, from names with commas between them, or by a known set's name."""
    if text in LABEL_SETS:
        return list(LABEL_SETS[text])
    if "," in text and not Path(text).exists():
        return [name.strip() for name in text.split(",")]
    return _read_labels(Path(text))


def rounded_hop(classifier: Classifier, hop: float) -> float:
    """The hop that is used, in seconds, after saying so where it is not the one asked for."""
    rounded = classifier.round_hop(hop)
    if abs(rounded - hop) > 5e-4:
        frames = round(rounded * classifier.spec.sample_rate / classifier.spec.hop_length)
        plural = "s" if frames > 1 else ""
        click.echo(
            f"hop: {rounded:.3f} s, {frames} whole frame{plural} (asked: {hop:g} s)", err=True
        )
    return rounded


def standard_input(*, rate: int, channels: int, sample_format: str) -> PcmStream:
    """Raw PCM on the standard input, which must not be a terminal."""
    from edge_genre.audio.pcm import PcmStream

    if sys.stdin is None:
        raise AudioError("the standard input is closed")
    if sys.stdin.isatty():
        raise AudioError("expected raw PCM on the standard input, found a terminal")
    return PcmStream(sys.stdin.buffer, rate=rate, channels=channels, sample_format=sample_format)
