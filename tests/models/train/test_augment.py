"""What augmentation may make of windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_genre.models.train.augment import (
    Augmentation,
    add_noise_floor,
    drop_treble,
    equalise,
    limit_band,
    mask,
    mixup,
    overdrive,
    reverberate,
    shift_pitch,
    stretched_crops,
)
from tests.support.tracks import tracks_of

N_FRAMES, N_MELS = 39, 128


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    stretch=st.floats(0, 0.9),
    shift=st.floats(0, 200),
    gain=st.floats(0, 60),
    masks=st.integers(0, 5),
    longest=st.integers(0, 300),
    quiet=st.booleans(),
)
def test_augmentation_is_seeded_and_keeps_shape_and_finiteness(
    seed: int, stretch: float, shift: float, gain: float, masks: int, longest: int, quiet: bool
) -> None:
    augmentation = Augmentation(
        stretch=stretch,
        shift=shift,
        equalise_db=gain,
        masks=masks,
        mask_frames=longest,
        mask_bands=longest,
    )
    levels = np.random.default_rng(1).uniform(-80, 0, (3, 45, 16)).astype(np.float32)
    if quiet:
        levels[:] = -80
    tracks = tracks_of(*levels, n_frames=40)
    chosen = np.array([2, 0, 1, 2])
    first, again = (
        augmentation.windows(tracks, chosen, 40, np.random.default_rng(seed)) for _ in range(2)
    )
    assert first.shape == (4, 40, 16)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)


def test_augmentation_of_nothing_is_a_plain_crop() -> None:
    levels = np.random.default_rng(1).uniform(-80, 0, (2, N_FRAMES, 16)).astype(np.float32)
    none = Augmentation(stretch=0, shift=0, equalise_db=0, floor_db=0, masks=0)
    crops = stretched_crops(
        tracks_of(*levels), np.array([1, 0]), N_FRAMES, 0, np.random.default_rng(0)
    )
    np.testing.assert_allclose(crops, levels[[1, 0]], atol=1e-4)
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(equalise(shift_pitch(crops, none.shift, rng), 0, rng), crops)
    np.testing.assert_array_equal(mask(crops, 1, 0, 9, rng), crops)


def test_stretched_ramp_stays_a_ramp_within_the_track() -> None:
    # Of three tracks of different lengths, the second: 100 frames between those of its neighbours.
    ramp = np.broadcast_to(np.arange(100, dtype=np.float32)[:, None], (100, 4))
    outside = np.full((50, 4), 1e6, np.float32)
    chosen = np.ones(200, np.int64)
    crops = stretched_crops(
        tracks_of(outside, ramp, outside), chosen, 39, 0.2, np.random.default_rng(0)
    )[:, :, 0]
    steps = np.diff(crops, axis=1)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1], steps.shape), atol=1e-3)
    assert 0.79 < steps.min() < 0.85
    assert 1.15 < steps.max() < 1.21
    assert crops.min() >= 0
    assert crops.max() <= 99


def test_a_track_of_one_window_can_be_played_faster_by_nothing() -> None:
    """Of one frame more, too: what rounding leaves is no room for a start."""
    for n_frames in range(2, 200):
        levels = np.zeros((n_frames + 1, 2), np.float32)
        for length in (n_frames, n_frames + 1):
            tracks = tracks_of(levels[:length], n_frames=n_frames)
            chosen, rng = np.zeros(9, int), np.random.default_rng(n_frames)
            assert stretched_crops(tracks, chosen, n_frames, 0.5, rng).shape == (9, n_frames, 2)


def test_pitch_shift_moves_a_peak_no_further_than_asked() -> None:
    x = np.full((300, 2, 32), -60, np.float32)
    x[:, :, 16] = 0
    centre = (10 ** (shift_pitch(x, 3, np.random.default_rng(0))[:, 0] / 10)).argmax(1)
    assert set(centre) == {13, 14, 15, 16, 17, 18, 19}


def test_equaliser_is_one_curve_for_all_frames() -> None:
    x = np.random.default_rng(1).uniform(-80, 0, (5, 9, 32)).astype(np.float32)
    gain = equalise(x, 6, np.random.default_rng(0)) - x
    np.testing.assert_allclose(gain, np.broadcast_to(gain[:, :1], gain.shape), atol=1e-4)
    assert np.abs(gain).max() <= 6.001
    assert gain.std() > 1


def test_a_limited_band_falls_off_at_both_ends_of_some_windows() -> None:
    x = np.zeros((400, 2, 128), np.float32)
    limited = limit_band(x, 0.5, np.random.default_rng(0))
    changed = limited.any((1, 2))
    assert 0.4 < changed.mean() < 0.6
    assert not limited[:, :, 17:70].any()
    assert (np.diff(limited[:, 0, :17], axis=1) >= 0).all()
    assert (np.diff(limited[:, 0, 70:], axis=1) <= 0).all()
    assert -60 < limited.min() < -20
    np.testing.assert_array_equal(limited[:, 0], limited[:, 1])


def test_a_coder_takes_treble_from_some_frames() -> None:
    x = np.zeros((400, 9, N_MELS), np.float32)
    lost = -drop_treble(x, 0.5, np.random.default_rng(0))
    assert 0.35 < lost.any((1, 2)).mean() < 0.55
    assert not lost[:, :, : N_MELS - N_MELS // 8].any()
    assert 55 < lost.max() <= 60
    for window in lost[lost.any((1, 2))]:
        frames, bands = window.any(1), window.any(0)
        assert (np.diff(bands.astype(int)) >= 0).all()  # the highest ones, without a gap
        assert (window > 0).sum() == frames.sum() * bands.sum()


def test_overdrive_adds_products_that_follow_the_music() -> None:
    x = np.full((300, 2, N_MELS), -60, np.float32)
    x[:, 0, 40], x[:, 1, 40] = 0, -20  # a loud and a quieter frame
    got = overdrive(x, 0.5, np.random.default_rng(0))
    changed = np.abs(got - x).max((1, 2)) > 0.1
    assert 0.4 < changed.mean() < 0.6
    assert got.min() > -60.01
    loud = got[changed][:, 0, 0]
    assert -50.5 < loud.min() < -40
    assert -25 < loud.max() < -19.5
    quiet = got[changed][:, 1, 0]
    assert (quiet <= loud).all()


def test_a_room_rings_on_and_decays() -> None:
    x = np.full((200, 12, 4), -80, np.float32)
    x[:, 3] = 0
    got = reverberate(x, 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(got[:, 3], 0, atol=1e-3)
    assert (got[:, :3] >= -80.001).all()
    tail = got[:, 4:9, 0]
    steps = np.diff(tail, axis=1)
    assert (steps < -2.9).mean() > 0.9  # the rest has fallen to the floor
    assert tail[:, 0].max() <= 0.01
    np.testing.assert_allclose(reverberate(x, 0.0, np.random.default_rng(0)), x, atol=1e-3)


def test_frames_that_are_not_blended_are_frames_of_the_track() -> None:
    ramp = np.arange(100, dtype=np.float32)[:, None].repeat(4, 1) * 2
    crops = stretched_crops(
        tracks_of(ramp), np.zeros(50, np.int64), 39, 0.2, np.random.default_rng(0), blend=False
    )
    assert set(np.unique(crops)) <= set(ramp[:, 0])


def test_noise_floor_adds_power() -> None:
    x = np.array([[[0.0, -20.0, -80.0]]], np.float32)
    got = add_noise_floor(x, -20, np.random.default_rng(0), lowest_db=-20)
    want = 10 * np.log10(10 ** (x.astype(np.float64) / 10) + 10**-2)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_masks_hide_whole_frames_or_bands_with_the_mean() -> None:
    x = np.random.default_rng(1).uniform(-80, 0, (50, 9, 32)).astype(np.float32)
    for axis, other in ((1, 2), (2, 1)):
        hidden = mask(x, axis, 2, 3, np.random.default_rng(0)) != x
        lines = hidden.any(other)
        np.testing.assert_array_equal(lines, hidden.all(other))
        assert 0 < lines.sum(1).max() <= 6


def test_mixup_keeps_targets_a_distribution() -> None:
    x = np.arange(8, dtype=np.float32).repeat(6).reshape(8, 2, 3)
    y = np.eye(8, dtype=np.float32)
    mixed, targets = mixup(x, y, 0.3, np.random.default_rng(0))
    np.testing.assert_allclose(targets.sum(1), 1, atol=1e-6)
    # Features and targets are mixed in the same shares.
    np.testing.assert_allclose(mixed[:, 0, 0], targets @ np.arange(8), atol=1e-5)
    assert (targets.max(1) < 0.999).any()


@pytest.mark.parametrize(
    "wrong", [{"stretch": 1.0}, {"shift": -1.0}, {"floor_db": 3.0}, {"jitter_db": -1.0}]
)
def test_impossible_augmentations_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augmentation(**wrong)
