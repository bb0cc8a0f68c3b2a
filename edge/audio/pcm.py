"""Raw PCM from a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.source import mono
from edge_genre.choices import PCM_FORMATS
from edge_genre.errors import AudioError

# NumPy's type of a sample, and the value of full scale.
_TYPES = (("<i2", 2.0**15), ("<i4", 2.0**31), ("<f4", 1.0))
FORMATS = dict(zip(PCM_FORMATS, _TYPES, strict=True))


class PcmStream:
    """Interleaved little-endian samples from a binary stream, as ``arecord`` or ``ffmpeg`` write.

    Parameters
    ----------
    stream : such as ``sys.stdin.buffer``
    rate : Hz
    channels : mixed down to one
    sample_format : one of `edge_genre.choices.PCM_FORMATS`

    Raises
    ------
    ValueError
        The rate or the number of channels is not positive, or the format is unknown.
    """

    dropped = 0

    def __init__(
        self, stream: BinaryIO, *, rate: int, channels: int = 1, sample_format: str = "s16le"
    ) -> None:
        if rate < 1 or channels < 1:
            raise ValueError(f"{rate} Hz and {channels} channels, expected 1 or more of each")
        if sample_format not in FORMATS:
            known = ", ".join(FORMATS)
            raise ValueError(f"sample_format is {sample_format!r}, expected one of {known}")
        self.rate = rate
        self._stream = stream
        self._channels = channels
        dtype, self._full_scale = FORMATS[sample_format]
        self._dtype = np.dtype(dtype)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield samples as they arrive, a tenth of a second at a time.

        Raises
        ------
        AudioError
            The stream ends within a sample, which a wrong format or channel count also causes.
        """
        frame = self._dtype.itemsize * self._channels
        size = max(1, self.rate // 10) * frame
        while data := self._stream.read(size):
            if len(data) % frame:
                raise AudioError(
                    f"raw PCM ended within a sample: {len(data) % frame} of {frame} bytes; "
                    "are --format and --channels right?"
                )
            block = np.frombuffer(data, self._dtype).reshape(-1, self._channels)
            with np.errstate(invalid="ignore", over="ignore"):  # refused later, with its position
                yield mono(block.astype(np.float32) / np.float32(self._full_scale))
