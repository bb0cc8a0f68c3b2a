"""Training data from a folder of audio: by the names of its folders, or by a table of labels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_genre.audio.file import require_audio
from edge_genre.benchmarks.accuracy.labels_csv import LabelledFiles
from edge_genre.benchmarks.text import some
from edge_genre.errors import AudioError, DataError
from edge_genre.frontend import FrontEndSpec
from edge_genre.models.data.artists import artists
from edge_genre.models.data.grouping import groups
from edge_genre.models.data.stored import Stored
from edge_genre.models.data.whole_track import WholeTracks

FEWEST_TRACKS = 10  # of a genre
_FEW = 3  # files that are named of those that are not used


@dataclass(frozen=True)
class AudioTrack:
    """A track to train on or to measure on.

    Parameters
    ----------
    path : of the audio file
    labels : that it has: in a folder by genre, one
    group : what must not be on both sides of a split; see `edge_genre.models.data.grouping`
    sound : what windows of it are made of
    """

    path: Path
    labels: frozenset[str]
    group: str
    sound: Stored

    @property
    def genre(self) -> str:
        """Its only label."""
        (label,) = self.labels
        return label


Progress = Callable[[int, int], None]
Line = Callable[[str], None]


def read_folder(
    folder: Path,
    spec: FrontEndSpec,
    *,
    metadata: Path | None = None,
    cache: Path | None = None,
    progress: Progress = lambda done, total: None,
    left_out: Line = lambda line: None,
) -> list[AudioTrack]:
    """Read all tracks of a folder, at any depth below the folders of its genres.

    Parameters
    ----------
    spec : that windows are heard through
    metadata : CSV file that says which artist or album files are of; see
        `edge_genre.models.data.artists`
    cache : folder to keep features in, so that each file is decoded once; the user's own where it
        is left out
    progress : is told after each file how many are done, and of how many
    left_out : is told in one line of each file that cannot be used, and if tags cannot be read

    Returns
    -------
    The tracks, sorted by path

    Raises
    ------
    DataError
        The folder is missing or has no audio, fewer than two genres, or fewer than ten usable files
        of one; see also `artists` and `WholeTracks`.
    """
    labels = {path: frozenset({_genre(folder, path)}) for path in _files(folder, left_out)}
    tracks = _read(labels, folder, spec, metadata, cache, progress, left_out)
    _require_enough(folder, [track.path for track in tracks], "usable")
    return tracks


def read_labelled(
    labels: LabelledFiles,
    folder: Path,
    spec: FrontEndSpec,
    *,
    metadata: Path | None = None,
    cache: Path | None = None,
    progress: Progress = lambda done, total: None,
    left_out: Line = lambda line: None,
) -> list[AudioTrack]:
    """Read the tracks of a folder that a table of labels names, any number of labels each.

    Parameters
    ----------
    labels : see `edge_genre.benchmarks.accuracy.labels_csv.read_labels`
    spec, metadata, cache, progress, left_out : see `read_folder`

    Returns
    -------
    The tracks, in the order of the table

    Raises
    ------
    DataError
        A file of the table is not in the folder; fewer than ten usable files have one of the
        labels, or fewer than ten lack it.
    """
    files = {path.absolute(): of for path, of in _pairs(labels)}
    folder = folder.absolute()
    for path in files:
        if not path.is_relative_to(folder):
            raise DataError(f"{labels.path}: names {path}, which is not in {folder}")
    others = [str(path) for path in require_audio(folder) if path not in files]
    if others:
        left_out(f"{labels.path}: does not name {some(others, _FEW)}: not used")
    _require_labels(labels, files.values(), "")
    tracks = _read(files, folder, spec, metadata, cache, progress, left_out)
    _require_labels(labels, [track.labels for track in tracks], "usable ")
    return tracks


def _pairs(labels: LabelledFiles) -> Iterable[tuple[Path, frozenset[str]]]:
    return zip(labels.files, labels.truth, strict=True)


def _require_labels(labels: LabelledFiles, truth: Collection[frozenset[str]], usable: str) -> None:
    if len(labels.labels) < 2:
        raise DataError(
            f"{labels.path}: has one label ({', '.join(labels.labels)}), expected two or more"
        )
    have = Counter(label for of in truth for label in of)
    few = [f"{label} ({have[label]})" for label in labels.labels if have[label] < FEWEST_TRACKS]
    if few:
        raise DataError(
            f"{labels.path}: too few {usable}files have {', '.join(few)}, expected {FEWEST_TRACKS} "
            "or more of each label: add some, or leave the label out"
        )
    lack = {label: len(truth) - have[label] for label in labels.labels}
    few = [f"{label} ({n})" for label, n in lack.items() if n < FEWEST_TRACKS]
    if few:
        raise DataError(
            f"{labels.path}: too few {usable}files lack {', '.join(few)}, expected {FEWEST_TRACKS} "
            "or more: nobody learns what is always so"
        )


def _read(
    labels: Mapping[Path, frozenset[str]],
    folder: Path,
    spec: FrontEndSpec,
    metadata: Path | None,
    cache: Path | None,
    progress: Progress,
    left_out: Line,
) -> list[AudioTrack]:
    """Tracks of the files that can be used, with their groups."""
    files = [*labels]
    read = WholeTracks(spec, cache or _default_cache())
    known = dict(zip(files, artists(files, folder, metadata, left_out), strict=True))
    tracks = {}
    for done, path in enumerate(files, 1):
        try:
            tracks[path] = read(path)
        except AudioError as error:
            left_out(f"{path}: {error}")
        progress(done, len(files))
    group = groups(
        [path.relative_to(folder).as_posix() for path in tracks],
        [known[path] for path in tracks],
        [track.digest for track in tracks.values()],
        [track.fingerprint for track in tracks.values()],
    )
    return [
        AudioTrack(path, labels[path], of, track.sound)
        for (path, track), of in zip(tracks.items(), group, strict=True)
    ]


def _files(folder: Path, left_out: Callable[[str], None]) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder, expected one with a folder for each genre")
    found = require_audio(folder)
    files = [path for path in found if path.parent != folder]
    for path in found:
        if path.parent == folder:
            left_out(f"{path}: is in no genre's folder")
    _require_enough(folder, files, "audio")  # before an hour of decoding
    return files


def _require_enough(folder: Path, files: Iterable[Path], what: str) -> None:
    genres = sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if len(genres) < 2:
        found = f"one genre folder ({genres[0]})" if genres else "no genre folders"
        raise DataError(
            f"{folder}: has {found}, expected two or more: put each genre's files into a folder of "
            "its own"
        )
    counts = Counter(_genre(folder, path) for path in files)
    few = [f"{genre} ({counts[genre]})" for genre in genres if counts[genre] < FEWEST_TRACKS]
    if few:
        raise DataError(
            f"{folder}: too few {what} files of {', '.join(few)}, expected {FEWEST_TRACKS} or more "
            "of each genre: add some, or move its folder away"
        )


def _genre(folder: Path, path: Path) -> str:
    return path.relative_to(folder).parts[0]


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-genre"
