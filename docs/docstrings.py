"""The project's docstrings as reStructuredText.

They have NumPy's sections, but what stands after ``name :`` is what the parameter is, since its
type is in the signature. napoleon and numpydoc would take it for a type.
"""

from __future__ import annotations

import re
from typing import Any

from edge_genre import errors

SECTIONS = ("Parameters", "Returns", "Yields", "Raises")
_UNDERLINE = re.compile(r"-{3,}$")
_ENTRY = re.compile(r"(\S.*?) :(?: (.*))?$")
_ARRAY = re.compile(
    r"(?:numpy\.)?ndarray\[tuple\[(?:typing\.)?Any, \.\.\.\], (?:numpy\.)?dtype\[(\w[\w.]*)\]\]"
)
_STAR = re.compile(r"(?<![\\`\w*])\*(?=\w)")  # of *arguments, where reStructuredText sees emphasis


def to_rst(lines: list[str]) -> list[str]:
    """Turn one docstring's sections into rubrics and definition lists; the rest stays as it is.

    Parameters
    ----------
    lines : of the docstring, without its indentation
    """
    result: list[str] = []
    section = ""
    position = 0
    while position < len(lines):
        line = lines[position]
        following = lines[position + 1] if position + 1 < len(lines) else ""
        if line in SECTIONS and _UNDERLINE.match(following):
            section = line
            result += ["", f".. rubric:: {section}", ""]
            position += 2
            continue
        position += 1
        line = _STAR.sub(r"\\*", line)
        if section == "Parameters" and (entry := _ENTRY.match(line)):
            result += ["", f"``{entry[1]}``", f"    {entry[2] or ''}"]
        elif section == "Raises" and line and not line.startswith(" "):
            result += ["", ", ".join(map(_exception, line.split(",")))]
        else:
            result.append(line)
    return result


def _exception(name: str) -> str:
    name = name.strip()
    place = "~edge_genre.errors." if hasattr(errors, name) else ""
    return f":py:exc:`{place}{name}`"


def _process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = to_rst(lines)


def _shorten(
    app: Any,
    what: str,
    name: str,
    thing: Any,
    options: Any,
    arguments: str | None,
    result: str | None,
) -> tuple[str | None, str | None]:
    """Arrays by the names that the code gives their types."""

    def short(text: str | None) -> str | None:
        return text and _ARRAY.sub(r"NDArray[\1]", text)

    return short(arguments), short(result)


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.connect("autodoc-process-docstring", _process)
    app.connect("autodoc-process-signature", _shorten)
    return {"parallel_read_safe": True}
