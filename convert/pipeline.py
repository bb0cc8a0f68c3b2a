"""From a trained model to small files, each compared with the model on real windows."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.choices import OUTPUTS
from edge_genre.convert.isolation import Children, Outcome
from edge_genre.convert.report import FORCED, KEPT, REFUSED, ConversionReport, FormatResult
from edge_genre.convert.tflite.metadata import check_metadata, with_metadata
from edge_genre.convert.verify.answer import with_self_test
from edge_genre.convert.verify.gate import LIMITS, Verdict, judge
from edge_genre.convert.verify.windows import UNKNOWN, Windows, load_windows
from edge_genre.convert.waveform import require_graph, waveform_spec
from edge_genre.convert.waveform.comparison import judge_front_end
from edge_genre.errors import ConversionError, EdgeGenreError, ModelError
from edge_genre.frontend import FrontEndSpec
from edge_genre.model.file import ModelInfo, read, write

SUFFIXES = ("tflite", "onnx")
QUANTIZATIONS = tuple(LIMITS)
DEFAULT = ("fp32", "dynamic")
TARGETS = ("litert", "tflite-runtime", "micro")
TIMEOUT = 900.0
_ENOUGH = 500  # windows to compare on; fewer are said
_AT_ONCE = 2  # converters; each takes a core and a gigabyte
_INSIDE = "front_end_in_graph"
_SAMPLES = 2**27  # of audio, to compare waveform files on: half a gigabyte

Progress = Callable[[str, str], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to make of a source; see `convert`."""

    source: Path
    output: Path
    to: tuple[str, ...]
    quantize: tuple[str, ...] | None
    labels: tuple[str, ...] | None
    front_end: FrontEndSpec | None
    outputs: str | None
    architecture: str | None
    custom: str | None
    input_shape: tuple[int, ...] | None
    calibrate: Path | None
    target: str
    integer_io: bool
    waveform: bool
    name: str
    license: str
    description: str
    force: bool
    timeout: float

    def __post_init__(self) -> None:
        for values, known, what in (
            (self.to, SUFFIXES, "format"),
            (self.quantize or (), QUANTIZATIONS, "quantization"),
            ((self.target,), TARGETS, "target"),
            ((self.outputs or OUTPUTS[0],), OUTPUTS, "kind of output"),
        ):
            for value in values:
                if value not in known:
                    raise ConversionError(
                        f"{what} {value!r} is unknown, expected {', '.join(known)}"
                    )
        if "int8" in (self.quantize or ()) and self.calibrate is None:
            raise ConversionError(
                "int8 needs music to calibrate with: give a folder of audio or a file of features "
                "(--calibrate)"
            )
        if self.target == "micro":
            refused = sorted({"fp16", "dynamic"} & set(self.quantize or DEFAULT))
            if refused or self.to != ("tflite",):
                raise ConversionError(
                    "TFLite Micro runs TFLite files in fp32 and int8, not "
                    f"{' and '.join(refused) or 'ONNX'}"
                )
        if self.waveform and self.target == "micro":
            raise ConversionError(
                "a front end in the graph is too large for TFLite Micro: leave --waveform out, and "
                "compute the features in C"
            )
        if self.waveform and self.integer_io:
            raise ConversionError(
                "a waveform file takes and gives float32: leave --integer-io or --waveform out"
            )

    def to_dict(self) -> dict[str, Any]:
        """The options that shape the files."""
        return {
            "target": self.target,
            "integer_io": self.integer_io,
            "architecture": self.architecture,
        }


def convert(
    source: str | Path,
    *,
    output: str | Path = ".",
    to: Sequence[str] = ("tflite",),
    quantize: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    front_end: FrontEndSpec | str | None = None,
    outputs: str | None = None,
    architecture: str | None = None,
    custom: str | Path | None = None,
    input_shape: Sequence[int] | None = None,
    calibrate: str | Path | None = None,
    target: str = "litert",
    integer_io: bool = False,
    waveform: bool = False,
    name: str | None = None,
    license: str = "",  # noqa: A002 - the card's own word for it
    description: str = "",
    force: bool = False,
    timeout: float = TIMEOUT,
    progress: Progress | None = None,
) -> ConversionReport:
    """Convert a trained model, and keep what agrees with it.

    Every format is made in a process of its own, run in its real engine on the windows of
    ``calibrate``, and compared with the source, run in its own framework. Files appear whole or not
    at all.

    Parameters
    ----------
    source : a Keras file (``.keras``, ``.h5``), a SavedModel folder, a PyTorch checkpoint, ONNX or
        TFLite
    output : folder for the files, made if missing; they are named after the source and the
        quantization
    to : of ``"tflite"``, ``"onnx"``
    quantize : of ``"fp32"``, ``"fp16"``, ``"dynamic"``, ``"int8"``; fp32 and dynamic if left out,
        and of a TFLite file, which cannot be quantized again, what it is
    labels : the classes in the order of the outputs; a source that describes itself has them
    front_end : a spec or a preset's name; None for a source that describes itself, or whose
        features are not audio's
    outputs : what the source's outputs are; found out where it is left out
    architecture : of a PyTorch checkpoint: a bundled name or ``path/to/file.py:ClassName``
    custom : a Python file with the source's own Keras layers
    input_shape : of one window, where neither source nor front end says
    calibrate : a folder of audio or a file of features, see `load_windows`; needed for int8
    target : ``"litert"``, ``"tflite-runtime"`` (2.14 runs it) or ``"micro"`` (TFLite Micro does)
    integer_io : int8 files take and give 8-bit numbers
    waveform : put the front end into the graph, so that files take samples; see
        `edge_genre.convert.waveform`. TFLite files have TFLite's metadata, too
    name, license, description : for the model's card
    force : keep files beyond the limits, marked as such
    timeout : seconds for each step
    progress : called with a format, such as ``"tflite int8"``, and what is being done to it

    Raises
    ------
    ConversionError
        The source cannot be read or run, or the options do not fit it. What goes wrong in one
        format stands in its result instead.
    """
    path = Path(source)
    request = Request(
        source=path,
        output=Path(output),
        to=tuple(dict.fromkeys(to)),
        quantize=None if quantize is None else tuple(dict.fromkeys(quantize)),
        labels=None if labels is None else tuple(labels),
        front_end=FrontEndSpec.preset(front_end) if isinstance(front_end, str) else front_end,
        outputs=outputs,
        architecture=architecture,
        custom=None if custom is None else str(custom),
        input_shape=None if input_shape is None else tuple(input_shape),
        calibrate=None if calibrate is None else Path(calibrate),
        target=target,
        integer_io=integer_io,
        waveform=waveform,
        name=name or path.stem,
        license=license,
        description=description,
        force=force,
        timeout=timeout,
    )
    if not path.exists():
        raise ConversionError(f"{path}: no such file")
    if request.calibrate is not None and not request.calibrate.exists():
        raise ConversionError(f"{request.calibrate}: no such file or folder")
    try:
        request.output.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix="edge-genre-") as folder,
            Children(Path(folder), timeout) as children,
        ):
            return _Conversion(request, Path(folder), children, progress or _silent).run()
    except OSError as error:
        # NumPy's own message about a full disk has neither a name nor a reason.
        where, reason = error.filename or tempfile.gettempdir(), error.strerror or "disk full?"
        raise ConversionError(f"{where}: cannot be written ({reason})") from None


class _Conversion:
    """One source on its way: what its formats share."""

    def __init__(
        self, request: Request, folder: Path, children: Children, progress: Progress
    ) -> None:
        self._request, self._folder = request, folder
        self._children, self._progress = children, progress
        self._info, self._known_meaning = _described(request)
        if request.waveform:
            require_graph(self._info.front_end)
        self._inside = {
            key: value for key, value in self._info.provenance.items() if key.startswith(_INSIDE)
        }
        self._keeping = threading.Lock()
        self._opening: dict[str, Any] = {
            "path": str(request.source.absolute()),
            "architecture": request.architecture,
            "custom": request.custom,
            "input_shape": request.input_shape,
        }

    def run(self) -> ConversionReport:
        request = self._request
        self._progress("source", "windows")
        calibration, windows = self._windows().parts()
        self._calibration = self._save("calibration", calibration.features)
        self._features = self._save("windows", windows.features)
        self._labels, self._origin = windows.labels, windows.origin
        self._compare(windows)
        if request.waveform:
            self._samples, self._samples_origin = self._load_samples()
        pairs = [
            (suffix, quantization)
            for suffix in request.to
            for quantization in request.quantize or self._natural(suffix)
        ]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                by_onnx = self._facts["kind"] == "pytorch"
                wanted = by_onnx or "onnx" in request.to
                self._exact_onnx = pool.submit(self._export_onnx) if wanted else None
                futures = [pool.submit(self._format, *pair) for pair in pairs]
                results = [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._children.__exit__(None, None, None)
                raise
        known = int((windows.labels != UNKNOWN).sum())
        return ConversionReport(
            source={"path": str(request.source), "sha256": self._sha256, **self._facts},
            windows={
                "compared": len(windows),
                "labelled": known,
                "calibrated": len(calibration)
                if {"dynamic", "int8"} & {q for _, q in pairs}
                else 0,
                "origin": windows.origin,
            },
            results=tuple(self._noted(results)),
        )

    def _natural(self, suffix: str) -> tuple[str, ...]:
        own = self._facts["quantization"] if suffix == "tflite" else None
        if self._inside:
            own = own or "fp32"
        return (own,) if own else DEFAULT

    def _windows(self) -> Windows:
        spec = self._info.front_end
        shape = spec.shape if spec else self._request.input_shape
        if shape is None:
            # A model of other features: only its file knows what it takes.
            facts = self._required(self._children.run("describe", source=self._opening))
            shape = tuple(facts["input_shape"])
            if None in shape:
                raise ConversionError(
                    f"{self._request.source}: takes windows of any length: give --input-shape"
                )
        return load_windows(
            self._request.calibrate, spec=spec, shape=shape, labels=self._info.labels
        )

    def _load_samples(self) -> tuple[str, str]:
        """Windows of audio for waveform files, and where they are from."""
        assert self._info.front_end is not None
        spec, data = waveform_spec(self._info.front_end), self._request.calibrate
        windows = load_windows(
            data if data is not None and data.is_dir() else None,  # a file holds features
            spec=spec,
            shape=spec.shape,
            labels=self._info.labels,
            wanted=min(_ENOUGH, max(1, _SAMPLES // spec.window_samples)),
        )
        return self._save("samples", windows.features), windows.origin

    def _compare(self, windows: Windows) -> None:
        """Run the source on the windows: what all formats are compared with."""
        self._progress("source", "running")
        path = self._folder / "reference.npy"
        outcome = self._children.run(
            "reference", source=self._opening, windows=self._features, outputs=str(path)
        )
        self._facts = self._required(outcome)
        self._opening["input_shape"] = self._facts["input_shape"]
        self._sha256 = _sha256(self._request.source)
        outputs = np.load(path)
        if outputs.ndim != 2 or outputs.shape[1] != len(self._info.labels):
            raise ConversionError(
                f"{self._request.source}: gives outputs of shape {outputs.shape[1:]}, "
                f"but there are {len(self._info.labels)} labels"
            )
        if not np.isfinite(outputs).all():
            raise ConversionError(f"{self._request.source}: gives NaN or infinity on real windows")
        self._meaning = self._known_meaning or meaning(outputs)
        self._reference = probabilities(outputs, self._meaning)

    def _required(self, outcome: Outcome) -> dict[str, Any]:
        if outcome.status == "done":
            return outcome.values
        source = self._request.source
        message = outcome.message
        raise ConversionError(message if str(source) in message else f"{source}: {message}")

    def _format(self, suffix: str, quantization: str) -> FormatResult:
        """Make one format, compare it, and keep it if it holds."""
        name = f"{suffix} {quantization}"
        graph = self._folder / f"{quantization}.{suffix}"
        self._progress(name, "converting")
        made = self._make(suffix, quantization, graph)
        result = FormatResult(suffix, quantization, made.status, seconds=made.seconds)
        if made.status != "done":
            self._progress(name, made.status)
            return replace(result, message=made.message, log=made.log)
        self._progress(name, "comparing")
        outputs = self._folder / f"{graph.name}.npy"
        checked = self._children.run(
            "check",
            graph=str(graph),
            suffix=suffix,
            output=self._output_of(suffix),
            windows=self._features,
            outputs=str(outputs),
        )
        result = replace(
            result,
            status=checked.status,
            size=graph.stat().st_size,
            seconds=made.seconds + checked.seconds,
            facts=checked.values,
        )
        if checked.status != "done":
            self._progress(name, checked.status)
            message = f"converted, but does not run: {checked.message}"
            return replace(result, message=message, log=checked.log)
        verdict = judge(quantization, self._reference, np.load(outputs), self._labels)
        result = replace(result, verdict=verdict, message="; ".join(verdict.reasons))
        if verdict.reasons:
            drift = () if quantization == "fp32" else self._drift(suffix, graph)
            result = replace(result, status=REFUSED, drift=drift)
            if not self._request.force:
                self._progress(name, REFUSED)
                return result
        status = FORCED if verdict.reasons else KEPT
        if self._request.waveform:
            self._progress(name, "front end")
            result, graph = self._with_front_end(result, verdict, graph)
            if result.status == REFUSED and self._request.force:
                status = FORCED
            elif result.status != KEPT:
                self._progress(name, result.status)
                return result
        try:
            path = self._keep(result, verdict, graph.read_bytes())
        except EdgeGenreError as error:  # such as a full disk
            self._progress(name, "failed")
            return replace(result, status="failed", message=str(error))
        self._progress(name, status)
        return replace(result, status=status, path=path)

    def _with_front_end(
        self, result: FormatResult, verdict: Verdict, graph: Path
    ) -> tuple[FormatResult, Path]:
        """Put the front end into a graph, and hold it against the split form."""
        assert self._info.front_end is not None
        joined = graph.with_name(f"waveform-{graph.name}")
        outputs = self._folder / f"{joined.name}.npz"
        done = self._children.run(
            "waveform",
            graph=str(graph),
            suffix=result.suffix,
            front_end=self._info.front_end.to_dict(),
            output=self._output_of(result.suffix),
            samples=self._samples,
            joined=str(joined),
            outputs=str(outputs),
        )
        result = replace(result, seconds=result.seconds + done.seconds)
        if done.status != "done":
            message = f"the front end cannot be put into the graph: {done.message}"
            return replace(result, status=done.status, message=message, log=done.log), joined
        with np.load(outputs) as rows:
            parity, reasons = judge_front_end(result.quantization, rows["split"], rows["joined"])
        facts = done.values.pop("facts")
        # These are about the classifier: the front end is always in float.
        facts |= {key: result.facts[key] for key in ("layers", "in_8_bits", "parameters")}
        result = replace(
            result,
            status=REFUSED if reasons else KEPT,
            message="; ".join((*verdict.reasons, *reasons)),
            size=joined.stat().st_size,
            facts=facts,
            waveform={"data": self._samples_origin, **parity.to_dict(), **done.values},
        )
        return result, joined

    def _make(self, suffix: str, quantization: str, graph: Path) -> Outcome:
        calibration = self._calibration if _is_calibrated(suffix, quantization) else None
        if suffix == "tflite":
            source = self._opening
            if self._facts["kind"] == "pytorch":
                # By way of ONNX in any case: exported once for all formats.
                assert self._exact_onnx is not None
                exact, path = self._exact_onnx.result()
                if exact.status != "done":
                    return exact
                source = {"path": str(path), "input_shape": self._opening["input_shape"]}
            return self._children.run(
                "convert",
                source=source,
                suffix=suffix,
                calibration=calibration,
                graph=str(graph),
                quantize=quantization,
                target=self._request.target,
                integer_io=self._request.integer_io and quantization == "int8",
                probabilities=self._meaning != "probabilities",
            )
        assert self._exact_onnx is not None
        exact, path = self._exact_onnx.result()
        if exact.status != "done" or quantization == "fp32":
            if exact.status == "done":
                graph.write_bytes(path.read_bytes())
            return exact
        return self._children.run(
            "quantize",
            exact=str(path),
            quantize=quantization,
            calibration=calibration,
            shape=self._facts["input_shape"],
            graph=str(graph),
        )

    def _export_onnx(self) -> tuple[Outcome, Path]:
        """The exact graph, from which the others are made."""
        path = self._folder / "exact.onnx"
        outcome = self._children.run(
            "convert", source=self._opening, suffix="onnx", calibration=None, graph=str(path)
        )
        return outcome, path

    def _output_of(self, suffix: str) -> str:
        """What a format gives: TFLite made here probabilities, of which 8 bits keep most."""
        made_here = suffix == "tflite" and not self._facts["quantization"]
        return "probabilities" if made_here else self._meaning

    def _drift(self, suffix: str, graph: Path) -> tuple[str, ...]:
        exact = self._folder / f"exact.{suffix}"
        if suffix == "tflite" and self._make(suffix, "fp32", exact).status != "done":
            return ()
        outcome = self._children.run(
            "drift", exact=str(exact), graph=str(graph), windows=self._features
        )
        return tuple(outcome.values.get("layers", ()))

    def _keep(self, result: FormatResult, verdict: Verdict, graph: bytes) -> Path:
        request, limit = self._request, LIMITS[result.quantization]
        spec, output, form = self._info.front_end, self._output_of(result.suffix), ""
        inside = self._inside
        if request.waveform:
            assert spec is not None
            inside = {_INSIDE: spec.to_dict(), f"{_INSIDE}_hash": spec.hash}
            spec, output, form = waveform_spec(spec), "probabilities", "waveform-"
        path = request.output / f"{request.name}-{form}{result.quantization}.{result.suffix}"
        info = replace(
            self._info,
            front_end=spec,
            output=output,
            quantization=result.quantization,
            provenance={
                "source": request.source.name,
                "source_sha256": self._sha256,
                "source_kind": self._facts["kind"],
                "parameters": self._facts["parameters"],
                "versions": {"edge-genre": version("edge-genre"), **self._facts["versions"]},
                "options": request.to_dict(),
                **inside,
            },
            parity={
                "data": self._origin,
                **verdict.parity.to_dict(),
                "labelled": verdict.labelled,
                "source_correct": verdict.source_correct,
                "correct": verdict.correct,
                "engine": result.facts["engine"],
                "top1_agreement_required": limit.agreement,
                "max_difference_allowed": limit.max_difference,
                "accuracy_loss_allowed": limit.accuracy_loss,
                "gate": f"failed, kept by force: {result.message}" if result.message else "passed",
                **({"front_end": result.waveform} if result.waveform else {}),
            },
            accuracy=(),
            self_test=None,
        )
        if request.waveform and result.suffix == "tflite":
            graph = with_metadata(graph, info)
        with self._keeping:  # an engine's messages are silenced for the whole process
            write(path, graph, with_self_test(graph, info))
        return path

    def _noted(self, results: list[FormatResult]) -> list[FormatResult]:
        """Add what only shows beside the other formats, or on few windows."""
        exact = {result.suffix: result for result in results if result.quantization == "fp32"}
        noted = []
        for result in results:
            notes, fp32 = [], exact.get(result.suffix)
            if fp32 and result.size > fp32.size > 0:
                note = f"{result.size / fp32.size:.1f} times the size of fp32"
                if "WHILE" in fp32.facts.get("operators", ()):
                    note += ": its recurrent layers are written out step by step; use dynamic"
                notes.append(note)
            layers, in_8_bits = (result.facts.get(key, 0) for key in ("layers", "in_8_bits"))
            if result.quantization == "int8" and in_8_bits < layers:
                notes.append(
                    f"{in_8_bits} of {layers} layers compute in 8 bits, the others have weights in "
                    "8 bits and compute in float"
                )
            compared = result.verdict.parity.windows if result.verdict else _ENOUGH
            if compared < _ENOUGH:
                notes.append(f"compared on {compared} windows only, fewer than {_ENOUGH}")
            noted.append(replace(result, notes=tuple(notes)))
        return noted

    def _save(self, name: str, array: NDArray[np.float32]) -> str:
        path = self._folder / f"{name}.npy"
        np.save(path, array)
        return str(path)


def _is_calibrated(suffix: str, quantization: str) -> bool:
    # TFLite's dynamic form has variants, of which it takes the one that agrees on these windows.
    return quantization == "int8" or (suffix, quantization) == ("tflite", "dynamic")


def _described(request: Request) -> tuple[ModelInfo, str | None]:
    """What the files will say of themselves: the source's own description, or the options.

    With it, what the source's outputs are, where that is known.
    """
    file = own = None
    # Of no TFLite or ONNX file; whoever opens it will say if it is no model at all.
    with contextlib.suppress(ModelError):
        file = read(request.source)
        own = file.info
    if own is not None:
        if request.labels is not None or request.front_end is not None:
            raise ConversionError(
                f"{request.source}: describes itself: leave --frontend and --labels out"
            )
        inside = _INSIDE in own.provenance and request.source.suffix != ".tflite"
        if inside and set(request.quantize or ()) - {"fp32"}:
            raise ConversionError(
                f"{request.source}: has its front end in the graph, which must stay in float: "
                "quantize the file that it was made from, with --waveform"
            )
        described = replace(
            own,
            license=request.license or own.license,
            description=request.description or own.description,
        )
        return described, request.outputs or own.output
    if request.labels is None:
        raise ConversionError(
            f"{request.source}: says nothing of its classes: give them with --labels"
        )
    described = ModelInfo(
        front_end=request.front_end,
        labels=request.labels,
        name=request.name,
        version="1",
        license=request.license,
        description=request.description,
    )
    if file is not None and described.front_end is not None:
        check_metadata(file.content, described)
    return described, request.outputs


def meaning(outputs: NDArray[np.float32]) -> str:
    """What rows of outputs are: ``"probabilities"``, ``"log_probabilities"`` or ``"logits"``."""
    # Ten probabilities of 8 bits may be off by half a step of 1/256 each.
    if (outputs >= -1e-6).all() and np.allclose(outputs.sum(axis=1), 1, atol=2e-2):
        return "probabilities"
    if (outputs <= 1e-6).all() and np.allclose(np.exp(outputs).sum(axis=1), 1, atol=1e-2):
        return "log_probabilities"
    return "logits"


def probabilities(outputs: NDArray[np.float32], meaning: str) -> NDArray[np.float32]:
    """Rows of outputs as probabilities, by softmax unless they are probabilities already."""
    rows = outputs.astype(np.float64)
    if meaning != "probabilities":
        rows = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.asarray(rows / rows.sum(axis=1, keepdims=True), np.float32)


def _sha256(path: Path) -> str:
    """Of a file; of a folder, over its files' names and contents in order."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(path)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _silent(name: str, doing: str) -> None:
    pass
