"""Labelled music, classified: folders of audio, and features files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.file import genre_of, require_audio
from edge_genre.benchmarks.accuracy.evaluation import Track
from edge_genre.benchmarks.accuracy.features_file import TRAIN, VALIDATION, FeaturesFile
from edge_genre.choices import SPLITS
from edge_genre.classifier import Classifier
from edge_genre.errors import AudioError, DataError
from edge_genre.results import SongResult

_PARTS = dict(zip(SPLITS, (TRAIN, VALIDATION, None), strict=True))


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
    split : part of a features file, one of `edge_genre.choices.SPLITS`; where it is left out, the
        validation part if there are parts
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
    features = FeaturesFile.read(data)
    if features.split is None:
        if split not in (None, "all"):
            raise DataError(f"{data}: has no array split: leave --split out")
        split = "all"
    return tracks_of_features(classifier, features, split=_PARTS[split or "validation"])


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


def tracks_of_features(
    classifier: Classifier, features: FeaturesFile, *, split: int | None
) -> Iterator[Track]:
    """Classify the tracks of a features file.

    A window is as many columns as the model has frames; columns after a track's last whole window
    are left out.

    Parameters
    ----------
    split : number of the part to take; None for all

    Raises
    ------
    DataError
        The file does not fit the model, or has no such tracks.
    """
    spec = classifier.spec
    unknown = [genre for genre in features.genres if genre not in classifier.labels]
    if unknown:
        raise DataError(
            f"{features.path}: genre {', '.join(unknown)} is none of the model's, "
            f"which are {', '.join(classifier.labels)}"
        )
    if spec.kind != "log_mel" or spec.log != "db":
        raise DataError(
            f"{features.path}: holds log-mel levels, but the model hears {spec.kind}: give a "
            "folder of audio"
        )
    features.require_fit(spec)
    numbers = [classifier.labels.index(genre) for genre in features.genres]
    log_mel = spec.computation(np.float32)
    for index in features.part(split):
        decibels = features.decibels(index)
        starts = range(0, len(decibels) - spec.n_frames + 1, spec.n_frames)
        windows = [log_mel.finish([decibels[s : s + spec.n_frames]]) for s in starts]
        rows = np.stack([classifier.run(window) for window in windows])
        genre = numbers[features.labels[index]]
        yield Track(str(features.names[index]), genre, rows, classifier.info.song_temperature)
