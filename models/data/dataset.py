"""What a network is trained on, and what it is measured on: parts that share no artist."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from edge_genre.benchmarks.accuracy.features_file import (
    KNOWN,
    TRAIN,
    VALIDATION,
    FeaturesFile,
)
from edge_genre.benchmarks.accuracy.labels_csv import LabelledFiles
from edge_genre.errors import DataError
from edge_genre.frontend import FrontEndSpec
from edge_genre.models.data.audio_folder import read_folder, read_labelled
from edge_genre.models.data.corpus import Tracks
from edge_genre.models.data.grouping import grouped_split


@dataclass(frozen=True)
class Data:
    """Two parts of some music.

    Parameters
    ----------
    tracks : to train on.
    held_out : to choose a step by and to measure on.
    name : of the music, for the card.
    split : how the parts were made, and by what is known of artists, for the card.
    embeddings : name of the file that the tracks' teacher embeddings are from, if any.
    """

    tracks: Tracks
    held_out: Tracks
    name: str
    split: str
    embeddings: str = ""

    @classmethod
    def of_file(cls, path: Path, spec: FrontEndSpec, embeddings: Path | None = None) -> Self:
        """Read a features file with parts; see `edge_genre.benchmarks.accuracy.features_file`.

        Parameters
        ----------
        embeddings : npz file of teacher embeddings: one array of two dimensions, a row for each
            track of the file.

        Raises
        ------
        DataError
            It cannot be read, is of another format, has no such parts, or the front end cannot hear
            it; see `FeaturesFile.require_fit`.
        """
        known = KNOWN.get(path.stem)
        name, split = (
            (known.name, known.split) if known else (path.stem, "the file's own, artists unknown")
        )
        file = _features(path, spec)
        rows = None if embeddings is None else _embeddings(embeddings)
        if rows is not None and len(rows) != len(file.levels):
            raise DataError(f"{path}: does not fit the embeddings, which are of {len(rows)} tracks")
        tracks, held_out = (
            Tracks.of_features(file, part, spec, rows) for part in (TRAIN, VALIDATION)
        )
        return cls(tracks, held_out, name, split, embeddings.name if embeddings else "")

    @classmethod
    def of_folder(
        cls, folder: Path, spec: FrontEndSpec, *, share: float, seed: int, **reading: Any
    ) -> Self:
        """Read a folder of audio with a folder for each genre, and hold whole groups out.

        Parameters
        ----------
        share : of the tracks, to hold out.
        seed : of the choice.
        reading : see `edge_genre.models.data.audio_folder.read_folder`.

        Raises
        ------
        DataError
            See `read_folder` and `edge_genre.models.data.grouping.grouped_split`.
        """
        everything = Tracks.of_audio(read_folder(folder, spec, **reading), spec)
        return cls.parts(everything, folder.resolve().name, share=share, seed=seed)

    @classmethod
    def of_labelled(
        cls,
        labels: LabelledFiles,
        folder: Path,
        spec: FrontEndSpec,
        *,
        share: float,
        seed: int,
        **reading: Any,
    ) -> Self:
        """Read a folder of audio whose labels a table has, and hold whole groups out.

        Raises
        ------
        DataError
            See `edge_genre.models.data.audio_folder.read_labelled` and `grouped_split`.
        """
        tracks = read_labelled(labels, folder, spec, **reading)
        everything = Tracks.of_labelled(tracks, spec, [*labels.labels])
        return cls.parts(everything, folder.resolve().name, share=share, seed=seed)

    @classmethod
    def parts(cls, everything: Tracks, name: str, *, share: float, seed: int) -> Self:
        """Hold whole groups of tracks out.

        Raises
        ------
        DataError
            See `edge_genre.models.data.grouping.grouped_split`.
        """
        held_out = grouped_split(
            everything.labels,
            everything.groups,
            share=share,
            seed=seed,
            genres=everything.genres,
        )
        n_groups = len(set(everything.groups))
        known = f"{n_groups} groups (artists, or copies of one recording)"
        if n_groups == len(everything):
            known = f"{n_groups} tracks of unknown artists, who may be on both sides"
        split = f"{known}, {share:.0%} held out, seed {seed}"
        return cls(everything.chosen(~held_out), everything.chosen(held_out), name, split)

    @property
    def spec(self) -> FrontEndSpec:
        """The front end that both parts are heard through."""
        return self.tracks.spec

    def digest(self) -> str:
        """SHA-256 of which tracks are in which part, to know them again when a run goes on."""
        state = hashlib.sha256()
        for part in (self.tracks, self.held_out):
            lengths = np.array([len(sound) for sound in part.sounds])
            for array in (part.names.astype("U"), part.labels, lengths):
                state.update(np.ascontiguousarray(array).tobytes())
            if part.embeddings is not None:
                state.update(part.embeddings.tobytes())
        return state.hexdigest()


def load_everything(path: Path, spec: FrontEndSpec, **reading: Any) -> Tracks:
    """All tracks of a features file, or of a folder of audio, in whatever part they are.

    Raises
    ------
    DataError
        It cannot be read.
    """
    if path.is_dir():
        return Tracks.of_audio(read_folder(path, spec, **reading), spec)
    return Tracks.of_features(_features(path, spec), None, spec)


def _features(path: Path, spec: FrontEndSpec) -> FeaturesFile:
    file = FeaturesFile.read(path)
    file.require_fit(spec, stated=True)
    return file


def _embeddings(path: Path) -> np.ndarray:
    """Rows of the one table in an npz file, each column with mean 0 and deviation 1."""
    try:
        with np.load(path, allow_pickle=False) as file:
            tables = [file[key] for key in file.files if file[key].ndim == 2]
    except (OSError, ValueError, AttributeError, TypeError, EOFError, zipfile.BadZipFile):
        raise DataError(f"{path}: is no npz file of embeddings") from None
    if len(tables) != 1:
        raise DataError(f"{path}: has {len(tables)} arrays of two dimensions, expected one")
    rows = tables[0].astype(np.float32)
    return (rows - rows.mean(0)) / (rows.std(0) + np.float32(1e-6))
