"""The front end in C, compiled for tests."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.c.code import write_sources
from edge_genre.convert.c.tables import c_tables
from edge_genre.frontend import FrontEndSpec
from tests.support.requirements import require_system

SOURCES = Path(__file__).parents[2] / "firmware_notes/c"
STRICT = "-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Werror -O2".split()
SANITIZED = "-g -fsanitize=address,undefined -fno-sanitize-recover=all".split()


def require(*programs: str) -> None:
    """Skip, or fail where nothing may be skipped, without some programs."""
    require_system([name for name in programs if shutil.which(name) is None])


def compiled(
    spec: FrontEndSpec, folder: Path, *options: str, sources: tuple[Path, ...] | None = None
) -> Path:
    """The program ``features`` for a front end, or other sources beside the front end's."""
    require("gcc")
    write_sources(folder, c_tables(spec))
    program = folder / "features"
    files = [SOURCES / "edge_genre_frontend.c", *(sources or (SOURCES / "features.c",))]
    subprocess.run(
        ["gcc", *STRICT, *options, f"-I{folder}", f"-I{SOURCES}", *files, "-lm", "-o", program],
        cwd=folder,
        check=True,
    )
    return program


def features(
    program: Path, pcm: NDArray[np.int16 | np.float32], *before: str
) -> NDArray[np.float32]:
    """What the program makes of samples, as one row."""
    sample_format = "s16" if pcm.dtype == np.int16 else "f32"
    result = subprocess.run(
        [*before, program, sample_format], input=pcm.tobytes(), capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    return np.frombuffer(result.stdout, np.float32)


class Library:
    """The front end as a shared library, to be called step by step."""

    def __init__(self, spec: FrontEndSpec, folder: Path) -> None:
        shim = folder / "size.c"
        folder.mkdir(parents=True, exist_ok=True)
        shim.write_text(
            '#include "edge_genre_frontend.h"\n'
            "size_t eg_size(void);\nsize_t eg_size(void) { return sizeof(eg_frontend); }\n"
        )
        path = compiled(spec, folder, "-shared", "-fPIC", sources=(shim,))
        self._library = ctypes.CDLL(str(path))
        self._library.eg_size.restype = ctypes.c_size_t
        self._library.eg_accept.restype = self._library.eg_accept_i16.restype = ctypes.c_size_t
        self._library.eg_finish.restype = ctypes.POINTER(ctypes.c_float)
        self.size = self._library.eg_size()
        self._spec = spec
        # Whatever was in memory before must not matter.
        self._state = ctypes.create_string_buffer(b"\xff" * self.size, self.size)
        self.reset()

    def reset(self) -> None:
        self._library.eg_reset(self._state)

    def accept(self, samples: NDArray[np.int16 | np.float32]) -> int:
        samples = np.ascontiguousarray(samples)
        call = self._library.eg_accept_i16 if samples.dtype == np.int16 else self._library.eg_accept
        address = samples.ctypes.data_as(ctypes.c_void_p)
        return call(self._state, address, ctypes.c_size_t(len(samples)))

    def full(self) -> bool:
        return bool(self._library.eg_full(self._state))

    def finish(self) -> NDArray[np.float32]:
        pointer = self._library.eg_finish(self._state)
        size = int(np.prod(self._spec.shape))
        return np.ctypeslib.as_array(pointer, (size,)).reshape(self._spec.shape).copy()
