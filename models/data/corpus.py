"""Tracks to train on and to measure on, and the windows that the device would hear of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from edge_genre.benchmarks.accuracy.features_file import FeaturesFile
from edge_genre.benchmarks.accuracy.levels import features_of
from edge_genre.frontend import FrontEndSpec
from edge_genre.models.data.stored import Stored

if TYPE_CHECKING:
    from edge_genre.models.data.audio_folder import AudioTrack


@dataclass(frozen=True, eq=False)
class Tracks:
    """Tracks of any lengths.

    Parameters
    ----------
    spec : the front end that windows are heard through.
    sounds : what windows of each track are made of.
    labels : class of each track, int64 (tracks,); or, of labels that do not exclude each other,
        which of them it has, bool (tracks, labels).
    names : name of each track, str (tracks,).
    groups : what must not be on both sides of a split, such as the artist, str (tracks,).
    genres : names of the classes (or of what else the labels are) in their order.
    embeddings : each track's embedding by a larger network, the teacher, to be learned beside the
        genres (distillation), float32 (tracks, n); None to learn genres alone.
    """

    spec: FrontEndSpec
    sounds: tuple[Stored, ...]
    labels: np.ndarray
    names: np.ndarray
    groups: np.ndarray
    genres: tuple[str, ...]
    embeddings: np.ndarray | None = None

    @classmethod
    def of_features(
        cls,
        file: FeaturesFile,
        split: int | None,
        spec: FrontEndSpec,
        embeddings: np.ndarray | None = None,
    ) -> Self:
        """Take the tracks of one part of a features file and of no other; None for all.

        Parameters
        ----------
        spec : that the file fits.
        embeddings : of all tracks of the file, in its order, (tracks, n).

        Raises
        ------
        DataError
            The file has no such part.
        """
        chosen = file.part(split)
        return cls(
            spec=spec,
            sounds=tuple(
                Stored.of_columns(track, spec.n_frames) for track in file.decibels(chosen)
            ),
            labels=file.labels[chosen],
            names=file.names[chosen],
            groups=file.groups[chosen],
            genres=file.genres,
            embeddings=None if embeddings is None else embeddings[chosen],
        )

    @classmethod
    def of_audio(cls, tracks: Sequence[AudioTrack], spec: FrontEndSpec) -> Self:
        """Put the tracks of an audio folder together; genres are sorted by name."""
        genres = tuple(sorted({track.genre for track in tracks}))
        return cls._of_audio(
            tracks, spec, genres, np.array([genres.index(track.genre) for track in tracks])
        )

    @classmethod
    def of_labelled(
        cls, tracks: Sequence[AudioTrack], spec: FrontEndSpec, labels: Sequence[str]
    ) -> Self:
        """Put tracks together that have any number of labels."""
        has = np.array([[label in track.labels for label in labels] for track in tracks])
        return cls._of_audio(tracks, spec, tuple(labels), has)

    @classmethod
    def _of_audio(
        cls,
        tracks: Sequence[AudioTrack],
        spec: FrontEndSpec,
        genres: tuple[str, ...],
        labels: np.ndarray,
    ) -> Self:
        return cls(
            spec=spec,
            sounds=tuple(track.sound for track in tracks),
            labels=labels,
            names=np.array([str(track.path) for track in tracks]),
            groups=np.array([track.group for track in tracks]),
            genres=genres,
        )

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, numbers: np.ndarray) -> Self:
        """Return the tracks of these numbers (n,), in their order."""
        return replace(
            self,
            sounds=tuple(self.sounds[number] for number in numbers),
            labels=self.labels[numbers],
            names=self.names[numbers],
            groups=self.groups[numbers],
            embeddings=None if self.embeddings is None else self.embeddings[numbers],
        )

    def chosen(self, which: np.ndarray) -> Self:
        """Return the tracks of which a mask (tracks,) is true."""
        return self.at(np.flatnonzero(which))

    def chunks(self) -> Self:
        """Return every whole window as a track of its own."""
        parts = [sound.chunks() for sound in self.sounds]
        owner = np.repeat(np.arange(len(self)), [len(part) for part in parts])
        return replace(self.at(owner), sounds=tuple(each for part in parts for each in part))

    def windows(self) -> tuple[np.ndarray, np.ndarray]:
        """Features of every whole window side by side, and the track that each is of.

        Returns
        -------
        windows : float32 (windows, *spec.shape), as the device computes them.
        owner : int64 (windows,).
        """
        windows = np.concatenate([sound.windows for sound in self.sounds])
        owner = np.repeat(np.arange(len(self)), [len(sound.windows) for sound in self.sounds])
        return features_of(self.spec, windows) if self.spec.made_of_levels else windows, owner
