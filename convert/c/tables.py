"""The numbers of a front end as C headers, for ``firmware_notes/c``."""

from __future__ import annotations

import numpy as np

from edge_genre.convert.c.code import array, comment, header, number
from edge_genre.errors import ConversionError
from edge_genre.frontend import FrontEndSpec
from edge_genre.frontend.in_c import InC

SPEC, TABLES = "edge_genre_spec.h", "edge_genre_tables.h"


def c_tables(spec: FrontEndSpec) -> dict[str, str]:
    """Two headers: what the front end computes, as macros, and its tables.

    The tables are the sine of a turn and half, half of the frame's window, the mel filters without
    their zeros and, for MFCC, the rows of the DCT.

    Returns
    -------
    The texts, by file name

    Raises
    ------
    ConversionError
        The front end in C does not compute this.
    """
    if spec.no_c is not None:
        raise ConversionError(f"the front end in C {spec.no_c}")
    found = spec.in_c()
    return {
        SPEC: header(SPEC, f"Front end {spec.hash}: its numbers.", _macros(found)),
        TABLES: header(TABLES, f"Front end {spec.hash}: its tables.", _arrays(found)),
    }


def _macros(found: InC) -> list[str]:
    about = "Lengths are in samples, levels in dB; EG_MFCC is 0 for log-mel."
    return [
        comment(about),
        *(f"#define {name} {_literal(value)}" for name, value in found.macros.items()),
    ]


def _arrays(found: InC) -> list[str]:
    n = 2 * (len(found.window) - 1)
    sine = np.sin(2 * np.pi * np.arange(3 * n // 4) / n)
    first, count, weights = [], [], []
    for band in found.filters:
        used = np.flatnonzero(band)
        start, stop = (used[0], used[-1] + 1) if len(used) else (0, 0)
        first.append(start)
        count.append(stop - start)
        weights.append(band[start:stop])
    lines = [
        *array("eg_sine", sine.astype(np.float32)),
        "",
        *array("eg_hann", found.window.astype(np.float32)),
        "",
        comment("Of each band: its first bin, how many bins it has, and their weights in turn."),
        *array("eg_mel_first", np.array(first, np.uint16)),
        *array("eg_mel_count", np.array(count, np.uint16)),
        *array("eg_mel_weights", np.concatenate(weights)),
    ]
    if found.dct is not None:
        lines += ["", *array("eg_dct", found.dct.astype(np.float32))]
    return lines


def _literal(value: int | float | str) -> str:
    if not isinstance(value, float):
        return str(value)
    text = number(np.float32(value))
    return f"({text})" if text.startswith("-") else text
