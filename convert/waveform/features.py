"""The front end as operators of a graph, from the numbers of a `FrontEndSpec`.

The same steps as in `edge_genre.frontend`, which is what the result is compared with. Filter banks
and tables are the NumPy front end's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.waveform.dft import power_spectra
from edge_genre.convert.waveform.graph import Value, Writer
from edge_genre.errors import ConversionError
from edge_genre.frontend import FrontEndSpec, tables
from edge_genre.frontend.mel import filters_of

KINDS = ("log_mel", "mfcc", "mfcc_deltas")

_DECIBEL = 10.0 / math.log(10.0)
# Filters that are multiplied together: more would store and multiply more zeros, fewer would cost
# more calls.
_BANDS = 8


def require_graph(spec: FrontEndSpec | None) -> FrontEndSpec:
    """Refuse a front end that cannot be a graph.

    Raises
    ------
    ConversionError
        There is none, or it looks for beats.
    """
    if spec is None:
        raise ConversionError(
            "a waveform file needs the model's front end, and this model has none: "
            "give the features that it was trained on (--frontend)"
        )
    if spec.kind == "waveform":
        raise ConversionError("the model takes samples already: leave --waveform out")
    if spec.kind not in KINDS:
        raise ConversionError(
            f"the front end {spec.kind} cannot be a graph: it tracks beats, and how many there are "
            f"is known only when it runs; {', '.join(KINDS)} can"
        )
    return spec


def write_front_end(writer: Writer, spec: FrontEndSpec, samples: Value) -> Value:
    """Add the front end.

    Parameters
    ----------
    writer : of the graph
    spec : of one of `KINDS`
    samples : [shape=(1, spec.window_samples)]

    Returns
    -------
    Features [shape=spec.shape]
    """
    levels = _levels(writer, spec, power_spectra(writer, _frames(writer, spec, samples)))
    if spec.kind == "log_mel":
        features = levels
    else:
        features = writer.dense(levels, tables.dct(spec.n_mfcc, spec.n_mels).T)
    if spec.kind == "mfcc_deltas":
        features = _stack(writer, spec, features)
    elif spec.axes == "frequency_first":
        features = writer.transpose(features, 1, 0)
    return _normalized(writer, spec, features)


def _frames(writer: Writer, spec: FrontEndSpec, samples: Value) -> Value:
    """Windowed frames [shape=(n_frames, n_fft)].

    The signal is cut into rows of one hop. A frame is its own row, and as much of the rows below as
    it reaches over: no table of indices is needed.
    """
    n_fft, hop, count = spec.n_fft, spec.hop_length, spec.n_frames
    margin = n_fft // 2 if spec.center else 0
    padded = writer.pad(samples, margin, margin, reflect=spec.pad_mode == "reflect")
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
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    return writer.multiply(frames, hann[np.newaxis])


def _levels(writer: Writer, spec: FrontEndSpec, power: Value) -> Value:
    """Mel levels, with reference and floor [shape=(n_frames, n_mels)]."""
    filters = filters_of(spec)
    mel = writer.concat(
        [
            writer.dense(writer.part(power, first, first + len(weights)), weights)
            for first, weights in _banded(filters)
        ],
        axis=1,
    )
    if spec.log == "none":
        return mel
    natural = spec.log == "natural"
    power = writer.add(mel, [[spec.amin]]) if natural else writer.maximum(mel, [[spec.amin]])
    # Relative to the loudest: the logarithm of 1 is 0 in every engine, while logarithms of equal
    # numbers may differ in the last digit even in one, which normalising silence would blow up.
    loudest = writer.over_all("max", power)
    levels = writer.log(writer.divide(power, loudest))
    if not natural:
        levels = writer.multiply(levels, [[_DECIBEL]])
        if spec.top_db is not None:
            levels = writer.maximum(levels, [[-spec.top_db]])
    normalized = spec.kind == "log_mel" and spec.normalize in ("mean_variance", "min_max")
    if normalized or (not natural and spec.ref == "max"):
        return levels  # a level that all of the window shares changes nothing, or is the reference
    shared = writer.log(loudest)
    if not natural:
        reference = 10.0 * math.log10(max(float(spec.ref), spec.amin))
        shared = writer.subtract(writer.multiply(shared, [[_DECIBEL]]), [[reference]])
    return writer.add(levels, shared)


def _banded(filters: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The filters in groups: each group's first bin, and weights [shape=(bins, bands)]."""
    for first in range(0, len(filters), _BANDS):
        group = filters[first : first + _BANDS]
        used = np.flatnonzero(group.any(axis=0))
        begin, stop = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        yield begin, group[:, begin:stop].T


def _stack(writer: Writer, spec: FrontEndSpec, mfcc: Value) -> Value:
    """MFCC, deltas and delta-deltas, in the order of the spec's axes."""
    width, (count, n) = tables.DELTA_WIDTH, mfcc.shape
    inner = count - width + 1  # frames with all their neighbours
    around = writer.concat(
        [writer.part(mfcc, frame, frame + inner, axis=0) for frame in range(width)], axis=1
    )
    around = writer.transpose(writer.reshape(around, (inner, width, n)), 0, 2, 1)
    both = writer.dense(around, np.stack([tables.delta(1), tables.delta(2)], axis=1))
    channels = [mfcc]
    for order in range(2):
        slopes = writer.reshape(writer.part(both, order, order + 1), (inner, n))
        first = writer.part(slopes, 0, 1, axis=0)
        last = writer.part(slopes, inner - 1, inner, axis=0)
        half = width // 2
        channels.append(writer.concat([first] * half + [slopes] + [last] * half, axis=0))
    images = [writer.transpose(channel, 1, 0) for channel in channels]
    if spec.axes == "channels_first":
        return writer.concat([writer.reshape(each, (1, n, count)) for each in images], axis=0)
    return writer.concat([writer.reshape(each, (n, count, 1)) for each in images], axis=2)


def _normalized(writer: Writer, spec: FrontEndSpec, features: Value) -> Value:
    """As the spec's ``normalize`` says, over all of the window."""
    ones = [1] * len(features.shape)

    def number(value: float) -> NDArray[np.float64]:
        return np.full(ones, value)

    if spec.normalize == "mean_variance":
        features = writer.subtract(features, writer.over_all("mean", features))
        deviation = writer.root(writer.over_all("mean", writer.square(features)))
        return writer.divide(features, writer.add(deviation, number(1e-6)))
    if spec.normalize == "min_max":
        features = writer.subtract(features, writer.over_all("min", features))
        largest = writer.maximum(writer.over_all("max", features), number(1e-6))
        return writer.divide(features, largest)
    if spec.normalize == "fixed":
        return writer.divide(writer.subtract(features, number(spec.mean)), number(spec.scale))
    return features
