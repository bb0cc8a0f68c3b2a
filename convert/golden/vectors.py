"""Golden vectors: what a port of a model must compute, from samples to probabilities.

A case is one window of 16-bit samples, the features of that window for each input, and the
probabilities of the model. Features are computed in double precision and rounded once, so that they
are nobody's rounding; probabilities are the model's in its own engine.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import resampled
from edge_genre.audio.source import naming
from edge_genre.choices import GOLDEN_FORMATS
from edge_genre.classifier import Classifier
from edge_genre.convert.c.code import array, comment, header
from edge_genre.convert.verify.answer import TOLERANCE
from edge_genre.demo import clip
from edge_genre.errors import ConversionError
from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.host.files import writing
from edge_genre.model.container import split
from edge_genre.model.input import Input
from edge_genre.model.self_test import noise, signal
from edge_genre.task import GENRES, Task

SCHEMA = 2  # the newest: of several inputs; of one it is 1
MANIFEST = "manifest.json"
FEATURES, PROBABILITIES = "features", "probabilities"
FULL_SCALE = 32768
# Of a file that does not say how its weights are stored: as for 8 bits.
_TOLERANCE = max(TOLERANCE.values())


@dataclass(frozen=True)
class Case:
    """One window and what is right for it.

    Parameters
    ----------
    name : of its folder
    signal : what it is, in words or as a formula
    pcm : int16 [shape=(spec.window_samples,)]; a sample is the number divided by `FULL_SCALE`
    arrays : what a port must make of it, by name: the features of each input (see
        `Golden.features`), float32 [shape=spec.shape], and the probabilities, float32
        [shape=(n_classes,)]
    """

    name: str
    signal: str
    pcm: NDArray[np.int16]
    arrays: Mapping[str, NDArray[np.float32]]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """What the model answers [shape=(n_classes,)]."""
        return self.arrays[PROBABILITIES]


@dataclass(frozen=True)
class Golden:
    """All cases of a model, and how far off a port may be.

    Parameters
    ----------
    model : name, version, file, kind and SHA-256 of the graph
    inputs : what it takes
    features : by the names of the arrays of features, the inputs that they are of: ``features`` of
        one, ``features_NAME`` of each of several; none where the model takes the samples themselves
    labels : its classes
    output, task : what its graph gives, and what that means
    tolerances : largest difference of each array, in its own unit, by the arrays' names
    cases : see `Case`
    """

    model: dict[str, Any]
    inputs: tuple[Input, ...]
    features: Mapping[str, Input]
    labels: tuple[str, ...]
    output: str
    task: Task
    tolerances: Mapping[str, float]
    cases: tuple[Case, ...]


def golden(classifier: Classifier, music: Path | None = None) -> Golden:
    """Compute the golden vectors of a model.

    Parameters
    ----------
    classifier : the model
    music : an audio file whose middle is one of the cases; the demo clip where it is left out

    Raises
    ------
    AudioError
        ``music`` cannot be used.
    """
    spec, info = classifier.spec, classifier.info
    front_ends = [FrontEnd(each, precision="float64") for each in classifier.specs]
    names = _names(info.inputs)
    cases = []
    for name, words, samples in _signals(spec, info.self_test.seed if info.self_test else 1, music):
        pcm = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        features = [front_end(pcm / np.float32(FULL_SCALE)) for front_end in front_ends]
        arrays = {each: features[number] for each, number in names.items()}
        arrays[PROBABILITIES] = classifier.run(*features).round(6)
        cases.append(Case(name, words, pcm, arrays))
    graph, _ = split(classifier.model.content)
    # As in a file's self-test: 1e-3 dB of features that spread by some 15 dB, from music-like
    # samples; it holds for all cases, since silence has no spread to speak of.
    tolerances = {
        name: round(1e-3 * max(float(cases[0].arrays[name].std()), 1e-3), 9) for name in names
    }
    return Golden(
        model={
            "name": info.name,
            "version": info.version,
            "file": classifier.model.path.name,
            "kind": classifier.model.kind,
            "quantization": info.quantization,
            "graph_sha256": hashlib.sha256(graph).hexdigest(),
        },
        inputs=info.inputs,
        features={name: info.inputs[number] for name, number in names.items()},
        labels=classifier.labels,
        output=info.output,
        task=info.task,
        tolerances={**tolerances, PROBABILITIES: TOLERANCE.get(info.quantization, _TOLERANCE)},
        cases=tuple(cases),
    )


def _names(inputs: Sequence[Input]) -> dict[str, int]:
    """Names of the arrays of features, and the numbers of the inputs that they are of."""
    if len(inputs) == 1:
        return {} if inputs[0].front_end.is_samples else {FEATURES: 0}
    # For files and C; those of two inputs may come out as one.
    plain = [re.sub("[^0-9A-Za-z_]", "_", each.name) for each in inputs]
    if len(set(plain)) < len(plain):
        plain = [f"{number}_{name}" for number, name in enumerate(plain)]
    return {f"{FEATURES}_{name}": number for number, name in enumerate(plain)}


def _signals(
    spec: FrontEndSpec, seed: int, music: Path | None
) -> list[tuple[str, str, NDArray[Any]]]:
    """Name, description and samples of each case; full scale is 1."""
    size, rate = spec.window_samples, spec.sample_rate
    t = np.arange(size) / rate
    length = size / rate
    known = signal(seed, n_samples=size, rate=rate).astype(np.float64)
    sweep = 0.5 * np.sin(np.pi * rate / 2 * t**2 / length)
    formula = f"signal(n) of edge/model/self_test.py, seed {seed}"
    return [
        ("self_test", formula, known),
        ("silence", "zeros", np.zeros(size)),
        # The hiss keeps a port's rounding from being all that there is between the tone's sides.
        (
            "chirp",
            f"0.5 sin(pi {rate} t^2 / (2 {length:g})) + 0.01 noise(n), t = n / {rate}: from 0 Hz "
            "to half the sample rate",
            sweep + 0.01 * noise(seed, size),
        ),
        ("clipped", "10 signal(n), clipped to -1..1", np.clip(10 * known, -1, 1)),
        _music(spec, music),
    ]


def _music(spec: FrontEndSpec, path: Path | None) -> tuple[str, str, NDArray[Any]]:
    file = clip() if path is None else path
    with naming(file), AudioFile(file) as source:
        samples = resampled(source, spec.sample_rate)
    size = spec.window_samples
    start = max(0, (len(samples) - size) // 2)
    window = samples[start : start + size]
    name = "the demo clip of edge-genre" if path is None else path.name
    words = f"{name} from {start / spec.sample_rate:.3f} s on, at {spec.sample_rate} Hz"
    if len(window) < size:
        words += f", and {(size - len(window)) / spec.sample_rate:.3f} s of zeros"
    return "music", words, np.pad(window, (0, size - len(window)))


def write_golden(
    found: Golden, folder: Path, formats: Sequence[str] = GOLDEN_FORMATS
) -> list[Path]:
    """Write golden vectors: a manifest, and a folder for each case.

    Parameters
    ----------
    folder : made if missing
    formats : of `GOLDEN_FORMATS`; samples come as WAV in any case

    Returns
    -------
    The files

    Raises
    ------
    ConversionError
        They cannot be written.
    """
    written: list[Path] = []

    def put(path: Path, content: bytes) -> None:
        with writing(path, ConversionError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        written.append(path)

    for case in found.cases:
        place = folder / case.name
        put(place / "pcm.wav", _wav(case.pcm, found.inputs[0].front_end.sample_rate))
        for each in formats:
            for name, content in _WRITERS[each](found, case).items():
                put(place / name, content)
    put(folder / MANIFEST, _json(_manifest(found, tuple(written), folder)))
    return written


def _manifest(found: Golden, files: Sequence[Path], folder: Path) -> dict[str, Any]:
    spec = found.inputs[0].front_end
    arrays = {
        name: {"shape": list(each.front_end.shape), "tolerance": found.tolerances[name]}
        for name, each in found.features.items()
    }
    taken: dict[str, Any] = {"front_end": spec.to_dict(), "front_end_hash": spec.hash}
    heard: dict[str, Any] = {"features": arrays.get(FEATURES)}
    meant: dict[str, Any] = {}
    several = len(found.inputs) > 1
    if several:
        inputs = [
            each.to_dict() | {"features": {"array": name, **array}}
            for each, (name, array) in zip(found.inputs, arrays.items(), strict=True)
        ]
        taken, heard = {"inputs": inputs}, {}
    if found.task != GENRES:
        meant["output"] = found.output
        meant["operator"] = found.task.operator(found.output)
        meant["task"] = found.task.to_dict()
    return {
        "schema": SCHEMA if several else 1,
        "made_by": f"edge-genre {version('edge-genre')}",
        "model": found.model,
        "labels": list(found.labels),
        **taken,
        "pcm": {
            "rate": spec.sample_rate,
            "samples": spec.window_samples,
            "full_scale": FULL_SCALE,
        },
        **heard,
        PROBABILITIES: {
            "shape": [len(found.labels)],
            "tolerance": found.tolerances[PROBABILITIES],
        },
        **meant,
        "cases": [
            {
                "name": case.name,
                "signal": case.signal,
                "pcm_sha256": hashlib.sha256(case.pcm.astype("<i2").tobytes()).hexdigest(),
                **_answer(found, case),
                "files": sorted(
                    str(path.relative_to(folder))
                    for path in files
                    if path.parent == folder / case.name
                ),
            }
            for case in found.cases
        ],
    }


def _answer(found: Golden, case: Case) -> dict[str, Any]:
    held = [found.labels[number] for number in found.task.decide(case.probabilities)]
    return {
        **({"label": held[0]} if found.task.exclusive else {"labels": held}),
        PROBABILITIES: _floats(case.probabilities),
    }


def _all(case: Case) -> dict[str, NDArray[Any]]:
    return {"pcm": case.pcm, **case.arrays}


def _as_npy(_: Golden, case: Case) -> dict[str, bytes]:
    return {f"{name}.npy": _npy(values) for name, values in _all(case).items()}


def _as_json(_: Golden, case: Case) -> dict[str, bytes]:
    values = {
        name: found.tolist() if found.dtype == np.int16 else _floats(found)
        for name, found in _all(case).items()
    }
    return {"case.json": json.dumps(values, separators=(",", ":")).encode() + b"\n"}


def _as_c(found: Golden, case: Case) -> dict[str, bytes]:
    prefix = f"golden_{case.name}"
    lines = [
        comment(case.signal),
        comment(f"A sample is the number / {FULL_SCALE}. Features: the last axis runs fastest."),
    ]
    for name, tolerance in found.tolerances.items():
        lines.append(f"#define {prefix.upper()}_{name.upper()}_TOLERANCE {tolerance:g}f")
    for name, values in _all(case).items():
        lines += ["", *array(f"{prefix}_{name}", values)]
    made = f"Golden vectors of {found.model['name'] or found.model['file']}, case {case.name}."
    return {f"{prefix}.h": header(f"{prefix}.h", made, lines).encode()}


_WRITERS: dict[str, Callable[[Golden, Case], dict[str, bytes]]] = {
    "npy": _as_npy,
    "json": _as_json,
    "c": _as_c,
}


def _npy(values: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def _wav(pcm: NDArray[np.int16], rate: int) -> bytes:
    data = pcm.astype("<i2").tobytes()
    parts = [
        *(b"RIFF", (36 + len(data)).to_bytes(4, "little"), b"WAVEfmt "),
        # Length of this part, PCM, one channel, rate, bytes a second, bytes and bits a sample.
        np.array([16], "<u4").tobytes() + np.array([1, 1], "<u2").tobytes(),
        np.array([rate, 2 * rate], "<u4").tobytes() + np.array([2, 16], "<u2").tobytes(),
        *(b"data", len(data).to_bytes(4, "little"), data),
    ]
    return b"".join(parts)


def _json(values: dict[str, Any]) -> bytes:
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _floats(values: NDArray[np.float32]) -> Any:
    """Nested lists of the shortest decimals that are these numbers in single precision."""
    if values.ndim > 1:
        return [_floats(row) for row in values]
    return [float(str(value)) for value in values]
