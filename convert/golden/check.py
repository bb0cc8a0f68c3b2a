"""Accept or refuse a port of a model by what it made of the golden vectors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.golden.vectors import FEATURES, MANIFEST, Golden
from edge_genre.errors import ConversionError
from edge_genre.host.files import numpy_reason

RESULTS = "results.json"
_SUFFIXES = (".npy", ".json", ".f32")


@dataclass(frozen=True)
class Difference:
    """One array of one case, as the port has it and as it should be.

    Parameters
    ----------
    case, kind : whose it is, and which array of it: one of `Case.arrays`
    largest, mean : of the absolute differences; None where there is nothing to compare
    tolerance : what the largest may be
    found : where the largest is and what stands there, or what is wrong with the array
    accepted : whether it is within the tolerance
    """

    case: str
    kind: str
    largest: float | None
    mean: float | None
    tolerance: float
    found: str
    accepted: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        return asdict(self)


def check(golden: Golden, folder: Path) -> list[Difference]:
    """Compare a port's results with the golden vectors.

    Of features and probabilities a port may leave some out, in all cases: a front end alone gives
    no probabilities, and a graph that takes samples gives no features.

    Parameters
    ----------
    golden : what is right
    folder : with ``CASE/features`` (of several inputs ``CASE/features_NAME``) and
        ``CASE/probabilities``, each as ``.npy``, ``.json`` or raw little-endian float32, ``.f32``;
        or with one `RESULTS`: an object of cases, each an object of features and probabilities

    Returns
    -------
    A row for each array that the port should have, in the order of the cases

    Raises
    ------
    ConversionError
        The folder cannot be read, holds no results, or is that of the golden vectors themselves.
    """
    if not folder.is_dir():
        raise ConversionError(f"{folder}: no such folder of results")
    if (folder / MANIFEST).is_file():
        raise ConversionError(
            f"{folder}: holds the golden vectors themselves; a port writes its results elsewhere"
        )
    listed = _listed(folder / RESULTS)
    found = {
        (case.name, kind): values
        for case in golden.cases
        for kind in (*golden.tolerances, FEATURES)
        if (values := _result(folder, listed, case.name, kind)) is not None
    }
    given = {kind for _, kind in found}
    if FEATURES in given and FEATURES not in golden.tolerances:
        several = " and ".join(golden.features)
        raise ConversionError(
            f"{folder}: has features, but the model "
            + (f"takes {several}" if several else "takes the samples themselves")
        )
    if not given:
        names = ", ".join(case.name for case in golden.cases)
        arrays = " and ".join(golden.tolerances)
        raise ConversionError(
            f"{folder}: holds no results; expected {RESULTS}, or {arrays} as "
            f".npy, .json or .f32 in a folder for each of {names}"
        )
    return [
        _difference(case.name, kind, found.get((case.name, kind)), case.arrays[kind], tolerance)
        for case in golden.cases
        for kind, tolerance in golden.tolerances.items()
        if kind in given
    ]


def _difference(
    case: str, kind: str, given: Any, expected: NDArray[np.float32], tolerance: float
) -> Difference:
    def refused(why: str) -> Difference:
        return Difference(case, kind, None, None, tolerance, why, False)

    if given is None:
        return refused("missing")
    try:
        values = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        return refused("not an array of numbers")
    # One row, or the shape of the features, which may have a batch axis.
    if values.size != expected.size or (
        values.ndim > 1 and _without_ones(values) != _without_ones(expected)
    ):
        shapes = (" x ".join(map(str, array.shape)) or "1" for array in (values, expected))
        return refused("{} values, expected {}".format(*shapes))
    off = np.abs(values.reshape(expected.shape) - expected)
    if not np.isfinite(off).all():
        return refused("NaN or infinity")
    worst = np.unravel_index(int(off.argmax()), expected.shape)
    place = ", ".join(map(str, worst))
    largest = float(off.max())
    return Difference(
        case,
        kind,
        largest,
        float(off.mean()),
        tolerance,
        f"[{place}] is {values.reshape(expected.shape)[worst]:.6g}, "
        f"expected {float(expected[worst]):.6g}",
        largest <= tolerance,
    )


def _without_ones(array: NDArray[Any]) -> list[int]:
    return [size for size in array.shape if size != 1]


def _listed(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    listed = _read_json(path)
    if not isinstance(listed, dict) or not all(isinstance(each, dict) for each in listed.values()):
        raise ConversionError(f"{path}: expected an object of cases, each an object of arrays")
    return listed


def _result(folder: Path, listed: dict[str, Any], case: str, kind: str) -> Any:
    places = list(_places(folder / case, kind))
    if len(places) + (kind in listed.get(case, {})) > 1:
        raise ConversionError(f"{folder}: has {kind} of {case} more than once: keep one")
    if not places:
        return listed.get(case, {}).get(kind)
    (path,) = places
    if path.suffix == ".json":
        return _read_json(path)
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        return np.frombuffer(path.read_bytes(), "<f4")
    except (OSError, ValueError, EOFError) as error:
        raise ConversionError(f"{path}: cannot be read ({numpy_reason(error)})") from None


def _places(folder: Path, kind: str) -> Iterator[Path]:
    for suffix in _SUFFIXES:
        path = folder / f"{kind}{suffix}"
        if path.is_file():
            yield path


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ConversionError(f"{path}: cannot be read as JSON ({error})") from None


def worst(differences: list[Difference]) -> float:
    """The largest difference, as a share of its tolerance; infinite if something is missing."""
    return max(
        math.inf if row.largest is None else row.largest / row.tolerance for row in differences
    )
