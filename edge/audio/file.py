"""Audio files, read in blocks through libsndfile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.source import mono
from edge_genre.errors import AudioError

BLOCK_SECONDS = 1.0

# What libsndfile reads, by the names that people give such files.
EXTENSIONS = frozenset("aif aifc aiff au caf flac mp3 oga ogg opus rf64 snd w64 wav wave".split())


class AudioFile:
    """A file of any rate, length and number of channels; never in memory as a whole.

    Use it as a context manager.

    Parameters
    ----------
    path : WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF, ...

    Raises
    ------
    AudioError
        It is missing, empty, not audio, or cut off. (The message leaves the path to the caller, who
        can also say it of errors that come later, such as NaN.)
    """

    dropped = 0

    def __init__(self, path: str | Path) -> None:
        import soundfile

        self._path = Path(path)
        if not self._path.is_file():
            what = "is a folder" if self._path.is_dir() else "no such file"
            raise AudioError(what)
        try:
            empty = not self._path.stat().st_size
            cut_off = _cut_off(self._path)
            self._file: Any = soundfile.SoundFile(str(path))
        except OSError as error:
            raise AudioError(f"cannot be read ({error.strerror})") from None
        except soundfile.LibsndfileError as error:
            what = "is empty" if empty else f"is no audio file that can be read ({error})"
            raise AudioError(" ".join(what.split())) from None
        if cut_off:
            self._file.close()
            raise AudioError(f"cut off: {cut_off}")
        self._error = soundfile.LibsndfileError
        self.rate = int(self._file.samplerate)

    @property
    def duration(self) -> float:
        """Seconds, as the file's header has it."""
        return float(self._file.frames) / self.rate

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the file's samples, a second at a time.

        Raises
        ------
        AudioError
            The file ends before its own header says, or its data are damaged.
        """
        size = round(BLOCK_SECONDS * self.rate)
        read, expected = 0, self._file.frames
        try:
            while len(block := self._file.read(size, dtype="float32", always_2d=True)):
                read += len(block)
                yield mono(block)
        except self._error as error:
            raise AudioError(
                f"cut off or damaged after {read / self.rate:.1f} s ({error})"
            ) from None
        if read < expected:
            raise AudioError(
                f"cut off after {read / self.rate:.1f} s, "
                f"its header says {expected / self.rate:.1f} s"
            )

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()


class RealTime:
    """A source that gives its blocks no faster than they would be played.

    Parameters
    ----------
    source : any source
    clock, sleep : for tests
    """

    def __init__(
        self,
        source: AudioFile,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source = source
        self._clock = clock
        self._sleep = sleep
        self.rate = source.rate

    @property
    def dropped(self) -> int:
        """Samples lost so far."""
        return self._source.dropped

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield a tenth of a second at a time, each when it has been played."""
        begin, played = self._clock(), 0
        size = max(1, self.rate // 10)
        for block in self._source.blocks():
            for first in range(0, len(block), size):
                piece = block[first : first + size]
                played += len(piece)
                wait = begin + played / self.rate - self._clock()
                if wait > 0:
                    self._sleep(wait)
                yield piece


def find_audio(folder: Path) -> list[Path]:
    """Audio files below a folder, by their extensions, sorted; hidden ones are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower().removeprefix(".") in EXTENSIONS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


# Programs that write to a pipe cannot know the length, and put in one that is about 2 or 4 GiB.
_UNKNOWN_LENGTH = 0x7FFF0000


def _cut_off(path: Path) -> str:
    """What shows that a file ends too early, where libsndfile would read on without a word.

    It takes a WAV or AIFF file for as long as it is, and an Ogg file to end with its last page.
    (Of FLAC and MP3 it knows the length.)
    """
    with path.open("rb") as stream:
        head = stream.read(8)
        size = stream.seek(0, os.SEEK_END)
        if head[:4] in (b"RIFF", b"FORM"):
            length = int.from_bytes(head[4:], "little" if head[:4] == b"RIFF" else "big") + 8
            if size < length < _UNKNOWN_LENGTH:
                return f"has {size} bytes, its header says {length}"
        if head[:4] == b"OggS":
            stream.seek(max(0, size - _OGG_PAGE))
            tail = stream.read()
            page = tail[tail.rfind(b"OggS") :]
            # RFC 3533: byte 5 holds the flags, byte 26 the number of segment lengths that follow.
            segments = page[26] if len(page) > 26 else 0
            length = 27 + segments + sum(page[27 : 27 + segments])
            if len(page) < max(28, length) or not page[5] & _OGG_LAST:
                return "its last Ogg page is missing"
    return ""


_OGG_PAGE = 27 + 255 + 255 * 255  # the longest there is
_OGG_LAST = 4
