"""Fingerprints: the paper's bits, copies that are found, and what is no copy."""

from __future__ import annotations

import numpy as np

from edge_genre.models.data.fingerprint import copies, fingerprint
from tests.support.prints import RATE, print_of
from tests.support.signals import music


def test_bits_are_those_of_the_paper() -> None:
    """Haitsma and Kalker: F(n, m) = 1 if E(n, m) - E(n, m+1) - (E(n-1, m) - E(n-1, m+1)) > 0."""
    energies = np.random.default_rng(0).standard_normal((3, 33)).astype(np.float32)
    found = fingerprint(energies)
    assert len(found) == 2
    for n in (1, 2):
        for m in range(32):
            e = energies
            bit = e[n, m] - e[n, m + 1] - (e[n - 1, m] - e[n - 1, m + 1]) > 0
            assert (int(found[n - 1]) >> (31 - m)) & 1 == bit


def test_an_offset_noisy_and_quieter_copy_is_found() -> None:
    song, other = (music(12 * RATE, RATE, seed=seed) for seed in (1, 2))
    noise = np.random.default_rng(0).standard_normal(12 * RATE).astype(np.float32)
    copy = (0.3 * (song + 0.01 * noise))[int(1.3 * RATE) :]
    assert copies([print_of(each) for each in (song, other, copy)]) == [(0, 2)]


def test_an_overlap_of_less_than_the_fewest_frames_is_no_copy() -> None:
    song = print_of(music(12 * RATE, RATE, seed=1))
    assert copies([song[:-100], song[-227:]]) == []
    assert copies([song[:-100], song[-228:]]) == [(0, 1)]


def test_silence_is_no_recording() -> None:
    """Ten seconds of it and a jingle of one second make no copies of two songs."""
    same = [np.zeros(10 * RATE, np.float32), music(RATE, RATE, seed=3)]
    songs = [np.concatenate([*same, music(5 * RATE, RATE, seed=seed)]) for seed in (1, 2)]
    assert copies([print_of(each) for each in songs]) == []
