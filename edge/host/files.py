"""Files of users: what goes wrong with one is a line, and what is written is whole or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from edge_genre.errors import DataError, EdgeGenreError, one_line


@contextlib.contextmanager
def reading(what: object, error: type[EdgeGenreError] = DataError) -> Iterator[None]:
    """Make an error of the operating system in the block one line about ``what``, of our kind.

    Parameters
    ----------
    what : the file or folder, as the user called it
    error : the kind of error that it becomes
    """
    try:
        yield
    except OSError as found:
        raise error(f"{what}: cannot be read ({reason(found)})") from None


@contextlib.contextmanager
def writing(what: object, error: type[EdgeGenreError] = DataError) -> Iterator[None]:
    """Like `reading`, of a block that writes."""
    try:
        yield
    except OSError as found:
        raise error(f"{what}: cannot be written ({reason(found)})") from None


def reason(error: OSError) -> str:
    """What the system says, such as ``No such file or directory``."""
    return error.strerror or one_line(error)


def numpy_reason(error: Exception) -> str:
    """What `numpy.load` says of a file.

    Of one that is in none of its formats it says how to load pickles, which may run code.
    """
    text = one_line(error)
    return "not in NumPy's format" if "pickled (object) data" in text else text


def write_whole(
    path: Path, content: bytes | str, *, mode: int = 0o644, lasting: bool = False
) -> None:
    """Write a file, in place of any that is there, whole or not at all.

    Parameters
    ----------
    path : in a folder that exists
    content : a text is written as UTF-8
    mode : permissions; nobody but the owner reads the file before it is whole
    lasting : come back only when the disk has it, so that it survives a power failure

    Raises
    ------
    OSError
        It cannot be written; nothing of it is left.
    """
    import tempfile  # a moment's work to load, and most who read files write none

    data = content.encode() if isinstance(content, str) else content
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            if lasting:
                os.fsync(stream.fileno())
        Path(draft).chmod(mode)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
