"""Markdown that scripts write: tables, and the parts of a page that are written again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from edge_genre.errors import DataError


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int | None = None) -> str:
    """Write a table.

    Parameters
    ----------
    head : names of the columns
    rows : their cells, which are Markdown
    left : columns that begin at the left; those behind them end at the right. All, if left out
    """
    aligned = len(head) if left is None else left
    rule = ["---"] * aligned + ["---:"] * (len(head) - aligned)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def part(text: str, name: str) -> str:
    """What stands between the markers of a page's part, ``<!-- name -->`` and ``<!-- /name -->``.

    Raises
    ------
    DataError
        The page has no such part.
    """
    return _find(text, name)[0]


def with_part(text: str, name: str, content: str) -> str:
    """Write a part of a page again; raises as `part` does."""
    _, start, end = _find(text, name)
    return f"{text[:start]}{content}\n{text[end:]}"


def _find(text: str, name: str) -> tuple[str, int, int]:
    found = re.search(rf"<!-- {re.escape(name)} -->\n(.*?)<!-- /{re.escape(name)} -->", text, re.S)
    if found is None:
        raise DataError(f"the page has no part from <!-- {name} --> to <!-- /{name} -->")
    return found[1].removesuffix("\n"), found.start(1), found.end(1)
