"""Audio files, read in blocks through libsndfile."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.source import mono
from edge_genre.errors import AudioError, DataError
from edge_genre.host.files import reading, reason
from edge_genre.host.quiet import quiet_libraries

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
        try:
            import soundfile
        except OSError:
            raise AudioError(
                "libsndfile is missing: sudo apt install libsndfile1 (Debian, Raspberry Pi OS)"
            ) from None
        self._error = soundfile.LibsndfileError
        try:
            _require_file(Path(path))
            cut_off = _cut_off(Path(path))
            with quiet_libraries():  # mpg123 comments on what it reads
                self._file: Any = soundfile.SoundFile(_readable(Path(path)))
        except OSError as error:
            raise AudioError(f"cannot be read ({reason(error)})") from None
        except soundfile.LibsndfileError:
            raise AudioError(
                "is no audio file that can be read (WAV, FLAC, Ogg, Opus, MP3, AIFF)"
            ) from None
        if cut_off:
            self._file.close()
            raise AudioError(f"cut off: {cut_off}")
        self.rate = int(self._file.samplerate)

    @property
    def duration(self) -> float | None:
        """Seconds, as the file's header has it; None where it does not say."""
        return float(self._file.frames) / self.rate if self._file.seekable() else None

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the file's samples, a second at a time.

        Raises
        ------
        AudioError
            The file ends before its own header says, or its data are damaged.
        """
        size = round(BLOCK_SECONDS * self.rate)
        read, expected = 0, self._file.frames if self._file.seekable() else 0
        try:
            while True:
                with quiet_libraries():
                    block = self._file.read(size, dtype="float32", always_2d=True)
                if not len(block):
                    break
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


def require_audio(folder: Path) -> list[Path]:
    """What `find_audio` finds in a folder, where it has to find something.

    Raises
    ------
    DataError
        The folder cannot be read, or holds no audio.
    """
    with reading(folder, DataError):
        files = find_audio(folder)
    if not files:
        raise DataError(f"{folder}: holds no audio")
    return files


def genre_of(path: Path, genres: Sequence[str]) -> int | None:
    """The number of a file's genre: its folder's name, or its own up to the first dot.

    Case does not matter. None if neither is one of ``genres``.
    """
    numbers = {genre.casefold(): number for number, genre in enumerate(genres)}
    names = (path.parent.name, path.name.partition(".")[0])
    return next((numbers[name.casefold()] for name in names if name.casefold() in numbers), None)


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise AudioError("is a folder")
    if not path.exists():
        raise AudioError("no such file")
    if not path.is_file():
        raise AudioError("is no regular file; pipe it in as raw PCM")
    if not path.stat().st_size:
        raise AudioError("is empty")


def _readable(path: Path) -> bytes | int:
    """What to hand to libsndfile: the path as bytes, since names need not be text, or a pipe.

    Of an MP3 without a table of contents libsndfile guesses the length, and reads no further than
    that; from a pipe it reads to the end.
    """
    with path.open("rb") as stream:
        head = stream.read(10)
    mp3 = head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2)
    if not mp3 or _has_length(path):
        return os.fsencode(path)
    receiver, sender = os.pipe()

    def feed() -> None:
        # Whoever closes the file early breaks the pipe.
        with (
            contextlib.suppress(BrokenPipeError),
            os.fdopen(sender, "wb") as pipe,
            path.open("rb") as stream,
        ):
            shutil.copyfileobj(stream, pipe)

    threading.Thread(target=feed, name="mp3", daemon=True).start()
    return receiver


# Programs that write to a pipe cannot know the length, and put in 0 or one of about 2 or 4 GiB.
_UNKNOWN_LENGTH = 0x7FFF0000
_OGG_PAGE = 27 + 255 + 255 * 255  # the longest there is
_OGG_LAST = 4


def _cut_off(path: Path) -> str:
    """What shows that a file ends too early, where libsndfile would read on without a word.

    It takes an uncompressed file for as long as it is, and an Ogg file to end with its last page.
    (Of FLAC and MP3 it knows the length.)
    """
    with path.open("rb") as stream:
        head = stream.read(24)
        size = stream.seek(0, os.SEEK_END)
        if head[:4] in (b"RIFF", b"RF64"):
            end = _end_of_wav(stream)
        elif head[:4] == b"FORM":
            end = 8 + int.from_bytes(head[4:8], "big")
        elif head[:4] == b".snd":
            length = int.from_bytes(head[8:12], "big")
            end = int.from_bytes(head[4:8], "big") + length if length < _UNKNOWN_LENGTH else 0
        elif head[:4] == b"riff":  # Sony Wave64
            end = int.from_bytes(head[16:24], "little")
        elif head[:4] == b"OggS":
            return "" if _has_last_page(stream, size) else "its last Ogg page is missing"
        else:
            end = 0
    return f"has {size} bytes, its header says {end}" if end > size else ""


def _end_of_wav(stream: BinaryIO) -> int:
    """Where the data chunk ends, by its own word; 0 where it does not say."""
    stream.seek(12)
    large = 0
    while len(chunk := stream.read(8)) == 8:
        length = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            length = large or (length if length < _UNKNOWN_LENGTH else 0)
            return stream.tell() + length if length else 0
        if chunk[:4] == b"ds64":  # RF64: the lengths of the whole and of the data, in 64 bits
            large = int.from_bytes(stream.read(16)[8:], "little")
            length -= 16
        stream.seek(length + length % 2, os.SEEK_CUR)
    return 0


def _has_last_page(stream: BinaryIO, size: int) -> bool:
    """Whether an Ogg file ends with a whole page that says it is the last one (RFC 3533)."""
    stream.seek(max(0, size - _OGG_PAGE))
    tail = stream.read()
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27:
        return False
    # Byte 5 holds the flags, byte 26 the number of segment lengths that follow.
    segments = page[27 : 27 + page[26]]
    return bool(page[5] & _OGG_LAST) and len(page) >= 27 + page[26] + sum(segments)


def _has_length(path: Path) -> bool:
    """Whether an MP3 file begins with a Xing, Info or VBRI header, which holds its length."""
    with path.open("rb") as stream:
        tag = stream.read(10)
        start = 0
        if tag[:3] == b"ID3":  # its length is in four bytes of seven bits
            start = 10 + sum(byte << 7 * (3 - index) for index, byte in enumerate(tag[6:10]))
        stream.seek(start)
        frame = stream.read(2048)
    return any(name in frame for name in (b"Xing", b"Info", b"VBRI"))
