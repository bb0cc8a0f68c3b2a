"""Windows on their way into a model: how many at a time, and of which shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_genre.engines import fitted
from edge_genre.errors import ConversionError, one_line

# Few enough that the activations of a large network stay below a gigabyte.
_AT_ONCE = 32


def free_lengths_fixed(
    own: tuple[int | None, ...], given: tuple[int, ...] | None
) -> tuple[int | None, ...]:
    """The shape that a model takes with its free lengths set to those given, where they fit."""
    found = None if given is None else fitted(own, given)
    return own if found is None else found


def in_batches(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    windows: NDArray[np.float32],
    *,
    shape: tuple[int | None, ...],
    batch: int | None = None,
) -> NDArray[np.float32]:
    """Run a model on windows, some at a time.

    Parameters
    ----------
    run : from a batch of windows to a batch of outputs
    windows : float32 [shape=(n, *shape)]
    shape : of one window as the model takes it, None for any length
    batch : what the model always wants; None for any number

    Returns
    -------
    float32 [shape=(n, classes)]

    Raises
    ------
    ConversionError
        The windows are of another shape, the model fails on them, or its outputs are no rows.
    """
    sizes = windows.shape[1:]
    if len(sizes) != len(shape) or any(
        size not in (None, found) for size, found in zip(shape, sizes, strict=True)
    ):
        raise ConversionError(f"takes {_written(shape)}, but the windows are {_written(sizes)}")
    size = batch or _AT_ONCE
    outputs = []
    for start in range(0, len(windows), size):
        chunk = windows[start : start + size].astype(np.float32)
        filling = size - len(chunk) if batch else 0
        padded = np.pad(chunk, [(0, filling)] + [(0, 0)] * len(sizes))
        try:
            output = np.asarray(run(padded))
        except ConversionError:
            raise
        except Exception as error:  # each framework has its own kinds
            raise ConversionError(
                f"does not run on windows of {_written(sizes)}: {one_line(error, 300)}"
            ) from error
        # Axes of length 1 beside that of the classes say nothing.
        n_classes = max(output.shape[1:], default=0)
        if len(padded) * n_classes != output.size or output.shape[:1] != padded.shape[:1]:
            raise ConversionError(
                f"gives outputs of shape {output.shape} for {len(padded)} windows, expected "
                f"({len(padded)}, classes)"
            )
        rows = output.reshape(len(padded), n_classes)
        outputs.append(rows[: len(chunk)].astype(np.float32))
    return np.concatenate(outputs) if outputs else np.empty((0, 0), np.float32)


def _written(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if size is None else str(size) for size in shape) or "a single number"
