"""Specs of features that are made of the spectra of overlapping frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_genre.frontend.spec import FrontEndSpec, later, require

_RAISED = {"hann": 0.5, "hamming": 0.54}  # the mean of a raised cosine whose largest value is 1


# Only kinds are made. What they extend has fields alone, since a dataclass's methods are written
# anew for each class when it is loaded: here and below this halves the time that takes.
@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Framed(FrontEndSpec):
    """A short-time Fourier transform, as librosa's.

    Parameters
    ----------
    n_fft, hop_length : samples in a frame, and from one frame to the next
    window_function : ``"hann"`` or ``"hamming"``
    center : frame t is centred on sample ``t * hop_length``, the window padded by ``n_fft // 2``
    pad_mode : ``"constant"`` (zeros) or ``"reflect"``
    win_length : samples of the window function, in the middle of the frame, with zeros around it;
        None is ``n_fft``
    periodic : the window function has ``win_length`` as its period; else it ends as it begins
    power : exponent of the magnitudes: 2 gives power spectra, and 1 the magnitudes themselves
    pre_emphasis : ``y[n] = x[n] - pre_emphasis * x[n - 1]`` of the window's samples, before they
        are padded; ``y[0] = 3 x[0] - x[1]``, as librosa's ``effects.preemphasis`` begins. 0: none
    """

    n_fft: int = 2048
    hop_length: int = 512
    window_function: str = "hann"
    center: bool = True
    pad_mode: str = "constant"
    win_length: int | None = later(None)
    periodic: bool = later(True)
    power: float = later(2.0)
    pre_emphasis: float = later(0.0)

    def check(self) -> None:
        super().check()
        self.whole("n_fft", "hop_length")
        self.choice("window_function", *_RAISED)
        for key in ("center", "periodic"):
            require(isinstance(getattr(self, key), bool), key, getattr(self, key), "true or false")
        self.choice("pad_mode", "constant", "reflect")
        if self.win_length is not None:
            self.whole("win_length")
            fits = 2 <= self.win_length <= self.n_fft
            expected = f"from 2 to n_fft, {self.n_fft}"
            require(fits, "win_length", self.win_length, expected)
        self.number("power", "pre_emphasis")
        self.choice("power", 1.0, 2.0)
        require(0 <= self.pre_emphasis <= 1, "pre_emphasis", self.pre_emphasis, "from 0 to 1")
        needed = not self.pre_emphasis or self.n_fft > 1
        require(needed, "n_fft", self.n_fft, "2 or more with pre_emphasis")

    @property
    def format_version(self) -> int:
        """A version 2 has more window functions."""
        return max(super().format_version, 1 + (self.window_function != "hann"))

    @property
    def shortest(self) -> int:
        """One frame."""
        return self.n_fft

    @property
    def margin(self) -> int:
        """Samples by which a window is padded on both sides."""
        return self.n_fft // 2 if self.center else 0

    @property
    def n_frames(self) -> int:
        """Frames in one window, as librosa counts them."""
        return 1 + (self.window_samples + 2 * self.margin - self.n_fft) // self.hop_length

    @property
    def frame_window(self) -> NDArray[np.float64]:
        """What each frame is multiplied by [shape=(n_fft,)]."""
        length = self.n_fft if self.win_length is None else self.win_length
        period = length if self.periodic else max(1, length - 1)
        mean = _RAISED[self.window_function]
        window = mean - (1 - mean) * np.cos(2 * np.pi * np.arange(length) / period)
        before = (self.n_fft - length) // 2
        return np.pad(window, (before, self.n_fft - length - before))
