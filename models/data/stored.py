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

from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.frontend.framed import Framed
from edge_genre.frontend.spectrum import BLOCK_FRAMES, PowerSpectrum

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Edges:
    """Frames of a window that its beginning or its end changes, by their padding for one.

    The device knows nothing of the sound before a window and after it: its first and last frames
    are others than those of a longer signal at the same place. They are kept apart, for windows
    that begin on a grid as wide as there are such frames in a window; so they need as much room as
    all other frames together.

    Parameters
    ----------
    first, last : how many a window begins and ends with.
    grid : frames from one beginning to the next, and from one end to the next.
    end : last frame of the first window whose end is kept.
    """

    first: int = 0
    last: int = 0
    grid: int = 1
    end: int = 0


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
            place = min(place, len(self.first) - 1)
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
            crop[: edges.first] = self.first[place][:n_frames]
        if self.last is not None and edges.last:
            nearest = round((position[-1] - edges.end) / edges.grid)
            nearest = min(max(nearest, 0), len(self.last) - 1)
            crop[-edges.last :] = self.last[nearest][-n_frames:]
        return crop


class Storing(Protocol):
    """Computes what is kept of a track, from its samples, and knows it again."""

    def __call__(self, samples: NDArray[np.float32]) -> Stored:
        """Analyse a signal that is no shorter than a window [shape=(n,)]."""

    def restored(self, arrays: dict[str, Rows]) -> Stored | None:
        """What `Stored.arrays` gave; None if that is not what these are."""


def storing(spec: FrontEndSpec) -> Storing:
    """What keeps tracks for a front end."""
    return Levels(spec) if spec.made_of_levels else Windows(spec)


class Levels:
    """Keeps tracks for a kind that is made of levels; see `Storing`.

    Parameters
    ----------
    spec : of such a kind
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        assert isinstance(spec, Framed)
        self._spec = spec
        self._window = _Rows(spec)
        inside = self._window.interior
        first, last = inside.start, spec.n_frames - inside.stop
        grid = max(1, first + last)
        # A window as short as may be, with the same edges and the same place on the grid.
        tail = spec.window_samples - (spec.n_frames - 1) * spec.hop_length
        end = (spec.n_frames - 1) % grid
        while end + 1 < grid or end * spec.hop_length + tail < spec.shortest:
            end += grid
        end = min(end, spec.n_frames - 1)
        self._shortest = end * spec.hop_length + tail
        self._tail = tail
        self._edges = Edges(first, last, grid, end)
        self._short = _Rows(spec.replace(window_seconds=self._shortest / spec.sample_rate))
        size = spec.n_fft + (BLOCK_FRAMES - 1) * spec.hop_length
        self._block = _Rows(
            spec.replace(center=False, pre_emphasis=0.0, window_seconds=size / spec.sample_rate)
        )

    def __call__(self, samples: NDArray[np.float32]) -> Stored:
        hop, edges, size = self._spec.hop_length, self._edges, self._spec.window_samples
        n = 1 + (len(samples) - self._tail) // hop
        starts = range(0, len(samples) - size + 1, size)
        windows = np.stack([self._window(samples[start : start + size]) for start in starts])
        places = range(0, max(n - edges.end, 1), edges.grid)
        ends = [range(edges.first), range(edges.end + 1 - edges.last, edges.end + 1)]
        both = np.stack(
            [self._short(samples[p * hop : p * hop + self._shortest], ends) for p in places]
        )
        first, last = np.split(both, [edges.first], axis=1)
        return Stored(windows, self.track(samples)[:n], first, last, edges)

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

    def track(self, samples: NDArray[np.float32]) -> Rows:
        """Rows of a whole signal's frames [shape=(n_frames, n_mels)].

        They are those of any window inside it, but for the edges.
        """
        spec = self._spec
        if len(samples) < spec.n_fft:
            return np.empty((0, spec.n_mels), np.float32)
        if spec.pre_emphasis:
            before = np.concatenate([samples[:1], samples[:-1]])
            samples = (samples - spec.pre_emphasis * before).astype(np.float32)
        mode: Any = "reflect" if spec.pad_mode == "reflect" else "constant"
        samples = np.pad(samples, spec.margin, mode)
        n, hop = 1 + (len(samples) - spec.n_fft) // spec.hop_length, spec.hop_length
        return np.concatenate(
            [
                self._block(samples[start * hop :], [range(min(BLOCK_FRAMES, n - start))])
                for start in range(0, n, BLOCK_FRAMES)
            ]
        )


class _Rows:
    """Rows of a window's frames, as the front end has them before it finishes the window.

    Parameters
    ----------
    spec : of a kind that is made of levels
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        assert isinstance(spec, Framed)
        self._width = spec.n_mels
        self._spectrum = PowerSpectrum(spec, np.float32)
        self._analyse = spec.computation(np.float32).analyse
        self._all = [range(spec.n_frames)]
        self.interior = self._spectrum.interior

    def __call__(self, samples: NDArray[np.float32], stretches: list[range] | None = None) -> Rows:
        """Rows of all frames, or of some stretches of them [shape=(n, n_mels)].

        What lies beyond the window does not count, and what it lacks stays as it was.
        """
        room, size = self._spectrum.samples, self._spectrum.block_frames
        room[: len(samples)] = samples[: len(room)]
        self._spectrum.pad()
        numbers = self._all if stretches is None else stretches
        parts = []
        for stretch in numbers:
            for part in range(stretch.start, stretch.stop, size):
                power = self._spectrum.power([range(part, min(part + size, stretch.stop))])
                parts.append(np.empty((len(power), self._width), np.float32))
                self._analyse(power, [parts[-1]])
        return np.concatenate(parts) if parts else np.empty((0, self._width), np.float32)


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
