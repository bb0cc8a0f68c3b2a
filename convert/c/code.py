"""Numbers as C source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.errors import ConversionError
from edge_genre.host.files import writing

_WIDTH = 96
_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "float32": "float",
}


def array(name: str, values: NDArray[Any], *, prefix: str = "static const") -> list[str]:
    """Lines that define an array of one dimension, the last axis of ``values`` fastest.

    Parameters
    ----------
    name : a C identifier
    values : of a type that C99 has in ``stdint.h``, or float32; one at least
    prefix : storage class and qualifiers
    """
    flat = values.ravel()
    numbers = map(number, flat) if flat.dtype.kind == "f" else map(str, flat.tolist())
    return [
        f"{prefix} {_TYPES[flat.dtype.name]} {name}[{flat.size}] = {{",
        *_wrapped(numbers),
        "};",
    ]


def number(value: np.floating[Any]) -> str:
    """A float literal that reads back as the same single-precision number."""
    text = str(np.float32(value))
    return text + ("f" if re.search(r"[.e]", text) else ".0f")


def string(text: str) -> str:
    """A C string literal, of UTF-8."""
    plain = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{plain}"'


def comment(text: str) -> str:
    """A comment of one line, whatever is in the text."""
    plain = "".join(char if " " <= char <= "~" else "?" for char in text)
    return f"/* {plain.replace('*/', '* /').replace('/*', '/ *').replace('??/', '?/')} */"


def header(name: str, about: str, lines: Sequence[str]) -> str:
    """A header file with an include guard; ``about`` is a sentence on what it is."""
    guard = re.sub(r"\W", "_", name).upper()
    text = [
        comment(f"{about} Made by edge-genre export."),
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdint.h>",
        "",
        *lines,
        "",
        "#endif",
    ]
    return "\n".join(text) + "\n"


def write_sources(folder: Path, sources: Mapping[str, str]) -> list[Path]:
    """Write source files into a folder, which is made if missing, and return their paths.

    Raises
    ------
    ConversionError
        They cannot be written.
    """
    written = []
    with writing(folder, ConversionError):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in sources.items():
            written.append(folder / name)
            written[-1].write_text(text, encoding="ascii")
    return written


def _wrapped(words: Iterable[str]) -> list[str]:
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return [*lines, line]
