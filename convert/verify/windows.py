"""Windows to compare models on, and to calibrate with: real audio, or features from a file.

Calibration is that of ranges here: between which values the tensors of a network lie, which 8-bit
steps are then spread over. (That of confidence is another one, and a part of training.)
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.file import AudioFile, genre_of, require_audio
from edge_genre.audio.resample import Resampler, resampled
from edge_genre.errors import AudioError, ConversionError
from edge_genre.frontend import FrontEnd, FrontEndSpec
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
    features : float32 [shape=(n, *shape)]
    labels : class of each, int [shape=(n,)]; `UNKNOWN` where nobody said
    origin : where they are from, in words
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    origin: str

    def __len__(self) -> int:
        return len(self.features)

    def parts(self) -> tuple[Windows, Windows]:
        """A quarter to calibrate ranges with, the others to compare on; all for both if few."""
        if len(self) < _FEWEST_FOR_PARTS:
            return self, self
        calibration = np.arange(len(self)) % 4 == 0
        return self._where(calibration), self._where(~calibration)

    def _where(self, chosen: NDArray[np.bool_]) -> Windows:
        return Windows(self.features[chosen], self.labels[chosen], self.origin)


def load_windows(
    data: Path | None,
    *,
    spec: FrontEndSpec | None,
    shape: tuple[int, ...],
    labels: Sequence[str],
    wanted: int = WANTED,
) -> Windows:
    """Find windows.

    Parameters
    ----------
    data : a folder of audio, in which a file's genre is its folder's name or what its own name
        begins with (``blues.00001.wav``); a ``.npz`` file with X [shape=(n, *shape)] and, if known,
        y, the index of each window's label; a ``.npy`` file with X alone; None for music that
        edge-genre composes itself, or noise for a model without a front end
    spec : the model's front end, None where it has none
    shape : of one window's features
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
        return _composed(spec, wanted) if spec else _noise(shape, wanted)
    if data.is_dir():
        if spec is None:
            raise ConversionError(
                f"{data}: a model without a front end cannot hear: give its features as a .npz file"
            )
        return _of_folder(data, spec, labels, wanted)
    return _of_file(data, shape, len(labels), wanted)


def _of_folder(folder: Path, spec: FrontEndSpec, labels: Sequence[str], wanted: int) -> Windows:
    files = require_audio(folder)
    front_end = FrontEnd(spec)
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
        features += [front_end(window) for window in windows]
        genre = genre_of(path, labels)
        classes += [UNKNOWN if genre is None else genre] * len(windows)
    if not features:
        reason = unreadable[0] if unreadable else "all of it is silent"
        raise ConversionError(f"{folder}: no window to calibrate and compare with ({reason})")
    origin = f"{len(files) - len(unreadable)} files of {folder.name}"
    if unreadable:
        origin += f" ({len(unreadable)} unreadable)"
    return _thinned(np.stack(features), np.array(classes), origin, wanted)


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


def _of_file(path: Path, shape: tuple[int, ...], n_classes: int, wanted: int) -> Windows:
    try:
        with reading(path, ConversionError):
            loaded = np.load(path, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                features, classes = loaded, None
            else:
                with loaded:
                    features = loaded["X"]
                    classes = loaded.get("y")
    except KeyError:
        raise ConversionError(f"{path}: has no array X, expected windows of features") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConversionError(
            f"{path}: is neither a folder of audio nor a .npz or .npy file of features "
            f"({numpy_reason(error)})"
        ) from None
    # Axes of length 1 may be left out or added; those of other lengths must be in order.
    if features.dtype.kind not in "fiu" or _without_ones(features.shape[1:]) != _without_ones(
        shape
    ):
        raise ConversionError(
            f"{path}: X is {features.dtype} of shape {features.shape}, "
            f"expected numbers of shape (windows, {', '.join(map(str, shape))})"
        )
    features = features.reshape(-1, *shape).astype(np.float32)
    if not len(features):
        raise ConversionError(f"{path}: holds no windows")
    if not np.isfinite(features).all():
        raise ConversionError(f"{path}: NaN or infinity in X: remove those windows")
    if classes is None:
        classes = np.full(len(features), UNKNOWN)
    if classes.shape != (len(features),) or classes.dtype.kind not in "iu":
        raise ConversionError(
            f"{path}: y is {classes.dtype} of shape {classes.shape}, "
            f"expected whole numbers of shape ({len(features)},)"
        )
    if classes.max() >= n_classes:
        raise ConversionError(
            f"{path}: y goes up to {classes.max()}, but the model has {n_classes} labels"
        )
    return _thinned(features, classes, path.name, wanted)


def _thinned(
    features: NDArray[np.float32], classes: NDArray[np.int64], origin: str, wanted: int
) -> Windows:
    """At most ``wanted`` windows, evenly taken."""
    if len(features) > wanted:
        chosen = np.linspace(0, len(features) - 1, wanted).astype(int)
        features, classes = features[chosen], classes[chosen]
    return Windows(features, classes.astype(np.int64), origin)


def _without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _composed(spec: FrontEndSpec, wanted: int) -> Windows:
    from edge_genre.demo.compose import RATE, compose

    pieces = []
    for seed in range(8):
        resampler = Resampler(RATE, spec.sample_rate)
        pieces += [resampler.process(compose(seed).mean(axis=1)), resampler.flush()]
    samples = np.concatenate(pieces).astype(np.float32)
    front_end, size = FrontEnd(spec), spec.window_samples
    starts = np.linspace(0, len(samples) - size, wanted).astype(int)
    features = np.stack([front_end(samples[start : start + size]) for start in starts])
    return Windows(features, np.full(wanted, UNKNOWN), "music composed by edge-genre")


def _noise(shape: tuple[int, ...], wanted: int) -> Windows:
    features = np.random.default_rng(0).standard_normal((wanted, *shape)).astype(np.float32)
    return Windows(features, np.full(wanted, UNKNOWN), "Gaussian noise")
