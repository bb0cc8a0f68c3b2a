"""Whose recordings files are: what a table of metadata says, else their own tags."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from edge_genre.errors import DataError
from edge_genre.host.files import reading

_FILE = ("file", "path", "name")
_NAMES = ("artist", "album")
# Tags of WAV and AIFF files, which mutagen leaves under the names that they have in ID3.
_ID3 = {"artist": "TPE1", "album": "TALB"}
_NOBODY = {"", "unknown", "unknown artist", "unknown album", "various", "various artists"}


def artists(
    files: Sequence[Path], folder: Path, metadata: Path | None, note: Callable[[str], None]
) -> list[str | None]:
    """Artist of each file, else its album, else None.

    Names that differ in case or spaces alone are one, such as ``"artist: nina simone"``. That of no
    one, such as Various Artists, is unknown.

    Parameters
    ----------
    files : in ``folder``
    metadata : CSV file with a header: file (or path, or name), relative to ``folder`` or without
        any folder, and artist, album, or both. Of files that it does not know the tags are read.
    note : is told in one line if tags cannot be read

    Raises
    ------
    DataError
        The metadata cannot be read, have no such columns, contradict themselves, or say nothing of
        any of the files.
    """
    table = {} if metadata is None else _table(metadata)
    keys = [path.relative_to(folder).as_posix() for path in files]
    rows = [table.get(key, table.get(path.name)) for key, path in zip(keys, files, strict=True)]
    if metadata is not None and not any(rows):
        raise DataError(
            f"{metadata}: names none of the files, expected paths relative to {folder} (such as "
            f"{keys[0]}) or file names"
        )
    found = [None if row is None else _name(row) for row in rows]
    if None not in found:
        return found
    if importlib.util.find_spec("mutagen") is None:
        note("artists are not read from tags: pip install 'edge-genre[train]'")
        return found
    return [name or _name(_tags(path)) for name, path in zip(found, files, strict=True)]


def _table(path: Path) -> dict[str, dict[str, str]]:
    """For each file that is named the columns of its row."""
    try:
        with reading(path), path.open(encoding="utf-8-sig", newline="") as stream:
            lines = [line for line in csv.reader(stream) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is no CSV file in UTF-8 ({error})") from None
    header = [name.strip().casefold() for name in lines[0]] if lines else []
    column = next((name for name in _FILE if name in header), None)
    if column is None or not set(_NAMES) & set(header):
        raise DataError(
            f"{path}: has columns {', '.join(header) or 'of no name'}, expected file (or path, or "
            "name) and artist or album"
        )
    table: dict[str, dict[str, str]] = {}
    for line in lines[1:]:
        row = dict(zip(header, line, strict=False))
        file = PurePosixPath(row[column].strip().replace("\\", "/")).as_posix()
        if _name(table.setdefault(file, row)) != _name(row):
            raise DataError(
                f"{path}: {file} is of {_name(table[file])} and of {_name(row)}: expected one row "
                "of it"
            )
    return table


def _tags(path: Path) -> dict[str, str]:
    """The names in a file's tags; none if it has none, or they are damaged."""
    import mutagen

    try:
        tags = mutagen.File(path, easy=True) or {}
        names = {name: tags.get(name) or tags.get(_ID3[name]) for name in _NAMES}
    except (mutagen.MutagenError, ValueError):  # Vorbis comments refuse names that they cannot have
        return {}
    return {name: str(values[0]) for name, values in names.items() if values}


def _name(row: Mapping[str, str]) -> str | None:
    for kind in _NAMES:
        name = " ".join(row.get(kind, "").casefold().split())
        if name not in _NOBODY:
            return f"{kind}: {name}"
    return None
