"""Features files in the corpus format: log-mel levels of labelled tracks, a byte each.

Such a file is an npz with

- ``X``, uint8 levels (tracks, bands, columns): 0 is -80 dB, and 0 dB is 255, or 63 where no level
  is higher;
- ``y``, the class of each track (tracks,), or 0 and 1 for each of many labels (tracks, labels), and
  ``genres``, the names of the classes or labels;
- if there are parts, ``split`` (tracks,): 0 to train on, 1 to validate on, others for neither;
- if they are known, ``name`` or ``track_id`` (tracks,), and ``group`` (tracks,), what must not be
  on both sides of a split, such as the artist;
- ``front_end``, a text: whose frames the columns are, a preset's name or a front end as JSON (what
  ``edge-genre frontend`` prints). Only what single frames depend on counts, such as ``hop_length``.
  Training needs it; of the files in `KNOWN` it is known.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.accuracy.levels import frames_of
from edge_genre.errors import DataError, SpecError, one_line
from edge_genre.frontend import FrontEndSpec
from edge_genre.host.files import numpy_reason, reading

TOP_DB = 80.0
TRAIN, VALIDATION = 0, 1
_NEEDED = ("X", "y", "genres")
_PER_TRACK = ("split", "name", "track_id", "group")  # which may be missing
_FRONT_END = "front_end"  # so may this


@dataclass(frozen=True)
class Known:
    """What is known of a file that is known by its name, and not in it.

    Parameters
    ----------
    name : of the music
    split : how its parts were made
    front_end : preset whose frames its columns are
    """

    name: str
    split: str
    front_end: str


KNOWN = {
    "gtzan_logmel": Known(
        "GTZAN", "fault-filtered, artists apart (Kereliuk and Sturm)", "songnet-gtzan"
    ),
    "fma_small_logmel": Known("FMA-small", "FMA's official one, artists apart", "songnet-fma"),
}


@dataclass(frozen=True, eq=False)
class FeaturesFile:
    """The tracks of a features file.

    Parameters
    ----------
    path : of the file, for messages
    levels : uint8 [shape=(tracks, bands, columns)]
    labels : class of each track, int64 [shape=(tracks,)], or 0 and 1 [shape=(tracks, labels)]
    genres : names of the classes or labels
    names : of the tracks, str [shape=(tracks,)]; their numbers where the file names none
    groups : what must not be on both sides of a split [shape=(tracks,)]; the names where the file
        says nothing of it
    split : number of the part that each track is in [shape=(tracks,)]; None if there are no parts
    front_end : whose frames the columns are; None where nobody says
    """

    path: Path
    levels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    genres: tuple[str, ...]
    names: NDArray[np.str_]
    groups: NDArray[Any]
    split: NDArray[Any] | None
    front_end: FrontEndSpec | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.

        Raises
        ------
        DataError
            It cannot be read, or is of another format.
        """
        arrays = _arrays(path)
        levels, labels = arrays["X"], arrays["y"]
        if levels.dtype != np.uint8 or levels.ndim != 3:
            raise DataError(_other_levels(path, levels, "bands"))
        genres = tuple(str(genre) for genre in arrays["genres"])
        _require_labels(path, labels, (len(levels), len(genres)))
        for name in _PER_TRACK:
            if name in arrays and arrays[name].shape != (len(levels),):
                raise DataError(
                    f"{path}: {name} is of shape {arrays[name].shape}, expected one of each of "
                    f"the {len(levels)} tracks"
                )
        names = arrays.get("name", arrays.get("track_id", np.arange(len(levels)))).astype(str)
        return cls(
            path=path,
            levels=levels,
            labels=labels.astype(np.int64),
            genres=genres,
            names=names,
            groups=arrays.get("group", names),
            split=arrays.get("split"),
            front_end=_front_end(path, arrays.get(_FRONT_END)),
        )

    def require_fit(self, spec: FrontEndSpec, *, stated: bool = False) -> None:
        """Refuse levels of which a front end's windows cannot be made.

        Parameters
        ----------
        stated : refuse a file that does not say whose frames it holds, too; else the caller vouches
            for them

        Raises
        ------
        DataError
            They are of other frames or bands than the front end's, or a track is shorter than its
            window; or the front end needs more than levels below a track's loudest one.
        """
        log = getattr(spec, "log", None)
        if not spec.made_of_levels or log != "db":
            heard = spec.kind if log in (None, "db") else f"{spec.kind} with log {log!r}"
            raise DataError(
                f"{self.path}: holds log-mel levels in dB, but the front end hears {heard}: give a "
                "folder of audio"
            )
        if spec.ref != "max" and not spec.forgets_level:
            raise DataError(
                f"{self.path}: holds levels below each track's loudest, but the front end's are "
                f"above ref {spec.ref}: give a folder of audio"
            )
        if self.front_end is not None:
            self._require_frames(frames_of(self.front_end), frames_of(spec))
        elif stated:
            raise DataError(
                f"{self.path}: does not say whose frames it holds: add an array {_FRONT_END}, a "
                "preset's name or the JSON that edge-genre frontend prints"
            )
        if self.levels.shape[1] != spec.n_mels:
            raise DataError(_other_levels(self.path, self.levels, str(spec.n_mels)))
        if self.levels.shape[2] < spec.n_frames:
            raise DataError(
                f"{self.path}: a track has {self.levels.shape[2]} columns, a window of the model "
                f"{spec.n_frames}"
            )

    def _require_frames(self, held: dict[str, Any], wanted: dict[str, Any]) -> None:
        other = [key for key in held | wanted if held.get(key) != wanted.get(key)]
        if other:
            theirs, ours = (
                ", ".join(f"{key} {grid.get(key)}" for key in other) for grid in (held, wanted)
            )
            raise DataError(
                f"{self.path}: holds frames of {theirs}, but the front end's are of {ours}: give a "
                "folder of audio"
            )

    def part(self, number: int | None) -> NDArray[np.int64]:
        """Return the numbers of the tracks of a part, or of all of them for None.

        Raises
        ------
        DataError
            There are no parts, or no tracks in this one.
        """
        if number is None:
            chosen = np.arange(len(self.levels))
        elif self.split is None:
            raise DataError(
                f"{self.path}: has no array split, expected {TRAIN} (train) or {VALIDATION} "
                "(validation) for each track"
            )
        else:
            chosen = np.flatnonzero(self.split == number)
        if not len(chosen):
            of_part = "" if number is None else f" of split {number}"
            raise DataError(f"{self.path}: holds no tracks{of_part}")
        return chosen

    def decibels(self, chosen: int | NDArray[np.int64]) -> NDArray[np.float32]:
        """Levels of a track, or of several, time first, float32 [shape=(..., columns, bands)]."""
        return decibels(self.levels[chosen].swapaxes(-1, -2), self._full_scale)

    @cached_property
    def _full_scale(self) -> int:
        return 63 if self.levels.max(initial=0) <= 63 else 255


def decibels(levels: NDArray[np.uint8], full_scale: int = 255) -> NDArray[np.float32]:
    """Bytes of a features file to dB, float32 in -80..0."""
    return levels.astype(np.float32) * np.float32(TOP_DB / full_scale) - np.float32(TOP_DB)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    names = (*_NEEDED, *_PER_TRACK, _FRONT_END)
    try:
        with reading(path), np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in names if name in file}
    except (
        *(AttributeError, TypeError, ValueError, EOFError),  # of what is no npz file
        *(zipfile.BadZipFile, zlib.error),  # of a damaged one
    ) as error:
        raise DataError(
            f"{path}: is neither a folder of audio nor an npz file of features "
            f"({numpy_reason(error)})"
        ) from None
    missing = [name for name in _NEEDED if name not in arrays]
    if missing:
        raise DataError(f"{path}: has no array {', '.join(missing)}, expected X, y and genres")
    return arrays


def _require_labels(path: Path, labels: NDArray[Any], shape: tuple[int, int]) -> None:
    """Refuse what is neither a class of each track nor a row of 0 and 1 [shape=shape]."""
    if labels.shape not in (shape[:1], shape) or labels.dtype.kind not in "biu":
        raise DataError(
            f"{path}: y is {labels.dtype} of shape {labels.shape}, expected a class of each track, "
            f"or for many labels 0 and 1 of shape {shape}"
        )
    highest = shape[1] - 1 if labels.ndim == 1 else 1
    if labels.size and not 0 <= labels.min() <= labels.max() <= highest:
        expected = (
            f"there are {shape[1]} genres" if labels.ndim == 1 else "only 0 and 1 mean something"
        )
        raise DataError(f"{path}: y goes from {labels.min()} to {labels.max()}, but {expected}")


def _front_end(path: Path, text: NDArray[Any] | None) -> FrontEndSpec | None:
    if text is None:
        return FrontEndSpec.preset(KNOWN[path.stem].front_end) if path.stem in KNOWN else None
    try:
        said = str(text.item())
        return (
            FrontEndSpec.from_dict(json.loads(said))
            if said.startswith("{")
            else FrontEndSpec.preset(said)
        )
    except (ValueError, SpecError) as error:
        raise DataError(f"{path}: {_FRONT_END} is no front end ({one_line(error)})") from None


def _other_levels(path: Path, levels: NDArray[Any], bands: str) -> str:
    return (
        f"{path}: X is {levels.dtype} of shape {levels.shape}, expected uint8 of shape (tracks, "
        f"{bands}, columns)"
    )
