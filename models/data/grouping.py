"""What belongs together, and splits that keep it together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_genre.errors import DataError
from edge_genre.models.data.fingerprint import copies


def groups(
    names: Sequence[str],
    artists: Sequence[str | None],
    digests: Sequence[str],
    prints: Sequence[NDArray[np.uint32]],
) -> list[str]:
    """Group of each track: one artist's, identical files and copies of one recording are together.

    Whatever connects two tracks, over other tracks too, puts them in one group: a copy under the
    name of another artist joins the two artists.

    Parameters
    ----------
    names : of the tracks, each another one
    artists : see `edge_genre.models.data.artists`; None where unknown
    digests : of the files' bytes
    prints : see `edge_genre.models.data.fingerprint`

    Returns
    -------
    For each track what its group is called: after an artist where it has one, else after a track
    """
    pairs = [*_equal(artists), *_equal(digests)]
    # Identical files need no comparison.
    first = {digest: number for number, digest in reversed(list(enumerate(digests)))}
    chosen = sorted(first.values())
    pairs += [(chosen[one], chosen[other]) for one, other in copies([prints[i] for i in chosen])]
    roots = _connected(len(names), pairs)
    called: dict[int, str] = {}
    for root, artist in zip(roots, artists, strict=True):
        if artist is not None:
            called.setdefault(root, artist)
    return [called.get(root, f"track: {names[root]}") for root in roots]


def grouped_split(
    labels: ArrayLike,
    groups: ArrayLike,
    *,
    share: float = 0.2,
    seed: int = 0,
    genres: Sequence[str] = (),
) -> NDArray[np.bool_]:
    """Hold out whole groups, so that close to the same share of each class is held out.

    Parameters
    ----------
    labels : class of each track [shape=(n,)], or which labels each has [shape=(n, labels)]
    groups : group of each track [shape=(n,)]
    share : of the tracks, to hold out
    seed : of the choice among groups of about the same size
    genres : names of the classes for the message, if labels are their numbers

    Returns
    -------
    bool [shape=(n,)], true where a track is held out; each class has tracks on both sides

    Raises
    ------
    DataError
        A class has only one group, so that it cannot be both trained and measured.
    ValueError
        The share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}, expected a number between 0 and 1")
    return _assigned(labels, groups, np.array([1 - share, share]), seed, genres) == 1


def folds(
    labels: ArrayLike, groups: ArrayLike, n: int, seed: int = 0, *, genres: Sequence[str] = ()
) -> NDArray[np.int64]:
    """Divide whole groups among folds, so that each has close to the same share of each class.

    Parameters
    ----------
    labels, groups, seed, genres : see `grouped_split`
    n : folds

    Returns
    -------
    int64 [shape=(n_tracks,)], fold of each track; none has all of a class

    Raises
    ------
    DataError
        A class has only one group, or there are fewer groups than folds.
    ValueError
        There are fewer than two folds.
    """
    if n < 2:
        raise ValueError(f"n is {n}, expected 2 folds or more")
    n_groups = len(np.unique(np.asarray(groups)))
    if n_groups < n:
        raise DataError(
            f"there are {n_groups} groups (artists) for {n} folds: take at most {n_groups} folds"
        )
    return _assigned(labels, groups, np.full(n, 1 / n), seed, genres)


def _assigned(
    labels: ArrayLike,
    groups: ArrayLike,
    shares: NDArray[np.float64],
    seed: int,
    genres: Sequence[str],
) -> NDArray[np.int64]:
    """Part of each track: the largest groups first, each where it is most wanted."""
    members, names = _members(np.asarray(labels), genres)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((group.max() + 1, len(names)), np.int64)
    np.add.at(counts, group, members)
    _require_groups(counts, names)
    fractions = counts / counts.sum(axis=0)
    # Sizes within a factor of two are one size, among which the seed decides.
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-np.floor(np.log2(counts.sum(axis=1)[order])), kind="stable")]
    part = np.zeros(len(counts), np.int64)
    filled = np.zeros((len(shares), len(names)))
    for number in order:
        part[number] = np.argmin(_cost(filled, fractions[number], shares))
        filled[part[number]] += fractions[number]
    _spread(part, fractions, shares, names)
    return part[group]


def _members(labels: NDArray[Any], genres: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Of what a share is to be in each part: which tracks it has [shape=(n, kinds)], its names."""
    if labels.ndim == 1:
        classes, label = np.unique(labels, return_inverse=True)
        return np.eye(len(classes), dtype=np.int64)[label], [_called(c, genres) for c in classes]
    # And of all tracks, since some may have no label.
    everything = np.ones((len(labels), 1), np.int64)
    names = [_called(label, genres) for label in range(labels.shape[1])]
    return np.hstack([labels.astype(np.int64), everything]), [*names, "all tracks"]


def _cost(
    filled: NDArray[np.float64], fractions: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What a group adds to the chi-square distance of the parts from their shares, by part.

    For groups of one size this deals out by the method of Webster and Sainte-Laguë.
    """
    cost: NDArray[np.float64] = ((2 * filled + fractions) * fractions).sum(axis=1) / shares
    return cost


def _spread(
    part: NDArray[np.int64],
    fractions: NDArray[np.float64],
    shares: NDArray[np.float64],
    names: Sequence[str],
) -> None:
    """Move groups of classes that are all in one part, in place."""

    def together() -> set[int]:
        has = fractions > 0
        return {c for c in range(len(names)) if len(set(part[has[:, c]])) == 1}

    while stuck := together():
        best: tuple[float, int, int] | None = None
        for number in np.flatnonzero(fractions[:, min(stuck)]):
            home = part[number]
            filled = np.stack([fractions[part == p].sum(axis=0) for p in range(len(shares))])
            filled[home] -= fractions[number]
            cost = _cost(filled, fractions[number], shares)
            for other in range(len(shares)):
                part[number] = other
                more = float(cost[other] - cost[home])
                if together() < stuck and (best is None or more < best[0]):
                    best = (more, int(number), int(other))
            part[number] = home
        if best is None:
            raise DataError(
                f"{names[min(stuck)]}: its groups (artists) hang together with those of other "
                "genres, so that it cannot be both trained and measured: add music by others"
            )
        part[best[1]] = best[2]


def _require_groups(counts: NDArray[np.int64], names: Sequence[str]) -> None:
    alone = [name for name, n in zip(names, (counts > 0).sum(axis=0), strict=True) if n == 1]
    if alone:
        raise DataError(
            f"{', '.join(alone)}: all tracks are of one group (artist, or copies of one "
            "recording), which cannot be both trained and measured: add music by others"
        )


def _called(label: Any, genres: Sequence[str]) -> str:
    return genres[int(label)] if genres else str(label)


def _equal(values: Sequence[str | None]) -> list[tuple[int, int]]:
    """Pairs that connect all equal values; None equals nothing."""
    last: dict[str, int] = {}
    pairs = []
    for number, value in enumerate(values):
        if value is None:
            continue
        if value in last:
            pairs.append((last[value], number))
        last[value] = number
    return pairs


def _connected(n: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each number the lowest one that it is connected with (union-find)."""
    parent = list(range(n))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [root(number) for number in range(n)]
