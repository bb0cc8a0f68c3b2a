"""Features of whole audio files, computed once and kept."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import Resampler
from edge_genre.errors import AudioError, DataError
from edge_genre.frontend import FrontEnd, FrontEndSpec, check_samples
from edge_genre.frontend.framed import Framed
from edge_genre.frontend.spectrum import BLOCK_FRAMES, PowerSpectrum
from edge_genre.host.files import reason, write_whole
from edge_genre.models.data import fingerprint
from edge_genre.results import SILENCE_DBFS, level_dbfs

_VERSION = 1  # of how features are computed; what another one kept is computed anew


@dataclass(frozen=True)
class WholeTrack:
    """What is known of one file.

    Parameters
    ----------
    features : log-mel levels in dB, float32 [shape=(n_frames, n_mels)]; of other features every
        whole window, float32 [shape=(n_windows, *spec.shape)]
    fingerprint : uint32 [shape=(n,)]; see `edge_genre.models.data.fingerprint`
    digest : SHA-256 of the file's bytes
    """

    features: NDArray[np.float32]
    fingerprint: NDArray[np.uint32]
    digest: str


class WholeTracks:
    """Reads files, or what it kept of the same bytes when it read them before.

    Parameters
    ----------
    spec : of the features. What log-mel in dB does to a window as a whole (reference, floor,
        normalisation, axes) is left to whoever cuts windows
    cache : folder to keep the features in; it is made if need be

    Raises
    ------
    DataError
        The spec is log-mel without dB.
    """

    def __init__(self, spec: FrontEndSpec, cache: Path) -> None:
        if spec.kind == "log_mel" and spec.log != "db":
            raise DataError(
                f"the front end is {spec.kind} with log {spec.log!r}, expected log 'db': give such "
                "a spec to train on a folder of audio"
            )
        self._spec = spec
        self._cache = cache
        self._in_frames = spec.kind == "log_mel"
        self._features = Levels(spec) if self._in_frames else Windows(spec)
        self._fingerprint_levels = Levels(fingerprint.SPEC)
        # Their tables take longer to make than a track to resample.
        self._resamplers: dict[tuple[int, int], Resampler] = {}
        kept = _frames_of(spec) if self._in_frames else spec
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
        features, prints = kept
        if len(features) < (self._spec.n_frames if self._in_frames else 1):
            raise AudioError(f"is shorter than a window of {self._spec.window_seconds:g} s")
        return WholeTrack(features, prints, digest)

    def _compute(self, path: Path) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
        rate = self._spec.sample_rate
        with AudioFile(path) as source:
            resampler = self._resampler(source.rate, rate)
            pieces = [resampler.process(block) for block in source.blocks()]
            samples = np.concatenate([*pieces, resampler.flush()])
        check_samples(samples, rate=rate)
        seconds = (samples[start : start + rate] for start in range(0, len(samples), rate))
        if all(level_dbfs(second) < SILENCE_DBFS for second in seconds):
            raise AudioError("all of it is silent")
        resampler = self._resampler(rate, fingerprint.SPEC.sample_rate)
        beginning = resampler.process(samples[: fingerprint.SECONDS * rate])
        beginning = np.concatenate([beginning, resampler.flush()])
        prints = fingerprint.fingerprint(self._fingerprint_levels(beginning))
        return self._features(samples), prints

    def _resampler(self, source: int, target: int) -> Resampler:
        if (source, target) not in self._resamplers:
            self._resamplers[source, target] = Resampler(source, target)
        resampler = self._resamplers[source, target]
        resampler.reset()  # a file may have ended in an error
        return resampler

    def _load(self, entry: Path) -> tuple[NDArray[np.float32], NDArray[np.uint32]] | None:
        """What is kept, or None if nothing is, or it is damaged."""
        try:
            with np.load(entry, allow_pickle=False) as file:
                features, prints = file["features"], file["fingerprint"]
        except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile):
            return None
        shape = (self._spec.n_mels,) if self._in_frames else self._spec.shape
        if features.dtype != np.float32 or features.shape[1:] != shape:
            return None
        return (features, prints) if prints.dtype == np.uint32 and prints.ndim == 1 else None


def _frames_of(spec: FrontEndSpec) -> FrontEndSpec:
    """What single frames depend on: windows of any length are cut from the same ones."""
    return spec.replace(
        window_seconds=spec.n_fft / spec.sample_rate,
        ref=1.0,
        top_db=None,
        normalize="none",
        mean=0.0,
        scale=1.0,
        axes="time_first",
    )


class Levels:
    """Log-mel levels in dB of signals of any length, frame by frame as the front end has them.

    Parameters
    ----------
    spec : log-mel in dB
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self._spec = spec
        block = spec.n_fft + (BLOCK_FRAMES - 1) * spec.hop_length
        blocks = spec.replace(center=False, window_seconds=block / spec.sample_rate)
        assert isinstance(blocks, Framed)
        self._spectrum = PowerSpectrum(blocks, np.float32)
        self._log_mel = blocks.computation(np.float32)

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Levels of one signal.

        Parameters
        ----------
        samples : float32 [shape=(n,)]

        Returns
        -------
        float32 [shape=(n_frames, n_mels)]; no frames of what is shorter than one
        """
        spec = self._spec
        if len(samples) < spec.n_fft:
            return np.empty((0, spec.n_mels), np.float32)
        if spec.center:
            margin = spec.n_fft // 2
            reflect = spec.pad_mode == "reflect"
            samples = np.pad(samples, margin, "reflect") if reflect else np.pad(samples, margin)
        n_frames = 1 + (len(samples) - spec.n_fft) // spec.hop_length
        levels = np.empty((n_frames, spec.n_mels), np.float32)
        for first in range(0, n_frames, BLOCK_FRAMES):
            block = levels[first : first + BLOCK_FRAMES]
            start = first * spec.hop_length
            part = samples[start : start + spec.n_fft + (len(block) - 1) * spec.hop_length]
            self._spectrum.samples[: len(part)] = part
            self._log_mel.analyse(self._spectrum.power([range(len(block))]), [block])
        return levels


class Windows:
    """Features of every whole window of a signal, side by side.

    Parameters
    ----------
    spec : of any kind
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self._front_end = FrontEnd(spec)
        self._spec = spec

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of one signal.

        Parameters
        ----------
        samples : float32 [shape=(n,)]

        Returns
        -------
        float32 [shape=(n_windows, *spec.shape)]
        """
        size = self._spec.window_samples
        rows = np.empty((len(samples) // size, *self._spec.shape), np.float32)
        for number, row in enumerate(rows):
            row[:] = self._front_end(samples[number * size : (number + 1) * size])
        return rows


def _save(entry: Path, features: NDArray[np.float32], prints: NDArray[np.uint32]) -> None:
    """Write all or nothing, whatever happens meanwhile."""
    content = io.BytesIO()
    np.savez(content, features=features, fingerprint=prints)
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        write_whole(entry, content.getvalue(), mode=0o600)
    except OSError as error:
        raise DataError(
            f"{entry.parent}: features cannot be kept there ({reason(error)}): make room or set "
            "XDG_CACHE_HOME to another folder"
        ) from None
