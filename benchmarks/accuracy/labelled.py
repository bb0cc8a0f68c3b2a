"""Labelled music for a classifier: folders of audio, and features files in the corpus format."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.file import genre_of, require_audio
from edge_genre.benchmarks.accuracy.evaluation import Track
from edge_genre.classifier import Classifier
from edge_genre.errors import AudioError, DataError
from edge_genre.frontend import FrontEndSpec
from edge_genre.frontend.log_mel import LogMel
from edge_genre.results import SongResult

SPLITS = {"train": 0, "validation": 1}
_FULL_SCALE_DB = 80.0
_ARRAYS = ("X", "y", "genres")


def labelled_tracks(
    classifier: Classifier,
    data: Path,
    *,
    split: str | None = None,
    hop: float | None = None,
    left_out: Callable[[str], None],
) -> Iterator[Track]:
    """Classify labelled music: a folder of audio, or a features file.

    Parameters
    ----------
    split : part of a features file, ``"train"``, ``"validation"`` or ``"all"``; where it is left
        out, the validation part if there are parts
    hop, left_out : of a folder; see `tracks_of_folder`

    Raises
    ------
    DataError
        There is no such data, or it cannot be used.
    """
    if data.is_dir():
        return tracks_of_folder(classifier, data, hop=hop, left_out=left_out)
    if not data.exists():
        raise DataError(f"{data}: no such file or folder")
    parts = has_split(data)
    if split not in (None, "all") and not parts:
        raise DataError(f"{data}: has no array split: leave --split out")
    number = SPLITS.get(split or "validation") if parts else None
    return tracks_of_features(classifier, data, split=number)


def tracks_of_folder(
    classifier: Classifier, folder: Path, *, hop: float | None, left_out: Callable[[str], None]
) -> Iterator[Track]:
    """Classify the audio files of a folder whose genre is known.

    A file's genre is the name of its folder, or its own name up to the first dot.

    Parameters
    ----------
    hop : seconds from one window to the next; one window where it is left out
    left_out : is told in one line of each file that cannot be used

    Raises
    ------
    DataError
        The folder cannot be read, or holds no audio.
    """
    for path, genre in labelled_files(folder, classifier.labels, left_out=left_out):
        try:
            rows = probabilities_of(classifier.classify_file(path, hop=hop))
        except AudioError as error:
            left_out(str(error))
            continue
        if len(rows):
            yield Track(str(path), genre, rows, classifier.info.song_temperature)
        else:
            left_out(f"{path}: all of it is silent")


def labelled_files(
    folder: Path, genres: Sequence[str], *, left_out: Callable[[str], None]
) -> Iterator[tuple[Path, int]]:
    """Audio files of a folder and the numbers of their genres.

    Parameters
    ----------
    left_out : is told in one line of each file of no known genre

    Raises
    ------
    DataError
        The folder cannot be read, or holds no audio.
    """
    for path in require_audio(folder):
        genre = genre_of(path, genres)
        if genre is None:
            left_out(f"{path}: neither its folder nor its name is a genre of the model")
        else:
            yield path, genre


def probabilities_of(song: SongResult) -> NDArray[np.float32]:
    """Probabilities of a song's windows [shape=(windows, classes)], without the silent ones."""
    rows = [[*window.probabilities.values()] for window in song.windows if window.probabilities]
    return np.array(rows, np.float32)


def tracks_of_features(classifier: Classifier, path: Path, *, split: int | None) -> Iterator[Track]:
    """Classify the tracks of a features file in the corpus format.

    It is an npz with X, uint8 levels of log-mel spectrograms (tracks, bands, columns), y (tracks,)
    and genres (classes,), and may have name and split (tracks,). The largest level stands for
    0 dB and 0 for -80 dB; a window is as many columns as the model has frames.

    Parameters
    ----------
    split : the part to take; None for all

    Raises
    ------
    DataError
        The file cannot be read, is of another format, or does not fit the model.
    """
    arrays = _arrays(path)
    levels, labels = arrays["X"], arrays["y"]
    genres = [str(genre) for genre in arrays["genres"]]
    spec = classifier.spec
    _require_fit(path, spec, levels, classifier.labels, genres)
    if labels.shape != (len(levels),) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path}: y is {labels.dtype} of shape {labels.shape}, expected a class of each track"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(genres):
        raise DataError(
            f"{path}: y goes from {labels.min()} to {labels.max()}, but there are "
            f"{len(genres)} genres"
        )
    chosen = np.arange(len(levels))
    if split is not None:
        chosen = np.flatnonzero(arrays["split"] == split)
    if not len(chosen):
        raise DataError(
            f"{path}: holds no tracks" + ("" if split is None else f" of split {split}")
        )
    step = _FULL_SCALE_DB / (63 if levels.max(initial=0) <= 63 else 255)
    numbers = [classifier.labels.index(genre) for genre in genres]
    names = arrays.get("name", np.arange(len(levels)))
    log_mel = LogMel(spec, np.float32)
    for index in chosen:
        decibels = (levels[index].T * step - _FULL_SCALE_DB).astype(np.float32)
        starts = range(0, len(decibels) - spec.n_frames + 1, spec.n_frames)
        windows = [log_mel.finish([decibels[s : s + spec.n_frames]]) for s in starts]
        rows = np.stack([classifier.run(window) for window in windows])
        temperature = classifier.info.song_temperature
        yield Track(str(names[index]), numbers[labels[index]], rows, temperature)


def has_split(path: Path) -> bool:
    """Whether a features file says which part each of its tracks is in.

    Raises
    ------
    DataError
        It cannot be read.
    """
    return "split" in _arrays(path)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (*_ARRAYS, "name", "split") if name in file}
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (AttributeError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: is neither a folder of audio nor an npz file of features ({error})"
        ) from None
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise DataError(f"{path}: has no array {', '.join(missing)}, expected X, y and genres")
    return arrays


def _require_fit(
    path: Path, spec: FrontEndSpec, levels: NDArray[Any], labels: tuple[str, ...], genres: list[str]
) -> None:
    unknown = [genre for genre in genres if genre not in labels]
    if unknown:
        raise DataError(
            f"{path}: genre {', '.join(unknown)} is none of the model's, "
            f"which are {', '.join(labels)}"
        )
    if spec.kind != "log_mel" or spec.log != "db":
        raise DataError(
            f"{path}: holds log-mel levels, but the model hears {spec.kind}: give a folder of audio"
        )
    if levels.dtype != np.uint8 or levels.ndim != 3 or levels.shape[1] != spec.n_mels:
        raise DataError(
            f"{path}: X is {levels.dtype} of shape {levels.shape}, expected uint8 of shape "
            f"(tracks, {spec.n_mels}, columns)"
        )
    if levels.shape[2] < spec.n_frames:
        raise DataError(
            f"{path}: a track has {levels.shape[2]} columns, a window of the model {spec.n_frames}"
        )
