"""Weights in 8 bits and in half precision."""

import numpy as np
import pytest

from edge_genre.convert.quantization.rounding import in_half, in_steps


@pytest.fixture(scope="module")
def kernel() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (16, 8, 3, 3)).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1])
def test_steps_are_whole_and_each_channel_has_its_own(axis):
    values = np.random.default_rng(1).normal(size=(6, 40)).astype(np.float32)
    steps, step = in_steps(values, axis)
    assert np.array_equal(steps, np.rint(steps))
    assert step.shape == ((6, 1), (1, 40))[axis]
    np.testing.assert_allclose(step, np.abs(values).max(axis=1 - axis, keepdims=True) / 127)
    assert np.abs(steps * step - values).max() <= 0.5001 * step.max()


def test_a_channel_of_zeros_stays_zero():
    values = np.zeros((2, 300), np.float32)
    values[1] = 1
    steps, step = in_steps(values, 0)
    assert np.array_equal(steps * step, values)


def test_fewer_steps():
    values = np.random.default_rng(2).normal(size=(4, 30)).astype(np.float32)
    steps, _ = in_steps(values, 0, 64)
    assert np.abs(steps).max() == 64


def test_a_kernel_in_steps_keeps_its_sums(kernel):
    steps, step = in_steps(kernel, 0, kernel=True)
    off = np.abs((steps * step - kernel).sum(axis=(2, 3))) / step[:, :, 0, 0]
    assert off.max() < 0.51
    nearest = np.abs((np.rint(kernel / step) * step - kernel).sum(axis=(2, 3))) / step[:, :, 0, 0]
    assert nearest.max() > 1
    assert np.abs(steps * step - kernel).max() < 1.01 * step.max()  # the next step but one never


def test_a_kernel_in_half_keeps_its_sums(kernel):
    halves = in_half(kernel, kernel=True)
    assert halves.dtype == np.float16
    off = np.abs((halves.astype(np.float64) - kernel).sum(axis=(2, 3)))
    nearest = np.abs((kernel.astype(np.float16).astype(np.float64) - kernel).sum(axis=(2, 3)))
    assert off.mean() < 0.05 * nearest.mean()
    assert np.abs(halves.astype(np.float32) - kernel).max() < 3e-4


def test_other_weights_go_to_the_nearest_half():
    values = np.random.default_rng(3).normal(size=(1, 30, 20)).astype(np.float32)
    assert np.array_equal(in_half(values), values.astype(np.float16))


@pytest.mark.parametrize("kernel", [False, True])
def test_what_is_too_large_for_half_precision_becomes_the_largest(kernel):
    values = np.full((1, 1, 2, 2), -1e6, np.float32)
    assert np.array_equal(in_half(values, kernel=kernel), np.full(values.shape, -65504, np.float16))
