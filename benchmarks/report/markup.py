"""Markup by functions that escape what they are given, and figures as text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

# Control characters, what turns the direction of all text after it, and the lone surrogates that
# stand for bytes of a file's name that are not UTF-8.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


class Markup(str):
    """Text that is markup already and is not escaped again."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """Make an element.

    Parameters
    ----------
    name : of the element
    children : markup, or text, which is escaped
    attributes : with ``_`` for ``-`` (and ``class_``); left out where they are None
    """
    start = name + "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{start}>{joined(children)}</{name}>")


def joined(children: Iterable[str]) -> Markup:
    """Put markup, and text, which is escaped, one after another."""
    return Markup("".join(c if isinstance(c, Markup) else escaped(c) for c in children))


def escaped(text: str) -> Markup:
    """Make markup of text that may be anything."""
    return Markup(html.escape(printable(text)))


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
