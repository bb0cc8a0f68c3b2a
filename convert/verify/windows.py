"""Windows to compare models on, and to calibrate with: real audio, or features from a file.

Calibration is that of ranges here: between which values the tensors of a network lie, which 8-bit
steps are then spread over. (That of confidence is another one, and a part of training.)
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.file import AudioFile, genre_of, require_audio
from edge_genre.audio.resample import Resampler, resampled
from edge_genre.convert.tensors import TensorSpec, names_in_files
from edge_genre.errors import AudioError, ConversionError
from edge_genre.frontend import FrontEndSpec
from edge_genre.frontend.together import Features, FrontEnds
from edge_genre.host.files import numpy_reason, reading
from edge_genre.results import SILENCE_DBFS, level_dbfs

WANTED = 800
UNKNOWN = -1
# Of one file, windows that share more than this say little new.
_LARGEST_OVERLAP = 0.75
_FEWEST_FOR_PARTS = 40


@dataclass(frozen=True)
class Windows:
    """Windows as a model sees them on the device.

    Parameters
    ----------
    features : for each input, float32 [shape=(n, *shape)]
    labels : class of each, int [shape=(n,)], or of each label whether it holds
        [shape=(n, labels)]; `UNKNOWN` where nobody said
    origin : where they are from, in words
    """

    features: tuple[NDArray[np.float32], ...]
    labels: NDArray[np.int64]
    origin: str

    def __len__(self) -> int:
        return len(self.labels)

    def parts(self) -> tuple[Windows, Windows]:
        """A quarter to calibrate ranges with, the others to compare on; all for both if few."""
        if len(self) < _FEWEST_FOR_PARTS:
            return self, self
        calibration = np.arange(len(self)) % 4 == 0
        return self._where(calibration), self._where(~calibration)

    def _where(self, chosen: NDArray[np.bool_]) -> Windows:
        features = tuple(each[chosen] for each in self.features)
        return Windows(features, self.labels[chosen], self.origin)


def load_windows(
    data: Path | None,
    *,
    inputs: Sequence[TensorSpec],
    specs: Sequence[FrontEndSpec] = (),
    labels: Sequence[str],
    wanted: int = WANTED,
) -> Windows:
    """Find windows.

    Parameters
    ----------
    data : a folder of audio, in which a file's genre is its folder's name or what its own name
        begins with (``blues.00001.wav``); a ``.npz`` file with X [shape=(n, *shape)], or an array
        for each of several inputs, by their names, and, if known, y, the index of each window's
        label, or of each label whether it holds, 0 or 1 [shape=(n, labels)]; a ``.npy`` file with
        X alone; None for music that edge-genre composes itself, or
        noise for a model without a front end
    inputs : what the model takes, all lengths known
    specs : the front end of each, none where they are not of audio
    labels : the model's
    wanted : windows, at most

    Raises
    ------
    ConversionError
        There are none: the data are silent, of another shape, or no data.
    DataError
        A folder cannot be read, or holds no audio.
    """
    if data is None:
        return _composed(specs, wanted) if specs else _noise(inputs, wanted)
    if data.is_dir():
        if not specs:
            raise ConversionError(
                f"{data}: a model without a front end cannot hear: give its features as a .npz file"
            )
        return _of_folder(data, specs, labels, wanted)
    return _of_file(data, inputs, len(labels), wanted)


def _of_folder(
    folder: Path, specs: Sequence[FrontEndSpec], labels: Sequence[str], wanted: int
) -> Windows:
    files = require_audio(folder)
    front_ends, spec = FrontEnds(specs), specs[0]
    features, classes, unreadable = [], [], []
    each = -(-wanted // len(files))
    for path in files:
        try:
            with AudioFile(path) as source:
                samples = resampled(source, spec.sample_rate)
            windows = list(_audible(samples, spec.window_samples, each))
        except AudioError as error:
            unreadable.append(f"{path.name}: {error}")
            continue
        features += [front_ends(window) for window in windows]
        genre = genre_of(path, labels)
        classes += [UNKNOWN if genre is None else genre] * len(windows)
    if not features:
        reason = unreadable[0] if unreadable else "all of it is silent"
        raise ConversionError(f"{folder}: no window to calibrate and compare with ({reason})")
    origin = f"{len(files) - len(unreadable)} files of {folder.name}"
    if unreadable:
        origin += f" ({len(unreadable)} unreadable)"
    return _thinned(_stacked(features), np.array(classes), origin, wanted)


def _audible(samples: NDArray[np.float32], size: int, most: int) -> Iterator[NDArray[np.float32]]:
    """Windows spread evenly over a file; a shorter one is padded as on the device."""
    if len(samples) < size:
        samples = np.pad(samples, (0, size - len(samples)))
    last = len(samples) - size
    count = min(most, 1 + int(last / (size * (1 - _LARGEST_OVERLAP))))
    for start in np.linspace(0, last, count).astype(int):
        window = samples[start : start + size]
        if level_dbfs(window) >= SILENCE_DBFS:
            yield window


def _of_file(path: Path, inputs: Sequence[TensorSpec], n_classes: int, wanted: int) -> Windows:
    names = names_in_files([each.name for each in inputs], "X")
    try:
        with reading(path, ConversionError):
            loaded = np.load(path, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                arrays, classes = {"X": loaded}, None
            else:
                with loaded:
                    arrays = {name: loaded[name] for name in names if name in loaded}
                    classes = loaded.get("y")
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConversionError(
            f"{path}: is neither a folder of audio nor a .npz or .npy file of features "
            f"({numpy_reason(error)})"
        ) from None
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ConversionError(f"{path}: has no array {missing[0]}, expected windows of features")
    features = tuple(
        _checked(path, name, arrays[name], each) for name, each in zip(names, inputs, strict=True)
    )
    n = len(features[0])
    if any(len(each) != n for each in features):
        counts = " and ".join(str(len(each)) for each in features)
        raise ConversionError(
            f"{path}: {' and '.join(names)} have {counts} windows, expected as many of each"
        )
    if classes is None:
        classes = np.full(n, UNKNOWN)
    if classes.ndim == 2:
        _require_flags(path, classes, (n, n_classes))
    elif classes.shape != (n,) or classes.dtype.kind not in "iu":
        raise ConversionError(
            f"{path}: y is {classes.dtype} of shape {classes.shape}, "
            f"expected whole numbers of shape ({n},)"
        )
    elif classes.max() >= n_classes:
        raise ConversionError(
            f"{path}: y goes up to {classes.max()}, but the model has {n_classes} labels"
        )
    return _thinned(features, classes, path.name, wanted)


def _checked(
    path: Path, name: str, features: NDArray[Any], expected: TensorSpec
) -> NDArray[np.float32]:
    shape = [size or 1 for size in expected.shape]
    # Axes of length 1 may be left out or added; those of other lengths must be in order.
    if features.dtype.kind not in "fiu" or _without_ones(features.shape[1:]) != _without_ones(
        shape
    ):
        raise ConversionError(
            f"{path}: {name} is {features.dtype} of shape {features.shape}, "
            f"expected numbers of shape (windows, {', '.join(map(str, shape))})"
        )
    features = features.reshape(-1, *shape).astype(np.float32)
    if not len(features):
        raise ConversionError(f"{path}: holds no windows")
    if not np.isfinite(features).all():
        raise ConversionError(f"{path}: NaN or infinity in {name}: remove those windows")
    return features


def _require_flags(path: Path, classes: NDArray[Any], shape: tuple[int, int]) -> None:
    """Refuse what does not say of each window and label whether it holds."""
    if classes.shape != shape or not np.isin(classes, (0, 1)).all():
        raise ConversionError(
            f"{path}: y is {classes.dtype} of shape {classes.shape}, expected 0 and 1 of shape "
            f"{shape}, for each window and label"
        )


def _thinned(
    features: tuple[NDArray[np.float32], ...],
    classes: NDArray[np.int64],
    origin: str,
    wanted: int,
) -> Windows:
    """At most ``wanted`` windows, evenly taken."""
    if len(classes) > wanted:
        chosen = np.linspace(0, len(classes) - 1, wanted).astype(int)
        features, classes = tuple(each[chosen] for each in features), classes[chosen]
    return Windows(features, classes.astype(np.int64), origin)


def _stacked(windows: Iterable[Features]) -> tuple[NDArray[np.float32], ...]:
    """Features of windows one by one, as an array an input."""
    return tuple(map(np.stack, zip(*windows, strict=True)))


def _without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _composed(specs: Sequence[FrontEndSpec], wanted: int) -> Windows:
    from edge_genre.demo.compose import RATE, compose

    front_ends, spec = FrontEnds(specs), specs[0]
    pieces = []
    for seed in range(8):
        resampler = Resampler(RATE, spec.sample_rate)
        pieces += [resampler.process(compose(seed).mean(axis=1)), resampler.flush()]
    samples = np.concatenate(pieces).astype(np.float32)
    size = spec.window_samples
    starts = np.linspace(0, len(samples) - size, wanted).astype(int)
    features = _stacked(front_ends(samples[start : start + size]) for start in starts)
    return Windows(features, np.full(wanted, UNKNOWN), "music composed by edge-genre")


def _noise(inputs: Sequence[TensorSpec], wanted: int) -> Windows:
    rng = np.random.default_rng(0)
    shapes = ([size or 1 for size in each.shape] for each in inputs)
    features = tuple(rng.standard_normal((wanted, *each)).astype(np.float32) for each in shapes)
    return Windows(features, np.full(wanted, UNKNOWN), "Gaussian noise")
