"""Recordings that are the same: re-encoded, louder or quieter, cut at another place.

After Haitsma and Kalker, "A highly robust audio fingerprinting system" (ISMIR 2002): a frame of a
third of a second gives 32 bits, the signs of the differences of neighbouring bands' energies, less
those of a frame before. Equal bits propose two tracks and a lag; the share of bits that differ over
all that the two have in common decides. Another speed or pitch, or another performance, is another
recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend.spec import FrontEndSpec

# The paper's bands, 300 Hz to 2 kHz, and a frame of 0.34 s (there 0.37 s) every 21 ms (11.6 ms).
SPEC = FrontEndSpec(
    sample_rate=6000,
    n_fft=2048,
    center=False,
    hop_length=128,
    n_mels=33,
    mel_scale="htk",
    fmin=300.0,
    fmax=2000.0,
    ref=1.0,
    top_db=None,
)
SECONDS = 120  # of a track that are looked at: albums and mixes would fill the memory

# The paper's. Of different recordings about half of the bits differ.
_LARGEST_DIFFERENCE = 0.35
_FEWEST_FRAMES = 128  # in common: 2.7 s, the paper's 3 s
# Equal frames are held against so many others each: some, such as those of a hum, are everywhere.
_NEIGHBOURS = 8


def fingerprint(decibels: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Fingerprint of a track.

    Parameters
    ----------
    decibels : log-mel levels by `SPEC`, float32 [shape=(n, 33)], of the first `SECONDS` at most

    Returns
    -------
    uint32 [shape=(n - 1,)]; 0 where nothing is heard
    """
    steps = decibels[:, :-1] - decibels[:, 1:]
    bits = steps[1:] > steps[:-1]
    return np.packbits(bits, axis=1).view(">u4").ravel().astype(np.uint32)


def copies(prints: Sequence[NDArray[np.uint32]]) -> list[tuple[int, int]]:
    """Pairs of tracks that hold the same recording, at least 2.7 s of it.

    Of many copies of one recording not every pair is found, but enough to connect them all.

    Parameters
    ----------
    prints : `fingerprint` of each track

    Returns
    -------
    The tracks' numbers, the lower one first, sorted
    """
    found: set[tuple[int, int]] = set()
    for first, second, lag in _proposed(prints):
        if (first, second) not in found and _same(prints[first], prints[second], lag):
            found.add((first, second))
    return sorted(found)


def _proposed(prints: Sequence[NDArray[np.uint32]]) -> Iterator[tuple[int, int, int]]:
    """Two tracks with a frame in common, and how many frames earlier the second has it."""
    lengths = [len(each) for each in prints]
    values = np.concatenate([np.empty(0, np.uint32), *prints])
    track = np.repeat(np.arange(len(prints)), lengths)
    frame = np.concatenate([np.empty(0, np.int64), *map(np.arange, lengths)])
    # A frame like the one before it, as in silence, says nothing more.
    place = np.flatnonzero(np.diff(values, prepend=0)).astype(np.uint64)
    # Sorted with their places in their lower halves, equal values stand side by side.
    order = np.sort(values[place].astype(np.uint64) << np.uint64(32) | place)
    value, place = order >> np.uint64(32), (order & np.uint64(0xFFFFFFFF)).astype(np.int64)
    proposed = [np.empty((0, 3), np.int64)]
    for step in range(1, _NEIGHBOURS + 1):
        equal = np.flatnonzero(value[step:] == value[:-step])
        one, other = place[equal], place[equal + step]
        pairs = np.stack([track[one], track[other], frame[one] - frame[other]], axis=1)
        proposed.append(pairs[track[one] != track[other]])
    for first, second, lag in np.unique(np.concatenate(proposed), axis=0):
        yield int(first), int(second), int(lag)


def _same(first: NDArray[np.uint32], second: NDArray[np.uint32], lag: int) -> bool:
    """Whether few bits differ where both are heard, the first one's frames ``lag`` later."""
    first, second = first[max(lag, 0) :], second[max(-lag, 0) :]
    length = min(len(first), len(second))
    first, second = first[:length], second[:length]
    heard = (first != 0) & (second != 0)
    if heard.sum() < _FEWEST_FRAMES:
        return False
    differing = np.unpackbits((first[heard] ^ second[heard]).view(np.uint8))
    return float(differing.mean()) <= _LARGEST_DIFFERENCE
