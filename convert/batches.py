"""Windows on their way through a model: how many at a time, and what comes out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.tensors import Arrays, TensorSpec, written
from edge_genre.errors import ConversionError, one_line

# Few enough that the activations of a large network stay below a gigabyte.
_AT_ONCE = 32

Outputs = dict[str, NDArray[np.float32]]


def in_batches(
    run: Callable[..., Mapping[str, Any]],
    windows: Arrays,
    *,
    inputs: Sequence[TensorSpec],
    batch: int | None = None,
) -> Outputs:
    """Run a model on windows, some at a time.

    Parameters
    ----------
    run : from a batch of windows for each input to a batch of each output, by name
    windows : float32 [shape=(n, *shape)] for each input
    inputs : what the model takes
    batch : what the model always wants; None for any number

    Returns
    -------
    Its outputs by name, float32 [shape=(n, classes)], or of more axes where the model has them.
    Of several outputs, one whose first axis does not count windows is left out.

    Raises
    ------
    ConversionError
        The windows are of another shape, the model fails on them, or no output is a row a window.
    """
    _require_fit(windows, inputs)
    size = batch or _AT_ONCE
    outputs = defaultdict(list)
    for start in range(0, len(windows[0]), size):
        chunks = [each[start : start + size].astype(np.float32) for each in windows]
        count = len(chunks[0])
        filling = size - count if batch else 0
        padded = [np.pad(each, [(0, filling)] + [(0, 0)] * (each.ndim - 1)) for each in chunks]
        try:
            found = {name: np.asarray(output) for name, output in run(*padded).items()}
        except ConversionError:
            raise
        except Exception as error:  # each framework has its own kinds
            shapes = " and ".join(written(each.shape[1:]) for each in windows)
            raise ConversionError(
                f"does not run on windows of {shapes}: {one_line(error, 300)}"
            ) from error
        for name, output in _of_windows(found, count + filling).items():
            outputs[name].append(output[:count].astype(np.float32))
    if not outputs:
        return {"": np.empty((0, 0), np.float32)}
    return {name: np.concatenate(parts) for name, parts in outputs.items()}


def is_row(output: NDArray[Any]) -> bool:
    """Whether an output of windows is a number for each class."""
    return output.ndim == 2


def _of_windows(found: Mapping[str, NDArray[Any]], n: int) -> dict[str, NDArray[Any]]:
    """The outputs of n windows, without axes of length 1 where one axis is left."""
    result = {}
    for name, output in found.items():
        if output.shape[:1] == (n,):
            n_classes = max(output.shape[1:], default=0)
            is_flat = n * n_classes == output.size
            result[name] = output.reshape(n, n_classes) if is_flat else output
    if not any(map(is_row, result.values())):
        shapes = " and ".join(str(output.shape) for output in found.values())
        raise ConversionError(
            f"gives outputs of shape {shapes} for {n} windows, expected ({n}, classes)"
        )
    return result


def _require_fit(windows: Arrays, inputs: Sequence[TensorSpec]) -> None:
    if len(windows) != len(inputs):
        raise ConversionError(f"takes {len(inputs)} inputs, but there are {len(windows)}")
    for each, array in zip(inputs, windows, strict=True):
        sizes = array.shape[1:]
        if len(sizes) != len(each.shape) or any(
            size not in (None, found) for size, found in zip(each.shape, sizes, strict=True)
        ):
            name = f"{each.name} " if len(inputs) > 1 else ""
            raise ConversionError(
                f"{name}takes {written(each.shape)}, but the windows are {written(sizes)}"
            )
