"""Labelled music, classified: folders of audio, and features files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.file import genre_of, require_audio
from edge_genre.benchmarks.accuracy.evaluation import Track, truth_of
from edge_genre.benchmarks.accuracy.features_file import TRAIN, VALIDATION, FeaturesFile
from edge_genre.benchmarks.accuracy.labels_csv import LabelledFiles
from edge_genre.benchmarks.accuracy.levels import features_of
from edge_genre.benchmarks.text import some
from edge_genre.choices import SPLITS
from edge_genre.classifier import Classifier
from edge_genre.errors import AudioError, DataError
from edge_genre.results import SongResult

_FEW = 3  # files that are named of those that cannot be used
_PARTS = dict(zip(SPLITS, (TRAIN, VALIDATION, None), strict=True))

LabelledFile = tuple[Path, frozenset[int]]  # audio, and the numbers of its labels


class LeftOut(Protocol):
    """Is told in one line what is not counted, and how many files that is."""

    def __call__(self, line: str, files: int = 1, /) -> None: ...


@dataclass(frozen=True)
class Labelled:
    """Labelled music.

    Parameters
    ----------
    tracks : each as soon as it is classified
    unknown : labels of the data that the model does not have, so that they do not count
    """

    tracks: Iterator[Track]
    unknown: tuple[str, ...] = ()


def labelled_tracks(
    classifier: Classifier,
    data: Path,
    *,
    labels: LabelledFiles | None = None,
    split: str | None = None,
    hop: float | None = None,
    left_out: LeftOut,
) -> Labelled:
    """Classify labelled music: a folder of audio, or a features file.

    Parameters
    ----------
    labels : the files of a folder and their labels, where its folders do not say them
    split : part of a features file, one of `edge_genre.choices.SPLITS`; where it is left out, the
        validation part if there are parts
    hop : of a folder: seconds from one window to the next; one window where it is left out
    left_out : is told of each file that cannot be used

    Raises
    ------
    DataError
        There is no such data, or it cannot be used.
    """
    if data.is_dir():
        files = labelled_files(classifier, data, labels, left_out=left_out)
        unknown = () if labels is None else _unknown([*labels.labels], classifier.labels)
        return Labelled(_of_files(classifier, files, hop, left_out), unknown)
    if not data.exists():
        raise DataError(f"{data}: no such file or folder")
    features = FeaturesFile.read(data)
    if features.split is None:
        if split not in (None, "all"):
            raise DataError(f"{data}: has no array split: leave --split out")
        split = "all"
    tracks = tracks_of_features(classifier, features, split=_PARTS[split or "validation"])
    return Labelled(tracks, _unknown(features.genres, classifier.labels))


def labelled_files(
    classifier: Classifier,
    folder: Path,
    labels: LabelledFiles | None = None,
    *,
    left_out: LeftOut,
) -> list[LabelledFile]:
    """Audio files of a folder and the numbers of their labels.

    Parameters
    ----------
    labels : what labels the files have; where it is left out, a file has the one that its folder is
        named after, or its own name up to the first dot
    left_out : is told of the files that have no label of the model, where each has to have one

    Raises
    ------
    DataError
        The folder cannot be read, or holds no audio; or none of the labels is the model's.
    """
    noun, nouns = classifier.task.noun, classifier.task.nouns
    if labels is None:
        genres = [(path, genre_of(path, classifier.labels)) for path in require_audio(folder)]
        _tell(
            [path for path, genre in genres if genre is None],
            f"neither its folder nor its name is a {noun} of the model",
            f"neither their folders nor their names are {nouns} of the model",
            left_out,
        )
        return [(path, frozenset({genre})) for path, genre in genres if genre is not None]
    numbers = _numbers([*labels.labels], classifier.labels)
    if not numbers:
        raise DataError(
            f"{labels.path}: {some([*labels.labels])} are no {nouns} of the model, "
            f"which are {some(classifier.labels)}"
        )
    files = [
        (path, frozenset(numbers[label] for label in truth & numbers.keys()))
        for path, truth in zip(labels.files, labels.truth, strict=True)
    ]
    if classifier.task.exclusive:
        reason = f"one {noun} of the model, which gives one"
        unclear = [path for path, truth in files if len(truth) != 1]
        _tell(unclear, f"has not {reason}", f"have not {reason}", left_out)
        files = [(path, truth) for path, truth in files if len(truth) == 1]
    return files


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
    numbers = _numbers(features.genres, classifier.labels)
    unknown = [label for label in features.genres if label not in numbers]
    # Of labels that exclude each other none can be spared.
    if unknown and (features.labels.ndim == 1 or not numbers):
        raise DataError(
            f"{features.path}: {classifier.task.noun} {some(unknown)} is none of the model's, "
            f"which are {some(classifier.labels)}"
        )
    if len(classifier.specs) > 1:
        inputs = ", ".join(each.name for each in classifier.info.inputs)
        raise DataError(
            f"{features.path}: holds the levels of one front end, but the model has the inputs "
            f"{inputs}: give a folder of audio"
        )
    if features.labels.ndim > 1 and classifier.task.exclusive:
        raise DataError(
            f"{features.path}: y is a row of 0 and 1 for each track, but the model gives one "
            f"{classifier.task.noun}: expected a class of each"
        )
    features.require_fit(spec)
    for index in features.part(split):
        decibels = features.decibels(index)
        n = len(decibels) // spec.n_frames
        windows = decibels[: n * spec.n_frames].reshape(n, spec.n_frames, -1)
        rows = np.stack([classifier.run(window) for window in features_of(spec, windows)])
        named = truth_of(features.labels[index])
        truth = frozenset(n for k in named if (n := numbers.get(features.genres[k])) is not None)
        name, temperature = str(features.names[index]), classifier.info.song_temperature
        yield Track(name, truth, rows, temperature, classifier.task)


def probabilities_of(song: SongResult) -> NDArray[np.float32]:
    """Probabilities of a song's windows [shape=(windows, labels)], without the silent ones."""
    rows = [[*window.probabilities.values()] for window in song.windows if window.probabilities]
    return np.array(rows, np.float32)


def _of_files(
    classifier: Classifier, files: Iterable[LabelledFile], hop: float | None, left_out: LeftOut
) -> Iterator[Track]:
    for path, truth in files:
        try:
            rows = probabilities_of(classifier.classify_file(path, hop=hop))
        except AudioError as error:
            left_out(str(error))
            continue
        if len(rows):
            yield Track(str(path), truth, rows, classifier.info.song_temperature, classifier.task)
        else:
            left_out(f"{path}: all of it is silent")


def _unknown(names: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    known = _numbers(names, labels)
    return tuple(name for name in names if name not in known)


def _numbers(names: Sequence[str], labels: Sequence[str]) -> dict[str, int]:
    """Numbers of those names that are labels; case matters only where it tells two apart."""
    numbers = {label.casefold(): number for number, label in reversed([*enumerate(labels)])}
    numbers |= {label: number for number, label in enumerate(labels)}
    found = {name: numbers.get(name, numbers.get(name.casefold())) for name in names}
    return {name: number for name, number in found.items() if number is not None}


def _tell(files: Sequence[Path], one: str, several: str, left_out: LeftOut) -> None:
    """Say in one line what is wrong with each of the files, if there are any."""
    if files:
        reason = one if len(files) == 1 else several
        left_out(f"{some([*map(str, files)], _FEW)}: {reason}", len(files))
