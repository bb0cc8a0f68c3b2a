"""What a conversion is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_genre.choices import OUTPUTS, QUANTIZATIONS, SUFFIXES, TARGETS, TASKS
from edge_genre.convert.tensors import TensorSpec, one_input
from edge_genre.errors import ConversionError
from edge_genre.frontend import FrontEndSpec
from edge_genre.model.input import Input, inputs_of

DEFAULT = ("fp32", "dynamic")
TIMEOUT = 900.0

Progress = Callable[[str, str], None]


@dataclass(frozen=True, kw_only=True)
class ConversionOptions:
    """What to make of a trained model, and of what it is.

    Parameters
    ----------
    output : folder for the files, made if missing; they are named after the source and the
        quantization
    to : of ``"tflite"``, ``"onnx"``
    quantize : of ``"fp32"``, ``"fp16"``, ``"dynamic"``, ``"int8"``; fp32 and dynamic if left out,
        and of a TFLite file, which cannot be quantized again, what it is
    labels : the classes in the order of the outputs; a source that describes itself has them
    front_end : a spec or a preset's name, of several inputs one for each by its name; None for a
        source that describes itself, or whose features are not audio's
    outputs : what the source's outputs are; found out where it is left out
    task : what they mean, ``"single-label"`` or ``"multi-label"``; likewise
    noun : what a label is: ``"genre"`` if left out
    background : the label that is no answer
    threshold, thresholds : of labels that each hold or not: the probability from which on they do,
        for all, and for some by their names; 0.5 if left out
    explain : names of further outputs that explain the answer, such as attention over time
    architecture : of a PyTorch checkpoint: a bundled name or ``path/to/file.py:ClassName``
    custom : a Python file with the source's own Keras layers
    input_shape : of one window, where neither source nor front end says, or of several inputs one
        for each by its name
    calibrate : a folder of audio or a file of features, see `load_windows`: 8-bit layers take the
        ranges of their values from a part of it, and all formats are compared on the others.
        Needed for int8
    target : ``"litert"``, ``"tflite-runtime"`` (2.14 runs it) or ``"micro"`` (TFLite Micro does)
    integer_io : int8 files take and give 8-bit numbers
    waveform : put the front end into the graph, so that files take samples; see
        `edge_genre.convert.waveform`. TFLite files have TFLite's metadata, too
    name, license, description : for the model's card; the name is the source's if left out
    force : keep files beyond the limits, marked as such
    timeout : seconds for each step
    progress : called with a format, such as ``"tflite int8"``, and what is being done to it

    Raises
    ------
    ConversionError
        One is unknown, or they exclude each other.
    """

    output: str | Path = "."
    to: Sequence[str] = ("tflite",)
    quantize: Sequence[str] | None = None
    labels: Sequence[str] | None = None
    front_end: FrontEndSpec | str | Mapping[str, FrontEndSpec | str] | None = None
    outputs: str | None = None
    task: str | None = None
    noun: str | None = None
    background: str | None = None
    threshold: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    explain: Sequence[str] = ()
    architecture: str | None = None
    custom: str | Path | None = None
    input_shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None
    calibrate: str | Path | None = None
    target: str = "litert"
    integer_io: bool = False
    waveform: bool = False
    name: str | None = None
    license: str = ""
    description: str = ""
    force: bool = False
    timeout: float = TIMEOUT
    progress: Progress | None = None

    def __post_init__(self) -> None:
        self._require_known()
        _ = self.inputs  # an unknown preset is said at once
        if "int8" in (self.quantize or ()) and self.calibrate is None:
            raise ConversionError(
                "int8 needs music to calibrate with: give a folder of audio or a file of features "
                "(--calibrate)"
            )
        if self.target == "micro":
            self._require_micro()
        if self.waveform and self.integer_io:
            raise ConversionError(
                "a waveform file takes and gives float32: leave --integer-io or --waveform out"
            )

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs of audio."""
        return inputs_of(self.front_end)

    @property
    def shapes(self) -> tuple[TensorSpec, ...]:
        """The shapes that are given; the name of a single one may be any."""
        given = self.input_shape
        if isinstance(given, Mapping):
            return tuple(TensorSpec(name, tuple(shape)) for name, shape in given.items())
        return () if given is None else one_input(given)

    @property
    def kind(self) -> str | None:
        """The kind of task, as `edge_genre.task` calls it."""
        return None if self.task is None else self.task.replace("-", "_")

    @property
    def music(self) -> Path | None:
        """Where ``calibrate`` is."""
        return None if self.calibrate is None else Path(self.calibrate)

    def tell(self, name: str, doing: str) -> None:
        """Report progress, if anyone wants to hear of it."""
        if self.progress is not None:
            self.progress(name, doing)

    def shaping(self) -> dict[str, Any]:
        """The options that shape the files, for their provenance."""
        return {
            "target": self.target,
            "integer_io": self.integer_io,
            "architecture": self.architecture,
        }

    def _require_known(self) -> None:
        for values, known, what in (
            (self.to, SUFFIXES, "format"),
            (self.quantize or (), QUANTIZATIONS, "quantization"),
            ((self.target,), TARGETS, "target"),
            ((self.outputs or OUTPUTS[0],), OUTPUTS, "kind of output"),
            ((self.task or TASKS[0],), TASKS, "task"),
        ):
            for value in values:
                if value not in known:
                    raise ConversionError(
                        f"{what} {value!r} is unknown, expected {', '.join(known)}"
                    )

    def _require_micro(self) -> None:
        refused = sorted({"fp16", "dynamic"} & set(self.quantize or DEFAULT))
        if refused or set(self.to) != {"tflite"}:
            raise ConversionError(
                "TFLite Micro runs TFLite files in fp32 and int8, not "
                f"{' and '.join(refused) or 'ONNX'}"
            )
        if self.waveform:
            raise ConversionError(
                "a front end in the graph is too large for TFLite Micro: leave --waveform out, and "
                "compute the features in C"
            )
