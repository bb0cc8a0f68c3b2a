"""Rolling windows of a source that does not wait, or that has gaps."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.listening.rolling import rolling_windows

SPEC = FrontEndSpec.preset("log-mel")
RATE, SIZE = SPEC.sample_rate, SPEC.window_samples
HOP = 22 * SPEC.hop_length


class Blocks:
    """Blocks of a signal; before some, samples are lost."""

    def __init__(self, *blocks: NDArray[np.float32], lost: dict[int, int] | None = None) -> None:
        self._blocks = blocks
        self._lost = lost or {}
        self.rate = RATE
        self.dropped = 0

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        for number, block in enumerate(self._blocks):
            self.dropped += self._lost.get(number, 0)
            yield block


@pytest.fixture(scope="module")
def signal() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 0.1, 10 * RATE).astype(np.float32)


@pytest.mark.parametrize("late", [1, 2, 5, 9])
@pytest.mark.parametrize("hop", [RATE * 8 // 5, SIZE, SIZE + 1000])
def test_late_windows_are_left_out(signal: NDArray[np.float32], hop: int, late: int) -> None:
    first, stop = SIZE + hop, SIZE + hop * (1 + late)
    signal = np.resize(signal, stop + hop)
    source = Blocks(signal[:first], signal[first:stop], signal[stop:])
    live = list(rolling_windows(source, [SPEC], hop=hop, live=True))[:3]
    # Two windows are complete at first, then so many, then one.
    assert [window.skipped_windows for window in live] == [1, late - 1, 0]
    batch = FrontEnd(SPEC)
    for window, number in zip(live, (1, 1 + late, 2 + late), strict=True):
        begin = number * hop
        assert window.start == pytest.approx(begin / RATE)
        (features,) = window.features
        np.testing.assert_allclose(features, batch(signal[begin : begin + SIZE]), atol=1e-3)


@pytest.mark.parametrize("hop", [777, RATE // 4])
def test_blocks_longer_than_a_hop_leave_nothing_out(signal: NDArray[np.float32], hop: int) -> None:
    """A microphone's come at once, even two of them, and nobody is late for that."""
    source = Blocks(*(signal[start : start + RATE] for start in range(0, 5 * RATE, RATE)))
    windows = list(rolling_windows(source, [SPEC], hop=hop, live=True))
    assert not any(window.skipped_windows for window in windows)
    assert [w.start for w in windows] == [w.start for w in rolling_windows(source, [SPEC], hop=hop)]


def test_a_file_is_not_skipped(signal: NDArray[np.float32]) -> None:
    windows = list(rolling_windows(Blocks(signal), [SPEC], hop=HOP))
    assert not any(window.skipped_windows for window in windows)
    assert len(windows) == 1 + round((len(signal) - SIZE) / HOP)


def test_a_gap_parts_two_pieces(signal: NDArray[np.float32]) -> None:
    before, after = signal[: 4 * RATE], signal[5 * RATE :]
    source = Blocks(before, after, lost={1: RATE})
    windows = list(rolling_windows(source, [SPEC], hop=HOP))
    first = next(index for index, window in enumerate(windows) if window.dropped_samples)
    assert windows[first].dropped_samples == RATE
    # The next window begins after the gap, at its place in time, and holds nothing older.
    assert windows[first].start == pytest.approx(5.0)
    expected = FrontEnd(SPEC)(after[:SIZE])
    (features,) = windows[first].features
    np.testing.assert_allclose(features, expected, atol=1e-4)


def test_a_few_lost_samples_do_not(signal: NDArray[np.float32]) -> None:
    source = Blocks(signal[: 4 * RATE], signal[4 * RATE :], lost={1: 100})
    windows = list(rolling_windows(source, [SPEC], hop=HOP))
    assert sum(window.dropped_samples for window in windows) == 100
    starts = np.diff([window.start for window in windows[:-1]])
    assert starts.max() == pytest.approx((HOP + 100) / RATE)


def test_a_gap_at_another_rate(signal: NDArray[np.float32]) -> None:
    class Fast(Blocks):
        def __init__(self, *blocks: NDArray[np.float32], lost: dict[int, int]) -> None:
            super().__init__(*blocks, lost=lost)
            self.rate = 2 * RATE

    source = Fast(signal[: 7 * RATE], signal[: 7 * RATE], lost={1: 2 * RATE})
    windows = list(rolling_windows(source, [SPEC], hop=SIZE))
    after = [window for window in windows if window.start >= 4.5 - 1e-6]
    assert after[0].start == pytest.approx(4.5)
    np.testing.assert_allclose(after[0].features[0], windows[0].features[0], atol=1e-3)
