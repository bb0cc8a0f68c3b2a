"""What windows of whole audio files are made of, computed once and kept."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import Resampler
from edge_genre.benchmarks.accuracy.levels import levels_alone
from edge_genre.errors import AudioError, DataError
from edge_genre.frontend import FrontEndSpec, check_samples
from edge_genre.host.files import reason, write_whole
from edge_genre.models.data import fingerprint
from edge_genre.models.data.stored import Levels, Stored, storing
from edge_genre.results import SILENCE_DBFS, level_dbfs

_VERSION = 2  # of how features are computed; what another one kept is computed anew


@dataclass(frozen=True)
class WholeTrack:
    """What is known of one file.

    Parameters
    ----------
    sound : what windows are made of
    fingerprint : uint32 [shape=(n,)]; see `edge_genre.models.data.fingerprint`
    digest : SHA-256 of the file's bytes
    """

    sound: Stored
    fingerprint: NDArray[np.uint32]
    digest: str


class WholeTracks:
    """Reads files, or what it kept of the same bytes when it read them before.

    Parameters
    ----------
    spec : of the features
    cache : folder to keep the sound in; it is made if need be
    """

    def __init__(self, spec: FrontEndSpec, cache: Path) -> None:
        self._spec = spec
        self._cache = cache
        self._store = storing(spec)
        self._fingerprint_levels = Levels(fingerprint.SPEC)
        # Their tables take longer to make than a track to resample.
        self._resamplers: dict[tuple[int, int], Resampler] = {}
        # What is done to a window as a whole is left to whoever takes it.
        kept = levels_alone(spec) if spec.made_of_levels else spec
        self._key = f"{kept.hash}-{fingerprint.SPEC.hash}-{_VERSION}"

    def __call__(self, path: Path) -> WholeTrack:
        """Read one file.

        Raises
        ------
        AudioError
            It cannot be read, is shorter than a window, or silent throughout.
        DataError
            The features cannot be kept.
        """
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise AudioError(f"cannot be read ({reason(error)})") from None
        entry = self._cache / f"{digest}-{self._key}.npz"
        kept = self._load(entry)
        if kept is None:
            kept = self._compute(path)
            _save(entry, *kept)
        return WholeTrack(*kept, digest)

    def _compute(self, path: Path) -> tuple[Stored, NDArray[np.uint32]]:
        rate = self._spec.sample_rate
        with AudioFile(path) as source:
            resampler = self._resampler(source.rate, rate)
            pieces = [resampler.process(block) for block in source.blocks()]
            samples = np.concatenate([*pieces, resampler.flush()])
        check_samples(samples, rate=rate)
        if len(samples) < self._spec.window_samples:
            raise AudioError(f"is shorter than a window of {self._spec.window_seconds:g} s")
        seconds = (samples[start : start + rate] for start in range(0, len(samples), rate))
        if all(level_dbfs(second) < SILENCE_DBFS for second in seconds):
            raise AudioError("all of it is silent")
        resampler = self._resampler(rate, fingerprint.SPEC.sample_rate)
        beginning = resampler.process(samples[: fingerprint.SECONDS * rate])
        beginning = np.concatenate([beginning, resampler.flush()])
        prints = fingerprint.fingerprint(self._fingerprint_levels.track(beginning))
        return self._store(samples), prints

    def _resampler(self, source: int, target: int) -> Resampler:
        if (source, target) not in self._resamplers:
            self._resamplers[source, target] = Resampler(source, target)
        resampler = self._resamplers[source, target]
        resampler.reset()  # a file may have ended in an error
        return resampler

    def _load(self, entry: Path) -> tuple[Stored, NDArray[np.uint32]] | None:
        """What is kept, or None if nothing is, or it is damaged."""
        try:
            with np.load(entry, allow_pickle=False) as file:
                arrays = dict(file)
            prints = arrays.pop("fingerprint")
        except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile):
            return None
        sound = self._store.restored(arrays)
        if sound is None or prints.dtype != np.uint32 or prints.ndim != 1:
            return None
        return sound, prints


def _save(entry: Path, sound: Stored, prints: NDArray[np.uint32]) -> None:
    """Write all or nothing, whatever happens meanwhile."""
    content = io.BytesIO()
    arrays: dict[str, Any] = {"fingerprint": prints, **sound.arrays}
    np.savez(content, **arrays)
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        write_whole(entry, content.getvalue(), mode=0o600)
    except OSError as error:
        raise DataError(
            f"{entry.parent}: features cannot be kept there ({reason(error)}): make room or set "
            "XDG_CACHE_HOME to another folder"
        ) from None
