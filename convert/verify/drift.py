"""Which layers of a converted model drift most from the exact one.

Both are run with all that passes between their layers kept, and their layers are matched by name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Container, Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.tensors import Arrays
from edge_genre.convert.verify.layers import FORMATS, INPUT, Layer, layers_of, sample, shape_of
from edge_genre.errors import ConversionError

_LOOPS = {"WHILE", "Loop", "Scan"}


@dataclass(frozen=True)
class LayerDrift:
    """One layer's output in both models.

    Parameters
    ----------
    name : of the layer, as the exact model has it
    operator : what the candidate has for it
    error : how far its outputs are off: of each, the root mean square over the windows relative to
        its standard deviation, 1 at most; averaged over all that are not constant
    growth : what this layer adds: its error less the largest of the layers that it reads
    """

    name: str
    operator: str
    error: float
    growth: float

    def __str__(self) -> str:
        return f"{self.name} ({self.operator}): off by {100 * self.error:.2g} % of its spread"


def layer_drift(
    exact: bytes | Mapping[str, NDArray[np.float32]],
    candidate: bytes,
    windows: Arrays,
) -> list[LayerDrift]:
    """Compare what every layer of two forms of one model gives.

    Parameters
    ----------
    exact : a TFLite or ONNX file in fp32; or what the source's layers give for the windows, by
        their names and in their order, float32 [shape=(n, ...)]
    candidate : a TFLite or ONNX file
    windows : what to run on, float32 [shape=(n, ...)] for each input, in the files' order: two at
        least, some ten are enough

    Returns
    -------
    The layers that both have, the one that adds most first; the input among them if the candidate
    quantizes it

    Raises
    ------
    ConversionError
        A file does not run on the windows, they are too few, or the two have no layer in common.
    """
    if len(windows[0]) < 2:
        raise ConversionError(f"comparing layers takes 2 windows or more, got {len(windows[0])}")
    found = layers_of(candidate, windows)
    expected = (
        _of_source(exact, windows, {_by_name(layer) for layer in found})
        if isinstance(exact, Mapping)
        else layers_of(exact, windows)
    )
    matches = _matches(expected, found)
    entering: dict[int, float] = {}
    drifts: dict[int, LayerDrift] = {}
    for index, layer in enumerate(found):
        # From layers without a counterpart, the error of those before them passes on.
        entering[index] = max(
            (drifts[i].error if i in drifts else entering[i] for i in layer.inputs), default=0.0
        )
        if index in matches:
            error = _error(matches[index].values, layer.values)
            growth = error - entering[index]
            drifts[index] = LayerDrift(matches[index].name, layer.operator, error, growth)
    if len(drifts) <= len(windows):  # the inputs are always there
        raise ConversionError("the two models have no layers in common that could be compared")
    # An input that the file does not quantize is no layer.
    listed = [drift for drift in drifts.values() if drift.operator != INPUT]
    return sorted(listed, key=lambda drift: -drift.growth)


def _error(exact: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """See `LayerDrift`.

    Each output has a spread of its own: with one for all, an output that is much larger than the
    others, and ruins them when they share a scale with it, would hide what it does to them.
    """
    spread = exact.std(axis=0)
    used = spread > 1e-6 * np.abs(exact).max()
    if not used.any():
        return 0.0
    off = np.sqrt(np.square(found - exact)[:, used].mean(axis=0)) / spread[used]
    return float(np.minimum(np.nan_to_num(off, nan=1.0), 1.0).mean())


def _matches(expected: list[Layer], found: list[Layer]) -> dict[int, Layer]:
    """For positions in `found`, the same layer in `expected`.

    By the names of tensors first; what is left by the names of layers, where both have as many of
    the same name and shape, in their order.
    """
    # Where one has a loop that the other has written out, the numbers that a converter gave to
    # tensors ("strided_slice_8") mean different things.
    alike = _has_loop(expected) == _has_loop(found)
    matched: dict[int, int] = {}
    for key, chosen in ((_by_tensor, _comparable), (_by_name, _last_of_layer))[not alike :]:
        partners = _grouped(expected, chosen(expected), key, set(matched.values()))
        for name, indices in _grouped(found, chosen(found), key, set(matched)).items():
            if len(partners.get(name, ())) == len(indices):
                matched.update(zip(indices, partners[name], strict=True))
    return {index: expected[match] for index, match in matched.items()}


def _grouped(
    layers: list[Layer],
    chosen: Iterable[int],
    key: Callable[[Layer], Hashable],
    taken: set[int],
) -> dict[Hashable, list[int]]:
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index in chosen:
        if index not in taken:
            groups[key(layers[index])].append(index)
    return groups


def _comparable(layers: list[Layer]) -> list[int]:
    return [
        index
        for index, layer in enumerate(layers)
        if layer.values.size and (layer.operator not in FORMATS or layer.tensor == INPUT)
    ]


def _last_of_layer(layers: list[Layer]) -> list[int]:
    """Of several operators that a layer became, the last one gives what the layer gives."""
    return sorted({layers[index].name: index for index in _comparable(layers)}.values())


def _has_loop(layers: list[Layer]) -> bool:
    return any(layer.operator in _LOOPS for layer in layers)


def _by_tensor(layer: Layer) -> Hashable:
    # The TFLite converter joins the names of what it fused, and numbers what has the same name.
    return re.sub(r"(?<![_\d])\d+$", "", layer.tensor.split(";")[0]), layer.shape


def _by_name(layer: Layer) -> Hashable:
    # Keras numbers layers once more when they are traced: conv2d_1 becomes conv2d_1_2.
    return re.sub(r"(_\d+)+$", "", layer.name), layer.shape


def _of_source(
    layers: Mapping[str, NDArray[np.float32]],
    windows: Arrays,
    wanted: Container[Hashable],
) -> list[Layer]:
    """The source's layers, with channels where the file has them: last in TFLite, first in ONNX."""
    given = []
    n = len(windows[0])
    given_to_it = [(INPUT, each) for each in windows]
    for name, values in (*given_to_it, *layers.items()):
        if len(values) != n:
            raise ConversionError(
                f"layer {name!r} is given for {len(values)} windows, expected {n}"
            )
        orders = [
            Layer(
                name,
                name,
                "",
                (),
                shape_of(ordered[0]),
                np.stack([sample(each) for each in ordered]),
            )
            for ordered in (values, np.moveaxis(values, -1, 1), np.moveaxis(values, 1, -1))
        ]
        given.append(next((layer for layer in orders if _by_name(layer) in wanted), orders[0]))
    return given
