"""Specs of features that are made of the spectra of overlapping frames."""

from __future__ import annotations

from dataclasses import dataclass

from edge_genre.frontend.spec import FrontEndSpec, require


@dataclass(frozen=True, kw_only=True)
class Framed(FrontEndSpec):
    """A short-time Fourier transform, as librosa's.

    Parameters
    ----------
    n_fft, hop_length : samples in a frame, and from one frame to the next
    window_function : ``"hann"`` (periodic)
    center : frame t is centred on sample ``t * hop_length``, the window padded by ``n_fft // 2``
    pad_mode : ``"constant"`` (zeros) or ``"reflect"``
    """

    n_fft: int = 2048
    hop_length: int = 512
    window_function: str = "hann"
    center: bool = True
    pad_mode: str = "constant"

    def check(self) -> None:
        super().check()
        self.whole("n_fft", "hop_length")
        self.choice("window_function", "hann")
        require(isinstance(self.center, bool), "center", self.center, "true or false")
        self.choice("pad_mode", "constant", "reflect")

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
