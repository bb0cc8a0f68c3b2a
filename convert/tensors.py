"""What enters and leaves a model: tensors by name, and the arrays that go through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.engines import fitted
from edge_genre.errors import ConversionError
from edge_genre.host.record import Record

Arrays = Sequence[NDArray[np.float32]]

# What files that are made here call their input and their output where there is one.
INPUT, OUTPUT = "features", "output"


@dataclass(frozen=True)
class TensorSpec(Record):
    """One input of a model.

    Parameters
    ----------
    name : as its graph has it; of a single one any, or none
    shape : of one window, without the batch axis; None for a free length
    """

    name: str
    shape: tuple[int | None, ...]


def one_input(shape: Sequence[int | None]) -> tuple[TensorSpec, ...]:
    """The inputs of a model that has one, whatever its name."""
    return (TensorSpec("", tuple(shape)),)


def matched(own: Sequence[str], given: Sequence[str]) -> list[int]:
    """For each of a model's inputs, which of the given ones it is.

    One input is the one of a model that has one, whatever they are called.

    Raises
    ------
    ConversionError
        They are not the same ones.
    """
    if len(own) == len(given) == 1:
        return [0]
    if sorted(own) != sorted(given):
        raise ConversionError(
            f"takes the inputs {_listed(own)}, but there are features for {_listed(given)}: give "
            "each input its front end, --frontend NAME=SPEC, or its shape, --input-shape NAME=N,N"
        )
    return [list(given).index(name) for name in own]


def with_lengths(own: Sequence[TensorSpec], given: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """A model's inputs with their free lengths set to those given, where they fit.

    Raises
    ------
    ConversionError
        Others are given than it has.
    """
    if not given:
        return tuple(own)
    order = matched([each.name for each in own], [each.name for each in given])
    fixed = []
    for each, index in zip(own, order, strict=True):
        sizes = [size for size in given[index].shape if size is not None]
        found = fitted(each.shape, tuple(sizes))
        fixed.append(each if found is None else TensorSpec(each.name, found))
    return tuple(fixed)


def names_in_files(names: Sequence[str], only: str) -> tuple[str, ...]:
    """What a file calls several inputs or outputs of a model, or its ``only`` one."""
    return tuple(names) if len(names) > 1 else (only,)


def written(shape: Sequence[int | None]) -> str:
    """A shape in words."""
    return " x ".join("any" if size is None else str(size) for size in shape) or "a single number"


def save(path: str | Path, arrays: Arrays) -> str:
    """Save arrays of several inputs in one file, and return its path."""
    np.savez(path, *arrays)
    return str(path)


def load(path: str | Path) -> tuple[NDArray[Any], ...]:
    """The arrays that `save` saved, in their order."""
    with np.load(path) as file:
        return tuple(file[f"arr_{index}"] for index in range(len(file.files)))


def reshaped(arrays: Arrays, inputs: Sequence[TensorSpec]) -> tuple[NDArray[np.float32], ...]:
    """Windows as a model takes them, its own axes of length 1 included.

    Raises
    ------
    ConversionError
        They are of another shape.
    """
    result = []
    for array, each in zip(arrays, inputs, strict=True):
        shape = array.shape[1:]
        found = fitted(each.shape, shape)
        if found is None:
            whose = f"input {each.name!r}" if len(inputs) > 1 else "the model"
            raise ConversionError(
                f"{whose} takes {written(each.shape)}, but the windows are {written(shape)}: give "
                "the front end that it was trained with"
            )
        result.append(array.reshape(-1, *found))
    return tuple(result)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(name or "one without a name" for name in names) or "none"
