"""Labels of audio files from a CSV file: any number of them a file, or none.

Such a file is UTF-8, has a header and a row for each audio file, in one of two forms:

- ``path,labels``, the labels with semicolons between them, as in ``a.ogg,rock;happy``;
- ``path`` and a column for each label, with 0 or 1 in it, as in ``a.ogg,1,0,1``.

A path is relative to the folder of the audio, or to that of the CSV file.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_genre.errors import DataError
from edge_genre.host.files import reading

_PATH, _LABELS = "path", "labels"
_EXPECTED = "expected path,labels or path and a column for each label"


@dataclass(frozen=True)
class LabelledFiles:
    """Audio files and what holds of each.

    Parameters
    ----------
    path : of the CSV file, for messages
    labels : every label that it has, mapped to the line that it first stands in: in the order of
        the header's columns, or sorted
    files : in the order of the rows
    truth : the labels of each file
    """

    path: Path
    labels: Mapping[str, int]
    files: tuple[Path, ...]
    truth: tuple[frozenset[str], ...]

    def targets(self, labels: Sequence[str]) -> NDArray[np.bool_]:
        """Which of these labels hold of which file [shape=(files, labels)]."""
        return np.array([[label in truth for label in labels] for truth in self.truth], np.bool_)


def read_labels(path: Path, folder: Path) -> LabelledFiles:
    """Read which labels the audio files of a folder have.

    Parameters
    ----------
    path : of the CSV file
    folder : that paths in it are relative to; those which are not found there are sought in the
        CSV file's own folder

    Raises
    ------
    DataError
        The file cannot be read, is no CSV file in UTF-8, has no header, no rows, or a row that
        cannot be used: a file that is missing or named twice, a value that is neither 0 nor 1.
    """
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"{path}: is empty, {_EXPECTED}")
    (_, header), *rows = rows
    header = [name.strip() for name in header]
    labels_of = _form(path, header)
    files: list[Path] = []
    truth: list[frozenset[str]] = []
    lines: dict[Path, int] = {}  # of each file, however its path is written
    first: dict[str, int] = {}
    for line, row in rows:
        where = f"{path}, line {line}"
        if len(row) != len(header):
            raise DataError(f"{where}: has {len(row)} columns, expected {len(header)}")
        file = _found(row[0].strip(), (folder, path.parent), where)
        if (seen := lines.setdefault(file.resolve(), line)) != line:
            raise DataError(f"{where}: {row[0].strip()} is in line {seen} already")
        files.append(file)
        truth.append(frozenset(labels_of(row, where)))
        for label in truth[-1]:
            first.setdefault(label, line)
    if not files:
        raise DataError(f"{path}: has a header and no rows, expected one for each audio file")
    labels = dict.fromkeys(header[1:], 1) if header[1] != _LABELS else dict(sorted(first.items()))
    if not labels:
        raise DataError(f"{path}: none of its rows has a label")
    return LabelledFiles(path, labels, tuple(files), tuple(truth))


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with the number of the line that each begins in."""
    try:
        with reading(path), path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            begin = 1
            for row in reader:
                if any(value.strip() for value in row):
                    yield begin, row
                begin = reader.line_num + 1
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is no CSV file in UTF-8 ({error})") from None


def _form(path: Path, header: Sequence[str]) -> Callable[[Sequence[str], str], Iterator[str]]:
    """How a row says its labels."""
    shown = ",".join(header)
    if header[0] != _PATH or len(header) < 2:
        raise DataError(f"{path}, line 1: the header is {shown!r:.80}, {_EXPECTED}")
    if header[1] == _LABELS and len(header) == 2:
        return _listed
    if "" in header or len(set(header)) < len(header) or _LABELS in header:
        raise DataError(
            f"{path}, line 1: the header is {shown!r:.80}, expected {_PATH},{_LABELS} and no more, "
            "or distinct labels"
        )

    def ones(row: Sequence[str], where: str) -> Iterator[str]:
        for label, value in zip(header[1:], row[1:], strict=True):
            if value.strip() not in ("0", "1"):
                raise DataError(f"{where}: {label} is {value!r}, expected 0 or 1")
            if value.strip() == "1":
                yield label

    return ones


def _listed(row: Sequence[str], where: str) -> Iterator[str]:
    return (label for part in row[1].split(";") if (label := part.strip()))


def _found(name: str, folders: Sequence[Path], where: str) -> Path:
    """A row's file, in the first of the folders that has it."""
    if not name:
        raise DataError(f"{where}: has no path")
    for folder in folders:
        path = folder / name.replace("\\", "/")
        with reading(f"{where}: {name}"):
            if path.is_file():
                return path
    sought = " nor in ".join(dict.fromkeys(map(str, folders)))
    raise DataError(f"{where}: {name} is no file in {sought}")
