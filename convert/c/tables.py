"""The numbers of a front end as C headers, for ``firmware_notes/c``."""

from __future__ import annotations

import math

import numpy as np

from edge_genre.convert.c.code import array, comment, header, number
from edge_genre.errors import ConversionError
from edge_genre.frontend import FrontEndSpec
from edge_genre.frontend.mel import filters_of
from edge_genre.frontend.tables import dct

SPEC, TABLES = "edge_genre_spec.h", "edge_genre_tables.h"
_LOGS = ("none", "db", "natural")
_NORMALIZATIONS = ("none", "mean_variance", "min_max", "fixed")
_LARGEST_FFT = 1 << 15  # whose bins have numbers of 16 bits


def c_tables(spec: FrontEndSpec) -> dict[str, str]:
    """Two headers: what the front end computes, as macros, and its tables.

    The tables are the sine of a turn and half, half a Hann window, the mel filters without their
    zeros and, for MFCC, the rows of the DCT.

    Returns
    -------
    The texts, by file name

    Raises
    ------
    ConversionError
        The front end in C does not compute this kind, or not with this length of frames.
    """
    if spec.kind not in ("log_mel", "mfcc"):
        why = {
            "waveform": "the model takes the samples themselves",
            "five_channel": "beats and chroma need a whole window in memory",
            "mfcc_deltas": "of MFCC it has no deltas",
        }[spec.kind]
        raise ConversionError(f"the front end in C computes log-mel and MFCC, not this: {why}")
    if spec.n_fft & (spec.n_fft - 1) or not 8 <= spec.n_fft <= _LARGEST_FFT:
        raise ConversionError(
            f"the front end in C transforms frames of a power of two from 8 to {_LARGEST_FFT} "
            f"samples, not of {spec.n_fft}"
        )
    return {
        SPEC: header(SPEC, f"Front end {spec.hash}: its numbers.", _macros(spec)),
        TABLES: header(TABLES, f"Front end {spec.hash}: its tables.", _arrays(spec)),
    }


def _macros(spec: FrontEndSpec) -> list[str]:
    coefficients = spec.n_mfcc if spec.kind == "mfcc" else 0
    reference = 0.0 if spec.ref == "max" else 10 * math.log10(max(float(spec.ref), spec.amin))
    values: dict[str, int | str] = {
        "EG_SAMPLE_RATE": spec.sample_rate,
        "EG_WINDOW_SAMPLES": spec.window_samples,
        "EG_N_FFT": spec.n_fft,
        "EG_HOP": spec.hop_length,
        "EG_FRAMES": spec.n_frames,
        "EG_MELS": spec.n_mels,
        "EG_MFCC": coefficients,
        "EG_FEATURES": math.prod(spec.shape),
        "EG_TIME_FIRST": int(spec.axes == "time_first"),
        "EG_MARGIN": spec.n_fft // 2 if spec.center else 0,
        "EG_REFLECT": int(spec.center and spec.pad_mode == "reflect"),
        **{f"EG_LOG_{name.upper()}": index for index, name in enumerate(_LOGS)},
        "EG_LOG": f"EG_LOG_{spec.log.upper()}",
        "EG_AMIN": _literal(spec.amin),
        "EG_DECIBEL": _literal(10 / math.log(10)),
        "EG_REF_MAX": int(spec.ref == "max"),
        "EG_REF": _literal(reference),
        "EG_FLOOR": int(spec.top_db is not None),
        "EG_TOP_DB": _literal(spec.top_db or 0.0),
        **{f"EG_NORMALIZE_{name.upper()}": i for i, name in enumerate(_NORMALIZATIONS)},
        "EG_NORMALIZE": f"EG_NORMALIZE_{spec.normalize.upper()}",
        "EG_MEAN": _literal(spec.mean),
        "EG_SCALE": _literal(spec.scale),
    }
    about = "Lengths are in samples, levels in dB; EG_MFCC is 0 for log-mel."
    return [comment(about), *(f"#define {name} {value}" for name, value in values.items())]


def _arrays(spec: FrontEndSpec) -> list[str]:
    n = spec.n_fft
    sine = np.sin(2 * np.pi * np.arange(3 * n // 4) / n)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n // 2 + 1) / n)
    filters = filters_of(spec)
    first, count, weights = [], [], []
    for band in filters:
        used = np.flatnonzero(band)
        start, stop = (used[0], used[-1] + 1) if len(used) else (0, 0)
        first.append(start)
        count.append(stop - start)
        weights.append(band[start:stop])
    lines = [
        *array("eg_sine", sine.astype(np.float32)),
        "",
        *array("eg_hann", hann.astype(np.float32)),
        "",
        comment("Of each band: its first bin, how many bins it has, and their weights in turn."),
        *array("eg_mel_first", np.array(first, np.uint16)),
        *array("eg_mel_count", np.array(count, np.uint16)),
        *array("eg_mel_weights", np.concatenate(weights)),
    ]
    if spec.kind == "mfcc":
        lines += ["", *array("eg_dct", dct(spec.n_mfcc, spec.n_mels).astype(np.float32))]
    return lines


def _literal(value: float) -> str:
    text = number(np.float32(value))
    return f"({text})" if text.startswith("-") else text
