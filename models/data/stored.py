"""What is kept of a track's sound, and how windows are made of it: by the front end's own code.

A kind whose frames give log-mel levels, such as MFCC, is kept frame by frame, before anything that
a window as a whole decides (reference, floor, normalisation). Training changes these levels, as a
room or a coder would, and they enter the front end where its own do, in ``finish``. Of other kinds
whole windows are kept as the front end gives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.accuracy.levels import computation, made_of_levels
from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.frontend.spectrum import BLOCK_FRAMES, PowerSpectrum

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Edges:
    """Frames of a window that reach into its padding.

    The device knows nothing of the sound before a window and after it: its first and last frames
    are others than those of a longer signal at the same place. They are kept apart, for windows
    that begin on a grid as wide as there are such frames in a window; so they need as much room as
    all other frames together.

    Parameters
    ----------
    first, last : how many a window begins and ends with.
    tail : samples from the centre of a window's last frame (without ``center``, from its first
        sample) to the end of the window.
    grid : frames from one beginning to the next.
    offset : of the ends, which are on a grid as wide.
    """

    first: int = 0
    last: int = 0
    tail: int = 0
    grid: int = 1
    offset: int = 0

    @classmethod
    def of(cls, spec: FrontEndSpec) -> Self:
        """Those of a front end's windows."""
        inside = PowerSpectrum(spec, np.float32).interior
        first, last = inside.start, spec.n_frames - inside.stop
        grid = max(1, first + last)
        tail = spec.window_samples - (spec.n_frames - 1) * spec.hop_length
        return cls(first, last, tail, grid, (spec.n_frames - 1) % grid)


@dataclass(frozen=True, eq=False)
class Stored:
    """What is kept of one track.

    Parameters
    ----------
    windows : its whole windows side by side, as the device computes them: of a kind that is made
        of levels these, float32 [shape=(n, n_frames, n_mels)], else features [shape=(n, ...)].
    frames : levels of the whole track [shape=(n, n_mels)]; None for other kinds.
    first, last : levels of edges [shape=(n, edges.first, n_mels)], [shape=(n, edges.last, n_mels)];
        None where they are not known.
    edges : which frames those are.
    """

    windows: Rows
    frames: Rows | None = None
    first: Rows | None = None
    last: Rows | None = None
    edges: Edges = Edges()

    def __len__(self) -> int:
        """Frames of the track, or of a kind without them its windows."""
        return len(self.windows if self.frames is None else self.frames)

    @property
    def arrays(self) -> dict[str, Rows]:
        """All arrays that there are, by their names."""
        named = {name: getattr(self, name) for name in ("windows", "frames", "first", "last")}
        return {name: array for name, array in named.items() if array is not None}

    @classmethod
    def of_columns(cls, columns: Rows, n_frames: int) -> Self:
        """Keep a track of which the frames are all that is known; windows are cut from them."""
        n = len(columns) // n_frames
        return cls(columns[: n * n_frames].reshape(n, n_frames, -1), columns)

    def chunks(self) -> list[Stored]:
        """Each whole window as a track of its own."""
        cut = self.frames is not None
        return [Stored(window[None], window if cut else None) for window in self.windows]

    def crop(self, start: float, rate: float, n_frames: int, *, blend: bool) -> Rows:
        """Levels of a window from anywhere in the track, played faster or slower.

        At the rate 1 a whole window has the levels that the device computes of it.

        Parameters
        ----------
        start : in frames; where edges are known the next place before it that has some is taken.
        rate : frames of the track from one frame of the window to the next.
        blend : interpolate between frames, linearly; else take the nearest.

        Returns
        -------
        float32 [shape=(n_frames, n_mels)], a new array
        """
        assert self.frames is not None
        edges = self.edges
        place = int(start) // edges.grid
        if self.first is not None:
            start = place * edges.grid
        position = start + rate * np.arange(n_frames)
        if not blend:
            position = np.rint(position)
        end = len(self.frames) - 1
        before = np.clip(position.astype(np.int64), 0, max(end - 1, 0))
        share = (position - before).astype(np.float32)[:, None]
        crop: Rows = self.frames[before] * (1 - share)
        crop += self.frames[np.minimum(before + 1, end)] * share
        if self.first is not None and edges.first:
            crop[: edges.first] = self.first[place]
        if self.last is not None and edges.last:
            nearest = round((position[-1] - edges.offset) / edges.grid)
            crop[-edges.last :] = self.last[np.clip(nearest, 0, len(self.last) - 1)]
        return crop


class Frames:
    """Levels of single frames, in blocks.

    Parameters
    ----------
    spec : of a kind that is made of levels
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        # Frame after frame, so that any may stand beside any other.
        size = min(BLOCK_FRAMES, 600 * spec.sample_rate // spec.n_fft)
        block = spec.replace(
            center=False,
            hop_length=spec.n_fft,
            window_seconds=size * spec.n_fft / spec.sample_rate,
        )
        self._width = spec.n_mels
        self._spectrum = PowerSpectrum(block, np.float32)
        self._room = self._spectrum.samples.reshape(size, spec.n_fft)
        self._analyse = computation(block).analyse

    def __call__(self, frames: NDArray[np.float32]) -> Rows:
        """Levels [shape=(..., n_mels)] of frames of samples [shape=(..., n_fft)]."""
        flat = frames.reshape(-1, frames.shape[-1])
        rows = np.empty((len(flat), self._width), np.float32)
        step = self._spectrum.block_frames
        for first in range(0, len(flat), step):
            part = flat[first : first + step]
            self._room[: len(part)] = part
            power = self._spectrum.power([range(len(part))])
            self._analyse(power, [rows[first : first + step]])
        return rows.reshape(*frames.shape[:-1], self._width)


class Storing(Protocol):
    """Computes what is kept of a track, from its samples, and knows it again."""

    def __call__(self, samples: NDArray[np.float32]) -> Stored:
        """Analyse a signal that is no shorter than a window [shape=(n,)]."""

    def restored(self, arrays: dict[str, Rows]) -> Stored | None:
        """What `Stored.arrays` gave; None if that is not what these are."""


def storing(spec: FrontEndSpec) -> Storing:
    """What keeps tracks for a front end."""
    return Levels(spec) if made_of_levels(spec) else Windows(spec)


class Levels:
    """Keeps tracks for a kind that is made of levels; see `Storing`.

    Parameters
    ----------
    spec : of such a kind
    """

    _PLACES = 64  # whose edges are computed at once

    def __init__(self, spec: FrontEndSpec) -> None:
        self._spec = spec
        self._frames = Frames(spec)
        self._edges = Edges.of(spec)
        self._margin = spec.n_fft // 2 if spec.center else 0
        self._mode: Any = "reflect" if spec.pad_mode == "reflect" else "constant"

    def __call__(self, samples: NDArray[np.float32]) -> Stored:
        hop, edges = self._spec.hop_length, self._edges
        n = 1 + (len(samples) - edges.tail) // hop
        first = self._edge(samples, np.arange(0, n, edges.grid) * hop, 0)
        last = self._edge(samples, np.arange(edges.offset, n, edges.grid) * hop + edges.tail, 1)
        return Stored(self._windows(samples), self.track(samples, n), first, last, edges)

    def restored(self, arrays: dict[str, Rows]) -> Stored | None:
        n_mels, edges = self._spec.n_mels, self._edges
        shapes = {
            "windows": (self._spec.n_frames, n_mels),
            "frames": (n_mels,),
            "first": (edges.first, n_mels),
            "last": (edges.last, n_mels),
        }
        if not _are(arrays, shapes):
            return None
        windows, frames, first, last = (arrays[name] for name in shapes)
        return Stored(windows, frames, first, last, edges)

    def track(self, samples: NDArray[np.float32], n: int | None = None) -> Rows:
        """Levels of a whole signal's frames [shape=(n_frames, n_mels)], or of its first ones."""
        size, hop = self._spec.n_fft, self._spec.hop_length
        if len(samples) < size:
            return np.empty((0, self._spec.n_mels), np.float32)
        return self._frames(_framed(np.pad(samples, self._margin, self._mode), size, hop)[:n])

    def _windows(self, samples: NDArray[np.float32]) -> Rows:
        size = self._spec.window_samples
        windows = (samples[s : s + size] for s in range(0, len(samples) - size + 1, size))
        return np.stack([self.track(window) for window in windows])

    def _edge(self, samples: NDArray[np.float32], places: NDArray[np.int64], side: int) -> Rows:
        """Levels of the frames at the beginning (0) or end (1) of windows that begin or end there.

        Returns
        -------
        float32 [shape=(places, edges.first or edges.last, n_mels)]
        """
        spec, margin, edges = self._spec, self._margin, self._edges
        count = (edges.first, edges.last)[side]
        if not count:
            return np.empty((len(places), 0, spec.n_mels), np.float32)
        # How far the frames reach into the window; and a reflection's samples, at least.
        more = edges.tail if side else spec.n_fft - margin
        reach = max((count - 1) * spec.hop_length + more + side * margin, margin + 1)
        start = reach - edges.tail - (count - 1) * spec.hop_length - margin if side else 0
        around = np.pad(samples, (side * reach, (1 - side) * reach))
        rows = np.empty((len(places), count, spec.n_mels), np.float32)
        for number in range(0, len(places), self._PLACES):
            chosen = places[number : number + self._PLACES]
            ends = around[chosen[:, None] + np.arange(reach)]
            padding = ((0, 0), (margin * (1 - side), margin * side))
            frames = _framed(
                np.pad(ends, padding, self._mode)[:, start:], spec.n_fft, spec.hop_length
            )
            rows[number : number + self._PLACES] = self._frames(frames[:, :count])
        return rows


def _framed(signals: NDArray[np.float32], size: int, hop: int) -> NDArray[np.float32]:
    """Views of frames [shape=(..., n, size)] of signals [shape=(..., samples)]."""
    return np.lib.stride_tricks.sliding_window_view(signals, size, axis=-1)[..., ::hop, :]


class Windows:
    """Keeps tracks for any other kind; see `Storing`.

    Parameters
    ----------
    spec : of any kind
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self._spec = spec
        self._front_end = FrontEnd(spec)

    def __call__(self, samples: NDArray[np.float32]) -> Stored:
        size = self._spec.window_samples
        windows = (samples[s : s + size] for s in range(0, len(samples) - size + 1, size))
        return Stored(np.stack([self._front_end(window) for window in windows]))

    def restored(self, arrays: dict[str, Rows]) -> Stored | None:
        return Stored(arrays["windows"]) if _are(arrays, {"windows": self._spec.shape}) else None


def _are(arrays: dict[str, Rows], shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether arrays are those that are named, of such rows."""
    found = {name: array.shape[1:] for name, array in arrays.items()}
    return found == shapes and all(array.dtype == np.float32 for array in arrays.values())
