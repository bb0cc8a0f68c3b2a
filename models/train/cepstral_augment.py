"""Augmentations of five-channel windows, as far as features in their final form allow any."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_genre.models.data.corpus import Tracks

_WITH_LEVEL = (0, 3)  # channels whose first row is the level: MFCC, and MFCC between beats


@dataclass(frozen=True)
class CepstralAugmentation:
    """How far a window of MFCC, deltas, beats and chroma may stray.

    Parameters
    ----------
    gain_db : change of level, either way.
    mask_frames : longest stretch of frames that is hidden.
    """

    gain_db: float = 12.0
    mask_frames: int = 20

    def windows(
        self, tracks: Tracks, chosen: np.ndarray, n_frames: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Take one random window of each chosen track and change it.

        Parameters
        ----------
        tracks : of windows (5, coefficients, frames), whole ones.
        chosen : indices of tracks, (batch,).
        n_frames : those of a whole window, since it is not cut.
        rng : source of every draw.

        Returns
        -------
        float32 (batch, 5, coefficients, frames).
        """
        sounds = [tracks.sounds[number] for number in chosen]
        which = rng.integers([len(sound) for sound in sounds])
        x = np.stack([sound.windows[n] for sound, n in zip(sounds, which, strict=True)])
        # A gain moves all bands alike, and the DCT's first row by sqrt(bands) times that.
        gain = rng.uniform(-self.gain_db, self.gain_db, (len(x), 1, 1)) * math.sqrt(128)
        x[:, _WITH_LEVEL, 0] += gain.astype(np.float32)
        length = rng.integers(0, self.mask_frames + 1, (len(x), 1))
        start = rng.integers(0, x.shape[-1] - length + 1)
        index = np.arange(x.shape[-1])
        hidden = (index >= start) & (index < start + length)
        mean = x.mean(axis=-1, keepdims=True)
        return np.where(hidden[:, None, None, :], mean, x)
