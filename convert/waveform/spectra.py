"""The spectra of frames: a Fourier transform as two small matrix products.

With N = A B, sample ``n = a B + b`` and bin ``k = p + A q``, the transform is a sum over a for each
p, a rotation by ``b p / N``, and a sum over b for each q (Cooley and Tukey 1965). For frames of
2,048 samples that is a twelfth of the products of one large matrix, all of them in the operators
that every engine is quickest at.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge_genre.frontend.framed import Framed
from edge_genre.frontend.graph import Value

if TYPE_CHECKING:
    from edge_genre.convert.waveform.graph import Writer


def frames(writer: Writer, spec: Framed, samples: Value) -> Value:
    """Windowed frames [shape=(n_frames, n_fft)].

    The signal is cut into rows of one hop. A frame is its own row, and as much of the rows below as
    it reaches over: no table of indices is needed.
    """
    n_fft, hop, count = spec.n_fft, spec.hop_length, spec.n_frames
    if spec.pre_emphasis:
        samples = _emphasised(writer, samples, spec.pre_emphasis)
    padded = writer.pad(samples, spec.margin, spec.margin, reflect=spec.pad_mode == "reflect")
    rows = math.ceil(n_fft / hop)
    length = (count + rows - 1) * hop
    padded = writer.pad(padded, 0, max(0, length - padded.shape[1]))
    table = writer.reshape(writer.part(padded, 0, length), (count + rows - 1, hop))
    frames = writer.concat(
        [
            writer.slice(table, (row, 0), (count, min(hop, n_fft - row * hop)))
            for row in range(rows)
        ],
        axis=1,
    )
    return writer.multiply(frames, spec.frame_window[np.newaxis])


def _emphasised(writer: Writer, samples: Value, factor: float) -> Value:
    count = samples.shape[-1]
    first, second = writer.part(samples, 0, 1), writer.part(samples, 1, 2)
    first = writer.subtract(writer.multiply(first, [[3.0]]), second)
    earlier = writer.multiply(writer.part(samples, 0, count - 1), [[factor]])
    rest = writer.subtract(writer.part(samples, 1, count), earlier)
    return writer.concat([first, rest], axis=1)


def power_spectra(writer: Writer, frames: Value) -> Value:
    """Squared magnitudes of the transforms of real frames.

    Parameters
    ----------
    frames : [shape=(n_frames, n_fft)]; an n_fft that is nearly a prime makes large tables

    Returns
    -------
    [shape=(n_frames, 1 + n_fft // 2)]
    """
    count, n = frames.shape
    a, b = _factors(n)
    bins = 1 + n // 2
    q = -(-bins // a)  # of these bins, the first ones are wanted
    strided = writer.transpose(writer.reshape(frames, (count, a, b)), 0, 2, 1)
    sums = writer.dense(strided, _rotations(a, a, a))
    real, imaginary = writer.part(sums, 0, a), writer.part(sums, a, 2 * a)
    angle = 2 * np.pi / n * np.outer(np.arange(b), np.arange(a))
    cos, sin = (writer.constant(table[np.newaxis]) for table in (np.cos(angle), np.sin(angle)))
    turned = [
        writer.add(writer.multiply(real, cos), writer.multiply(imaginary, sin)),
        writer.subtract(writer.multiply(imaginary, cos), writer.multiply(real, sin)),
    ]
    inner = writer.transpose(writer.concat(turned, axis=0), 0, 2, 1)  # (2 count, a, b)
    sums = writer.dense(inner, _rotations(b, q, b))
    of_real, of_imaginary = (
        writer.part(sums, first, first + count, axis=0) for first in (0, count)
    )
    real = writer.subtract(writer.part(of_real, 0, q), writer.part(of_imaginary, q, 2 * q))
    imaginary = writer.add(writer.part(of_real, q, 2 * q), writer.part(of_imaginary, 0, q))
    power = writer.add(writer.square(real), writer.square(imaginary))
    power = writer.reshape(writer.transpose(power, 0, 2, 1), (count, q * a))
    return writer.part(power, 0, bins)


def _factors(n: int) -> tuple[int, int]:
    """The two nearest to each other, the smaller first."""
    smaller = max(a for a in range(1, math.isqrt(n) + 1) if n % a == 0)
    return smaller, n // smaller


def _rotations(rows: int, columns: int, period: int) -> np.ndarray:
    """Real parts beside imaginary parts of ``exp(-2 pi i row column / period)``."""
    angle = 2 * np.pi / period * np.outer(np.arange(rows), np.arange(columns))
    return np.concatenate([np.cos(angle), -np.sin(angle)], axis=1)
