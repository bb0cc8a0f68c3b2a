"""Tracks of log-mel levels to train on: the feature contract, and windows to measure on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from edge_genre.benchmarks.accuracy.features_file import TOP_DB, FeaturesFile

if TYPE_CHECKING:
    from edge_genre.models.data.audio_folder import AudioTrack


@dataclass(frozen=True)
class Tracks:
    """Tracks of any lengths, their frames one after another.

    Parameters
    ----------
    frames : log-mel levels in dB of all tracks, float32 (frames, bands); of other features a
        window's whole features in each row, float32 (windows, ...).
    lengths : rows of each track, int64 (tracks,).
    labels : class of each track, int64 (tracks,).
    names : name of each track, str (tracks,).
    groups : what must not be on both sides of a split, such as the artist, str (tracks,).
    genres : class names in label order.
    embeddings : each track's embedding by a larger network, the teacher, to be learned beside the
        genres (distillation), float32 (tracks, n); None to learn genres alone.
    """

    frames: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    groups: np.ndarray
    genres: tuple[str, ...]
    embeddings: np.ndarray | None = None

    @classmethod
    def of_features(
        cls, file: FeaturesFile, split: int | None, embeddings: np.ndarray | None = None
    ) -> Self:
        """Take the tracks of one part of a features file and of no other; None for all.

        Parameters
        ----------
        embeddings : of all tracks of the file, in its order, (tracks, n).

        Raises
        ------
        DataError
            The file has no such part.
        """
        chosen = file.part(split)
        levels = file.decibels(chosen)
        return cls(
            frames=levels.reshape(-1, levels.shape[2]),
            lengths=np.full(len(levels), levels.shape[1]),
            labels=file.labels[chosen],
            names=file.names[chosen],
            groups=file.groups[chosen],
            genres=file.genres,
            embeddings=None if embeddings is None else embeddings[chosen],
        )

    @classmethod
    def of_audio(cls, tracks: Sequence[AudioTrack]) -> Self:
        """Put the tracks of an audio folder together; genres are sorted by name."""
        genres = tuple(sorted({track.genre for track in tracks}))
        return cls(
            frames=np.concatenate([track.features for track in tracks]),
            lengths=np.array([len(track.features) for track in tracks]),
            labels=np.array([genres.index(track.genre) for track in tracks]),
            names=np.array([str(track.path) for track in tracks]),
            groups=np.array([track.group for track in tracks]),
            genres=genres,
        )

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def starts(self) -> np.ndarray:
        """First frame of each track, int64 (tracks,)."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]])

    def chosen(self, which: np.ndarray) -> Self:
        """Return the tracks of which a mask (tracks,) is true."""
        return type(self)(
            frames=self.frames[np.repeat(which, self.lengths)],
            lengths=self.lengths[which],
            labels=self.labels[which],
            names=self.names[which],
            groups=self.groups[which],
            genres=self.genres,
            embeddings=None if self.embeddings is None else self.embeddings[which],
        )

    def chunks(self, n_frames: int) -> Self:
        """Return every whole stretch of so many frames as a track of its own."""
        first, owner = self._places(n_frames)
        places = first[:, None] + np.arange(n_frames)
        return type(self)(
            frames=self.frames[places.ravel()],
            lengths=np.full(len(first), n_frames),
            labels=self.labels[owner],
            names=self.names[owner],
            groups=self.groups[owner],
            genres=self.genres,
            embeddings=None if self.embeddings is None else self.embeddings[owner],
        )

    def windows(self, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Features of every whole window side by side, and the track that each is of.

        Frames after a track's last whole window are left out.

        Returns
        -------
        windows : float32 (windows, n_frames, bands); of other features (windows, ...) as they are.
        owner : int64 (windows,).
        """
        if self.frames.ndim > 2:
            return self.frames, np.repeat(np.arange(len(self)), self.lengths)
        first, owner = self._places(n_frames)
        return features(self.frames[first[:, None] + np.arange(n_frames)]), owner

    def _places(self, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
        counts = self.lengths // n_frames
        if not counts.all():
            shortest = self.lengths.min()
            raise ValueError(f"a track has {shortest} frames, a window needs {n_frames}")
        owner = np.repeat(np.arange(len(self)), counts)
        number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.starts[owner] + number * n_frames, owner


def features(db: np.ndarray) -> np.ndarray:
    """What the network is fed, float32 (..., n_frames, n_mels), from log-mel in dB of that shape.

    The contract that whoever serves the model must keep: refer the window to its own maximum, clip
    it 80 dB below (librosa's power_to_db with ref=max, top_db=80), then subtract the mean and
    divide by the standard deviation + 1e-6, both over the whole window. The level that a track was
    recorded at, and the reference that its dB were computed with, leave no trace.
    """
    axes = (-2, -1)
    clipped = np.maximum(db - db.max(axes, keepdims=True), np.float32(-TOP_DB))
    mean = clipped.mean(axes, keepdims=True)
    deviation = clipped.std(axes, keepdims=True)
    return ((clipped - mean) / (deviation + np.float32(1e-6))).astype(np.float32)
