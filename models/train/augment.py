"""Augmentations of log-mel windows: what may change in a recording without changing its genre.

Pure functions over float32 arrays of dB, (batch, frames, bands), that draw from the generator they
are handed. With 44 tracks a genre, and few artists among them, they are most of what keeps a
network from learning the studio instead of the music.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_genre.benchmarks.accuracy.levels import features_of
from edge_genre.models.data.corpus import Tracks

_COLUMN = 1711 / 22_050  # seconds from one frame of songnet-gtzan to the next


@dataclass(frozen=True)
class Augmentation:
    """How far a training window may stray.

    Parameters
    ----------
    stretch : tempo change, as a fraction either way.
    blend : mix neighbouring frames in a stretch. Not where they lie further apart than they are
        long: what is mixed of them is like neither.
    shift : pitch shift in mel bands, either way.
    equalise_db : gain of the random equaliser in dB, either way.
    floor_db : highest level of the added noise under the window's maximum, in dB.
    band_limited : share of windows that lose their lowest and highest bands, as through a small
        loudspeaker or a coder.
    coded : share of windows whose highest bands come and go, as a coder's do.
    overdriven : share of windows with noise that follows the music, as of a clipped input.
    reverberant : share of windows that are heard in a room.
    jitter_db : standard deviation of the noise on single levels, in dB, as of a coder.
    masks : masks along each axis (SpecAugment).
    mask_frames : longest mask in frames.
    mask_bands : widest mask in bands.
    """

    stretch: float = 0.2
    blend: bool = True
    shift: float = 3.0
    equalise_db: float = 6.0
    floor_db: float = -40.0
    band_limited: float = 0.4
    coded: float = 0.5
    overdriven: float = 0.3
    reverberant: float = 0.3
    jitter_db: float = 1.5
    masks: int = 2
    mask_frames: int = 6
    mask_bands: int = 16

    def __post_init__(self) -> None:
        for name in ("band_limited", "coded", "overdriven", "reverberant"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie in 0..1")
        if not 0 <= self.stretch < 1:
            raise ValueError(f"stretch is {self.stretch}; it must lie in 0..1, 1 excluded")
        for name in ("shift", "equalise_db", "jitter_db", "masks", "mask_frames", "mask_bands"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be negative")
        if self.floor_db > 0:
            raise ValueError(f"floor_db is {self.floor_db}; it must not be above 0")

    def windows(
        self,
        tracks: Tracks,
        chosen: np.ndarray,
        n_frames: int,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Cut one random window from each chosen track and change it in every way.

        Parameters
        ----------
        tracks : what to cut from.
        chosen : indices of tracks, (batch,).
        n_frames : frames in a window.
        rng : source of every draw.

        Returns
        -------
        Features, float32 (batch, ...): the front end's shape, but for the number of frames.
        """
        spec = tracks.spec
        x = stretched_crops(tracks, chosen, n_frames, self.stretch, rng, blend=self.blend)
        x = spec.decibels(x)
        x = shift_pitch(x, self.shift, rng)
        x = equalise(x, self.equalise_db, rng)
        if self.overdriven:
            x = overdrive(x, self.overdriven, rng)
        if self.band_limited:
            x = limit_band(x, self.band_limited, rng)
        if self.reverberant:
            seconds = spec.hop_length / spec.sample_rate
            x = reverberate(x, self.reverberant, rng, frame_seconds=seconds)
        x = add_noise_floor(x, self.floor_db, rng)
        if self.coded:
            x = drop_treble(x, self.coded, rng)
        if self.jitter_db:
            x = x + rng.normal(0, self.jitter_db, x.shape).astype(np.float32)
        x = mask(x, 1, self.masks, self.mask_frames, rng)
        x = mask(x, 2, self.masks, self.mask_bands, rng)
        return features_of(spec, spec.rows(x))


def stretched_crops(
    tracks: Tracks,
    chosen: np.ndarray,
    n_frames: int,
    stretch: float,
    rng: np.random.Generator,
    *,
    blend: bool = True,
) -> np.ndarray:
    """Random crops of tracks, played up to `stretch` faster or slower.

    Frames are interpolated linearly, or with `blend` false the nearest are taken; see
    `edge_genre.models.data.stored.Stored.crop`. Returns levels (len(chosen), n_frames, bands).
    """
    sounds = [tracks.sounds[number] for number in chosen]
    lengths = np.array([len(sound) for sound in sounds])
    if lengths.min() < n_frames:
        raise ValueError(f"a track has {lengths.min()} frames, a window needs {n_frames}")
    rate = rng.uniform(1 - stretch, 1 + stretch, len(chosen))
    # The fastest window must still fit into the track.
    rate = np.minimum(rate, (lengths - 1) / max(n_frames - 1, 1))
    room = np.maximum(lengths - 1 - rate * (n_frames - 1), 0)  # which rounding makes negative
    start = rng.uniform(0, room)
    return np.stack(
        [
            sound.crop(begin, speed, n_frames, blend=blend)
            for sound, begin, speed in zip(sounds, start, rate, strict=True)
        ]
    )


def shift_pitch(x: np.ndarray, shift: float, rng: np.random.Generator) -> np.ndarray:
    """Move each window up or down by as much as `shift` bands; the outermost band is repeated.

    A move along the mel axis is a transposition for the ear only roughly, which is enough here.
    """
    n_mels = x.shape[2]
    position = np.arange(n_mels) - rng.uniform(-shift, shift, (len(x), 1))
    position = np.clip(position, 0, n_mels - 1)
    below = np.minimum(position.astype(np.int64), max(n_mels - 2, 0))
    above = np.minimum(below + 1, n_mels - 1)
    share = (position - below).astype(np.float32)[:, None, :]
    return (
        np.take_along_axis(x, below[:, None, :], 2) * (1 - share)
        + np.take_along_axis(x, above[:, None, :], 2) * share
    )


def equalise(
    x: np.ndarray, gain_db: float, rng: np.random.Generator, *, knobs: int = 6
) -> np.ndarray:
    """Pass each window through its own equaliser: `knobs` gains, joined by straight lines."""
    gains = rng.uniform(-gain_db, gain_db, (len(x), knobs))
    position = np.linspace(0, knobs - 1, x.shape[2])
    below = np.minimum(position.astype(np.int64), knobs - 2)
    share = position - below
    curve = gains[:, below] * (1 - share) + gains[:, below + 1] * share
    return x + curve[:, None, :].astype(np.float32)


def limit_band(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Let some windows fall off below a low and above a high band.

    The corners lie in the lowest eighth and the highest 45 % of the bands. An octave is about five
    bands there at the low end and 25 at the high one, so that slopes are 3 to 15 and 5 to 25 dB an
    octave.
    """
    n, n_mels = len(x), x.shape[2]
    bands = np.arange(n_mels)
    low, high = rng.uniform(0, n_mels / 8, (n, 1)), rng.uniform(0.55 * n_mels, n_mels, (n, 1))
    loss = rng.uniform(0.6, 3, (n, 1)) * np.maximum(low - bands, 0)
    loss += rng.uniform(0.2, 1, (n, 1)) * np.maximum(bands - high, 0)
    loss *= rng.random((n, 1)) < share
    return x - loss[:, None, :].astype(np.float32)


def drop_treble(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Take the highest bands away from some windows, in some of the frames, as coders do.

    Up to an eighth of the bands loses up to 60 dB. MP3 at 64 kbit/s drops the last five bands of
    128 in a fifth of the frames; a network that has not heard that leans on what was there.
    """
    n, n_frames, n_mels = x.shape
    bands = np.arange(n_mels) >= n_mels - rng.integers(1, max(2, n_mels // 8 + 1), (n, 1))
    frames = rng.random((n, n_frames)) < rng.random((n, 1))
    chosen = rng.random((n, 1)) < share
    loss = rng.uniform(0, 60, (n, 1, 1)).astype(np.float32)
    return x - loss * ((bands & chosen)[:, None, :] & frames[:, :, None])


def overdrive(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Add to some windows what clipping adds: products that rise and fall with the music.

    A frame's products lie 20 to 50 dB below its power at the lowest band, and fall by up to 30 dB
    towards the highest: clipping real songs at a third of their peaks adds -28 and -60 dB.
    """
    n, n_mels = len(x), x.shape[2]
    level = rng.uniform(-50, -20, (n, 1)) - rng.uniform(0, 30, (n, 1)) * np.linspace(0, 1, n_mels)
    level[rng.random(n) >= share] = -200
    power = _power(x)
    products = power.sum(2, keepdims=True) * _power(level[:, None, :].astype(np.float32))
    return _decibels(power + products)


def reverberate(
    x: np.ndarray, share: float, rng: np.random.Generator, *, frame_seconds: float = _COLUMN
) -> np.ndarray:
    """Let some windows ring: powers decay exponentially from frame to frame.

    The decay is 3 to 20 dB in 78 ms, which is a reverberation time of 0.25 to 1.5 s, and what rings
    is 12 dB weaker to 3 dB stronger than what rang it.
    """
    n = len(x)
    decay = _power(-rng.uniform(3, 20, (n, 1)) * (frame_seconds / _COLUMN))
    wet = _power(rng.uniform(-12, 3, (n, 1))) * (rng.random((n, 1)) < share)
    power = _power(x)
    ringing, out = np.zeros_like(power[:, 0]), np.empty_like(power)
    for frame in range(x.shape[1]):
        out[:, frame] = power[:, frame] + wet * ringing
        ringing = decay * (ringing + power[:, frame])
    return _decibels(out)


def _power(decibels: np.ndarray) -> np.ndarray:
    return np.exp(decibels * (math.log(10) / 10), dtype=np.float32)


def _decibels(power: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(power, np.float32(1e-20))) * np.float32(10 / math.log(10))


def add_noise_floor(
    x: np.ndarray, highest_db: float, rng: np.random.Generator, *, lowest_db: float = -80.0
) -> np.ndarray:
    """Add steady noise, as a room or a microphone does, at a random level under the maximum.

    Powers are added: 10 log10(10^(x/10) + 10^(floor/10)).
    """
    level = rng.uniform(min(lowest_db, highest_db), highest_db, (len(x), 1, 1))
    floor = x.max((1, 2), keepdims=True) + level.astype(np.float32)
    nepers = np.float32(np.log(10) / 10)
    return np.logaddexp(x * nepers, floor * nepers) / nepers


def mask(
    x: np.ndarray, axis: int, count: int, longest: int, rng: np.random.Generator
) -> np.ndarray:
    """Hide `count` stretches of up to `longest` frames (axis 1) or bands (axis 2).

    SpecAugment (Park et al. 2019, arXiv:1904.08779) with the window's mean in the gaps, which
    normalisation turns into 0.
    """
    size = x.shape[axis]
    length = rng.integers(0, min(longest, size) + 1, (len(x), count))
    start = rng.integers(0, size - length + 1)
    index = np.arange(size)
    hidden = (index >= start[..., None]) & (index < (start + length)[..., None])
    hidden = np.expand_dims(hidden.any(1), 3 - axis)
    return np.where(hidden, x.mean((1, 2), keepdims=True), x)


def mixup(
    x: np.ndarray, y: np.ndarray, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mix each window and its targets with another one of the batch (arXiv:1710.09412).

    The share is drawn from Beta(alpha, alpha) for each window; 0 mixes nothing.

    Parameters
    ----------
    x : features (batch, ...).
    y : targets (batch, n).
    """
    if alpha == 0:
        return x, y
    share = rng.beta(alpha, alpha, len(x)).astype(np.float32)
    other = rng.permutation(len(x))
    of_x = share.reshape(-1, *[1] * (x.ndim - 1))
    of_y = share[:, None]
    return x * of_x + x[other] * (1 - of_x), y * of_y + y[other] * (1 - of_y)
