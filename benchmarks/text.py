"""Figures as text, and texts of others so that they can be shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Control characters, what turns the direction of all text after it, and the lone surrogates that
# stand for bytes of a file's name that are not UTF-8.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Put a replacement character where text has what cannot be shown or written to a file."""
    return _UNPRINTABLE.sub("\ufffd", text)


def number(value: float, *, digits: int = 3, like: float | None = None) -> str:
    """Write a figure to so many significant digits, and all before the point.

    Parameters
    ----------
    value : to write
    digits : at most before it is rounded
    like : another figure, whose decimals it gets so that the two can be compared
    """
    first = value if like is None else like
    power = int(f"{first:.{digits - 1}e}".partition("e")[2])  # of what it is when rounded
    return f"{value:,.{max(0, digits - 1 - power) if first else 0}f}"


def share(value: float) -> str:
    """Write a part of a whole."""
    return f"{100 * value:.1f} %"


def size(count: int) -> str:
    """Write a number of bytes."""
    return f"{number(count / 1e6)} MB" if count >= 999_500 else f"{count / 1e3:.0f} kB"


def counted(count: int, noun: str) -> str:
    """Write how many things there are."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def short(text: str, length: int = 40) -> str:
    """Leave out the middle of what is too long: its end tells files apart."""
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[head + 1 - length :]}"


def some(names: Sequence[str], most: int = 10) -> str:
    """Write the first of many names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
