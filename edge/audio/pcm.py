"""Raw PCM from a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.source import mono
from edge_genre.errors import AudioError

# NumPy's type of a sample, and the value of full scale.
FORMATS = {
    "s16le": ("<i2", 32768.0),
    "s32le": ("<i4", 2147483648.0),
    "f32le": ("<f4", 1.0),
}


class PcmStream:
    """Interleaved little-endian samples from a binary stream, as ``arecord`` or ``ffmpeg`` write.

    Parameters
    ----------
    stream : such as ``sys.stdin.buffer``
    rate : Hz
    channels : mixed down to one
    sample_format : one of `FORMATS`
    """

    dropped = 0

    def __init__(
        self, stream: BinaryIO, *, rate: int, channels: int = 1, sample_format: str = "s16le"
    ) -> None:
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
