"""The front end: features of windows, one by one or from a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_genre.errors import AudioError
from edge_genre.frontend.framed import Framed
from edge_genre.frontend.samples import SampleQueue, check_samples
from edge_genre.frontend.spec import FrontEndSpec
from edge_genre.frontend.spectrum import PowerSpectrum

if TYPE_CHECKING:
    from edge_genre.frontend.beats import Rhythm

Rows = list[NDArray[Any]]

_PRECISIONS: dict[str, type[Any]] = {"float32": np.float32, "float64": np.float64}


class FrontEnd:
    """Features of one window, batch or streaming, from a `FrontEndSpec`.

    Batch: ``features = front_end(samples)``. Streaming: ``accept`` samples in blocks of any size,
    and while ``ready``, take ``window()``; windows are ``hop`` samples apart. A stream gives the
    same features as the batch call on the same samples. A hop that is a multiple of the spec's
    ``hop_length`` reuses the frames that two windows share.

    One object serves one stream or many batch calls, in one thread: its buffers are made once.

    Parameters
    ----------
    spec : what to compute
    hop : samples from one window to the next, when streaming; one window where it is left out
    precision : ``"float32"``, or ``"float64"`` to compute in double precision throughout; the
        features are float32 in any case

    Raises
    ------
    ValueError
        ``hop`` is not positive, or ``precision`` is neither.
    """

    def __init__(
        self, spec: FrontEndSpec, *, hop: int | None = None, precision: str = "float32"
    ) -> None:
        if hop is not None and hop < 1:
            raise ValueError(f"hop is {hop} samples, expected 1 or more")
        if precision not in _PRECISIONS:
            raise ValueError(
                f"precision is {precision!r}, expected one of {', '.join(_PRECISIONS)}"
            )
        dtype = _PRECISIONS[precision]
        self.spec = spec
        self.hop = spec.window_samples if hop is None else hop
        self._computation = spec.computation(dtype)
        self._spectrum: PowerSpectrum | None = None
        if not isinstance(spec, Framed):
            self._samples = np.zeros(spec.window_samples, dtype)
        else:
            widths = self._computation.widths
            self._n_frames, self._hop_length = spec.n_frames, spec.hop_length
            self._spectrum = PowerSpectrum(spec, dtype)
            self._samples = self._spectrum.samples
            # A hop that keeps frames is a step through room for two windows of them.
            room = self._n_frames * (1 + (self.hop < spec.window_samples))
            self._stored = [np.zeros((room, width), dtype) for width in widths]
            self._rows = _part(self._stored, 0, self._n_frames)
            self._first_row = 0
            block = self._spectrum.block_frames
            self._new_rows = [np.zeros((block, width), dtype) for width in widths]
        self._queue = SampleQueue(2 * spec.window_samples)
        self.reset()

    def __call__(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Features of one window.

        Parameters
        ----------
        samples : float [shape=(spec.window_samples,)], mono, full scale 1

        Returns
        -------
        float32 [shape=spec.shape]

        Raises
        ------
        AudioError
            A wrong number of samples, or NaN or infinity among them.
        """
        window = np.asarray(samples, np.float32)
        if window.shape != self._samples.shape:
            raise AudioError(
                f"a window has shape {window.shape}, expected {self._samples.shape} "
                f"({self.spec.window_seconds:g} s of mono at {self.spec.sample_rate} Hz)"
            )
        check_samples(window)
        self.reset()
        self._samples[:] = window
        return self._features()

    def reset(self) -> None:
        """Forget the stream: the next sample accepted is its first."""
        self._queue.clear()
        self._accepted = 0
        self._start = 0
        self._head = 0  # position in the stream of the queue's first sample
        self._skip = 0  # samples still to come that no window covers
        self._windows = 0

    def accept(self, samples: ArrayLike) -> None:
        """Take the stream's next samples, any number of them.

        Parameters
        ----------
        samples : float [shape=(n,)], mono at the spec's sample rate, full scale 1

        Raises
        ------
        AudioError
            NaN or infinity; the message gives the sample's position in the stream.
        """
        block = np.asarray(samples, np.float32)
        check_samples(block, offset=self._accepted, rate=self.spec.sample_rate)
        self._accepted += len(block)
        skipped = min(self._skip, len(block))
        self._skip -= skipped
        self._head += skipped
        self._queue.push(block[skipped:])

    @property
    def ready(self) -> bool:
        """Whether a window is complete."""
        return len(self._queue) >= self._wanted

    @property
    def rhythm(self) -> Rhythm | None:
        """Tempo, beats and tuning of the window given last; None for a kind without them."""
        return self._computation.rhythm

    @property
    def start(self) -> int:
        """Position in the stream of the first sample of the window given last."""
        return self._start

    @property
    def samples(self) -> NDArray[np.float32]:
        """The samples of the window given last: a read-only view, valid until the next one."""
        view = self._samples[:]
        view.flags.writeable = False
        return view

    def window(self) -> NDArray[np.float32]:
        """Features of the next window of the stream.

        Returns
        -------
        float32 [shape=spec.shape], a new array

        Raises
        ------
        RuntimeError
            No window is complete: ask `ready` first.
        """
        if not self.ready:
            raise RuntimeError("no window is complete: accept more samples first")
        return self._advance(self._wanted)

    def newest_window(self) -> tuple[NDArray[np.float32], int]:
        """Features of the newest complete window, for one who is late.

        Returns
        -------
        float32 [shape=spec.shape], a new array, and how many complete windows before it are left
        out, which cost next to nothing

        Raises
        ------
        RuntimeError
            No window is complete: ask `ready` first.
        """
        if not self.ready:
            raise RuntimeError("no window is complete: accept more samples first")
        late = (len(self._queue) - self._wanted) // self.hop
        count = self._wanted + late * self.hop
        # Samples that neither this window nor a later one covers.
        unheard = max(0, count - len(self._samples))
        self._queue.skip(unheard)
        self._head += unheard
        return self._advance(count - unheard), late

    def last_window(self) -> tuple[NDArray[np.float32], int] | None:
        """Features of what is left when a stream ends.

        A stream shorter than a window is padded with zeros at its end. Else, what is left is
        covered by one more window that ends with the stream's last sample; less than half a hop is
        left alone.

        Returns
        -------
        The features and the number of zeros appended, or None where nothing is worth a window.
        """
        left = len(self._queue)
        if not self._windows and left:
            zeros = len(self._samples) - left
            self._queue.push(np.zeros(zeros, np.float32))
            return self._advance(len(self._samples)), zeros
        if left == 0 or 2 * left < self._wanted:
            return None
        return self._advance(left), 0

    @property
    def _wanted(self) -> int:
        return min(self.hop, len(self._samples)) if self._windows else len(self._samples)

    def _advance(self, count: int) -> NDArray[np.float32]:
        """Move the window on by ``count`` samples of the queue."""
        size = len(self._samples)
        if count < size:
            self._samples[:-count] = self._samples[count:]
        self._queue.pop(self._samples[size - count :])
        self._head += count
        self._start = self._head - size
        reuse = count if self._windows else 0
        self._windows += 1
        # A hop beyond the window leaves samples out: those that are here, and those to come.
        skip = max(0, self.hop - size)
        self._skip = self._queue.skip(skip)
        self._head += skip - self._skip
        return self._features(reuse)

    def _features(self, advanced: int = 0) -> NDArray[np.float32]:
        """Features of ``_samples``, given how far they moved since the last call (0: unknown)."""
        spectrum, finish = self._spectrum, self._computation.finish
        if spectrum is None:
            return finish([self._samples]).astype(np.float32, copy=False)
        spectrum.pad()
        interior = spectrum.interior
        new = [range(self._n_frames)]
        frames, rest = divmod(advanced, self._hop_length)
        if advanced and not rest and frames < len(interior):
            # A frame that was whole and still is keeps its row.
            self._step(frames)
            new = [range(interior.start), range(interior.stop - frames, self._n_frames)]
        for batch in _batches(new, spectrum.block_frames):
            self._analyse(spectrum, batch)
        return finish(self._rows).astype(np.float32, copy=False)

    def _step(self, frames: int) -> None:
        """Let ``_rows`` begin so many frames later; what lies behind the kept ones is stale."""
        count = self._n_frames
        first = self._first_row + frames
        if first + count > len(self._stored[0]):
            for field in self._stored:
                field[: count - frames] = field[first : first + count - frames]
            first = 0
        self._first_row = first
        self._rows = _part(self._stored, first, first + count)

    def _analyse(self, spectrum: PowerSpectrum, frames: list[range]) -> None:
        """Compute the rows of some stretches of frames, together."""
        power = spectrum.power(frames)
        if len(frames) == 1:
            self._computation.analyse(power, _part(self._rows, frames[0].start, frames[0].stop))
            return
        self._computation.analyse(power, _part(self._new_rows, 0, len(power)))
        done = 0
        for stretch in frames:
            for field, new in zip(self._rows, self._new_rows, strict=True):
                field[stretch.start : stretch.stop] = new[done : done + len(stretch)]
            done += len(stretch)


def _part(rows: Rows, start: int, stop: int) -> Rows:
    return [field[start:stop] for field in rows]


def _batches(stretches: list[range], size: int) -> Iterator[list[range]]:
    """Cut stretches into lists of ``size`` frames each; the last may have fewer."""
    batch: list[range] = []
    room = size
    for stretch in stretches:
        while stretch:
            batch.append(stretch[:room])
            stretch = stretch[room:]
            room -= len(batch[-1])
            if not room:
                yield batch
                batch, room = [], size
    if batch:
        yield batch
