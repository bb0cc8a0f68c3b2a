"""Golden vectors: what a port of a model must compute, from samples to probabilities.

A case is one window of 16-bit samples, the features of that window and the probabilities of the
model. Features are computed in double precision and rounded once, so that they are nobody's
rounding; probabilities are the model's in its own engine.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
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
from edge_genre.model.self_test import noise, signal

SCHEMA = 1
MANIFEST = "manifest.json"
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
    features : float32 [shape=spec.shape]; None where the model takes the samples themselves
    probabilities : float32 [shape=(n_classes,)]
    """

    name: str
    signal: str
    pcm: NDArray[np.int16]
    features: NDArray[np.float32] | None
    probabilities: NDArray[np.float32]


@dataclass(frozen=True)
class Golden:
    """All cases of a model, and how far off a port may be.

    Parameters
    ----------
    model : name, version, file, kind and SHA-256 of the graph
    spec : its front end
    labels : its classes
    features_tolerance : largest difference of a feature, in the features' own unit
    tolerance : largest difference of a probability
    cases : see `Case`
    """

    model: dict[str, Any]
    spec: FrontEndSpec
    labels: tuple[str, ...]
    features_tolerance: float
    tolerance: float
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
    front_end = FrontEnd(spec, precision="float64")
    cases = []
    for name, words, samples in _signals(spec, info.self_test.seed if info.self_test else 1, music):
        pcm = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        features = front_end(pcm / np.float32(FULL_SCALE))
        answer = classifier.run(features).round(6)
        heard = spec.kind != "waveform"
        cases.append(Case(name, words, pcm, features if heard else None, answer))
    graph, _ = split(classifier.model.content)
    # As in a file's self-test: 1e-3 dB of features that spread by some 15 dB, from music-like
    # samples; it holds for all cases, since silence has no spread to speak of.
    spread = 0.0 if cases[0].features is None else float(cases[0].features.std())
    return Golden(
        model={
            "name": info.name,
            "version": info.version,
            "file": classifier.model.path.name,
            "kind": classifier.model.kind,
            "quantization": info.quantization,
            "graph_sha256": hashlib.sha256(graph).hexdigest(),
        },
        spec=spec,
        labels=classifier.labels,
        features_tolerance=round(1e-3 * max(spread, 1e-3), 9),
        tolerance=TOLERANCE.get(info.quantization, _TOLERANCE),
        cases=tuple(cases),
    )


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
        put(place / "pcm.wav", _wav(case.pcm, found.spec.sample_rate))
        for each in formats:
            for name, content in _WRITERS[each](found, case).items():
                put(place / name, content)
    put(folder / MANIFEST, _json(_manifest(found, tuple(written), folder)))
    return written


def _manifest(found: Golden, files: Sequence[Path], folder: Path) -> dict[str, Any]:
    spec = found.spec
    return {
        "schema": SCHEMA,
        "made_by": f"edge-genre {version('edge-genre')}",
        "model": found.model,
        "labels": list(found.labels),
        "front_end": spec.to_dict(),
        "front_end_hash": spec.hash,
        "pcm": {
            "rate": spec.sample_rate,
            "samples": spec.window_samples,
            "full_scale": FULL_SCALE,
        },
        "features": None
        if spec.kind == "waveform"
        else {"shape": list(spec.shape), "tolerance": found.features_tolerance},
        "probabilities": {"shape": [len(found.labels)], "tolerance": found.tolerance},
        "cases": [
            {
                "name": case.name,
                "signal": case.signal,
                "pcm_sha256": hashlib.sha256(case.pcm.astype("<i2").tobytes()).hexdigest(),
                "label": found.labels[int(case.probabilities.argmax())],
                "probabilities": _floats(case.probabilities),
                "files": sorted(
                    str(path.relative_to(folder))
                    for path in files
                    if path.parent == folder / case.name
                ),
            }
            for case in found.cases
        ],
    }


def _arrays(case: Case) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"pcm": case.pcm}
    if case.features is not None:
        arrays["features"] = case.features
    return arrays | {"probabilities": case.probabilities}


def _as_npy(_: Golden, case: Case) -> dict[str, bytes]:
    return {f"{name}.npy": _npy(values) for name, values in _arrays(case).items()}


def _as_json(_: Golden, case: Case) -> dict[str, bytes]:
    values = {
        name: found.tolist() if found.dtype == np.int16 else _floats(found)
        for name, found in _arrays(case).items()
    }
    return {"case.json": json.dumps(values, separators=(",", ":")).encode() + b"\n"}


def _as_c(found: Golden, case: Case) -> dict[str, bytes]:
    prefix = f"golden_{case.name}"
    lines = [
        comment(case.signal),
        comment(f"A sample is the number / {FULL_SCALE}. Features: the last axis runs fastest."),
    ]
    arrays = _arrays(case)
    if "features" in arrays:
        lines.append(f"#define {prefix.upper()}_FEATURES_TOLERANCE {found.features_tolerance:g}f")
    lines.append(f"#define {prefix.upper()}_PROBABILITIES_TOLERANCE {found.tolerance:g}f")
    for name, values in arrays.items():
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
