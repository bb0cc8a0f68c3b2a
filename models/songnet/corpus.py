"""Tracks and windows of a log-mel corpus: loading, the feature contract, validation windows.

A corpus file is an npz with X uint8 (tracks, bands, columns), y (tracks,), name (tracks,),
split (tracks,) and genres (classes,). A byte is a level: 0 is -80 dB, 255 is 0 dB.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

TOP_DB = 80.0
TRAIN, VALIDATION = 0, 1


@dataclass(frozen=True)
class Tracks:
    """One part of a corpus.

    Parameters
    ----------
    db : log-mel levels in dB, time first, float32 (tracks, columns, bands).
    labels : class of each track, int64 (tracks,).
    names : name of each track, str (tracks,).
    genres : class names in label order.
    """

    db: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    genres: tuple[str, ...]

    @classmethod
    def load(cls, path: Path, split: int) -> Self:
        """Read the tracks of one split (`TRAIN` or `VALIDATION`) and of no other."""
        with np.load(path, allow_pickle=False) as file:
            chosen = file["split"] == split
            if not chosen.any():
                raise ValueError(f"{path} has no track in split {split}")
            levels = file["X"][chosen].transpose(0, 2, 1)
            return cls(
                db=decibels(levels),
                labels=file["y"][chosen].astype(np.int64),
                names=file["name"][chosen],
                genres=tuple(str(genre) for genre in file["genres"]),
            )

    def __len__(self) -> int:
        return len(self.labels)

    def windows(self, n_frames: int) -> np.ndarray:
        """Features of every whole window side by side, float32 (tracks, windows, n_frames, bands).

        Columns after a track's last whole window are left out.
        """
        n_tracks, n_columns, n_mels = self.db.shape
        n_windows = n_columns // n_frames
        if n_windows == 0:
            raise ValueError(f"a track has {n_columns} columns, a window needs {n_frames}")
        db = self.db[:, : n_windows * n_frames]
        return features(db.reshape(n_tracks, n_windows, n_frames, n_mels))


def decibels(levels: np.ndarray) -> np.ndarray:
    """Corpus bytes to dB, float32 in -80..0."""
    return levels.astype(np.float32) * np.float32(TOP_DB / 255) - np.float32(TOP_DB)


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
