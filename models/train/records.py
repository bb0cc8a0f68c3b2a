"""Records that a run keeps as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from edge_genre.errors import DataError, one_line
from edge_genre.host.files import reading, write_whole
from edge_genre.host.record import Record

_Record = TypeVar("_Record", bound=Record)


def read_json(path: Path, kind: type[_Record]) -> _Record:
    """Read a record that was written as JSON.

    Raises
    ------
    DataError
        The file cannot be read, or is damaged.
    """
    try:
        with reading(path):
            return kind.from_dict(json.loads(path.read_text()))
    except ValueError as error:
        raise DataError(f"{path}: is not what edge-genre writes ({one_line(error)})") from None


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON, in place of what was there, whole or not at all."""
    write_whole(path, json.dumps(values, indent=1) + "\n")
