"""What contenders are measured on: music in the forms that they take, and models of ours.

All of it is made from folders that the user names, into a working folder that is kept: delete it
to have everything made anew.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.file import AudioFile, require_audio
from edge_genre.audio.resample import resampled
from edge_genre.choices import LABEL_SETS
from edge_genre.convert import convert
from edge_genre.errors import ConversionError, DataError
from edge_genre.model.bundled import DEFAULT, find_model

RATE = 22_050
RATES = (16_000, RATE, 44_100)
SECONDS = 30  # of a whole file
_SONGS = 4
_COMPARED = 100  # files

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Music:
    """Music for all contenders.

    Parameters
    ----------
    streams : folder with 30 s of samples for each rate, ``{rate}.npy``
    wavs : files of 30 s, 22,050 Hz, 16 bits
    songs : the files that they were made of
    windows : file of windows of 3 s from all genres [shape=(n, 66150)]
    short : a WAV of 3 s
    """

    streams: Path
    wavs: list[Path]
    songs: list[Path]
    windows: Path
    short: Path


def prepare_music(clips: Path, work: Path) -> Music:
    """Cut music out of a folder of audio.

    Raises
    ------
    DataError
        Fewer than four of its files last 30 s.
    """
    work.mkdir(parents=True, exist_ok=True)
    files = require_audio(clips)
    songs = [path for path in files if _duration(path) >= SECONDS]
    if len(songs) < _SONGS:
        raise DataError(
            f"{clips}: {len(songs)} files last {SECONDS} s or more, expected {_SONGS} at least"
        )
    # Of different genres, where the names tell them apart.
    songs = _spread(songs, _SONGS)
    wavs = [work / f"song{number}.wav" for number in range(_SONGS)]
    part = SECONDS // (_SONGS - 1)
    for rate in RATES:
        parts = [_samples(path, rate)[: part * rate] for path in songs[1:]]
        np.save(work / f"{rate}.npy", np.concatenate(parts))
    for song, path in zip(songs, wavs, strict=True):
        _write_wav(path, _samples(song, RATE)[: SECONDS * RATE])
    short = work / "window.wav"
    _write_wav(short, _samples(songs[0], RATE)[: 3 * RATE])
    np.save(work / "windows.npy", np.stack(list(_windows(files))))
    return Music(work, wavs, songs, work / "windows.npy", short)


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    """So many of them, from all parts of the list."""
    return [paths[index * len(paths) // count] for index in range(count)]


def _windows(files: Sequence[Path]) -> Iterator[Samples]:
    """Yield two windows of 3 s of each file, as long as it lasts."""
    size = 3 * RATE
    for path in _spread(files, min(len(files), _COMPARED)):
        samples = _samples(path, RATE)
        for start in (len(samples) // 4, len(samples) // 2):
            if start + size <= len(samples):
                yield samples[start : start + size]


def _duration(path: Path) -> float:
    with AudioFile(path) as source:
        return source.duration or 0.0


def _samples(path: Path, rate: int) -> Samples:
    with AudioFile(path) as source:
        return resampled(source, rate)


def _write_wav(path: Path, samples: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def five_channel_files(checkpoint: Path, clips: Path, work: Path) -> dict[str, Path]:
    """Convert the published five-channel CNN; files by suffix and quantization."""
    return _converted(
        checkpoint,
        work / "five-channel",
        ["tflite"],
        ["fp32", "int8"],
        clips,
        labels=LABEL_SETS["gtzan"],
        front_end="five-channel-first",
        architecture="five-channel-cnn",
    )


def songnet_source(work: Path) -> Path:
    """Save the published SongNet with random weights, since none were published."""
    path = work / "songnet-published.keras"
    if not path.is_file():
        import keras

        from edge_genre.models.networks.published_songnet import songnet_published

        keras.utils.set_random_seed(0)
        songnet_published().save(path)
    return path


def songnet_files(source: Path, clips: Path, work: Path) -> dict[str, Path]:
    """Convert the published SongNet; files by suffix and quantization."""
    return _converted(
        source,
        work / "songnet-published",
        ["tflite"],
        ["fp32", "dynamic"],
        clips,
        labels=LABEL_SETS["fma-small"],
        front_end="songnet",
        force=True,  # random weights give nearly equal probabilities: rounding changes the first
    )


def format_files(clips: Path, work: Path) -> dict[str, Path]:
    """Convert the default model to everything; files by suffix and quantization."""
    return _converted(
        find_model(f"{DEFAULT}.onnx"),
        work / "formats",
        ["tflite", "onnx"],
        ["fp32", "fp16", "dynamic", "int8"],
        clips,
        force=True,
    )


def _converted(
    source: Path,
    folder: Path,
    suffixes: list[str],
    quantizations: list[str],
    clips: Path,
    **options: Any,
) -> dict[str, Path]:
    names = {
        f"{suffix} {quantization}": folder / f"model-{quantization}.{suffix}"
        for suffix in suffixes
        for quantization in quantizations
    }
    if not all(path.is_file() for path in names.values()):
        report = convert(
            source,
            output=folder,
            name="model",
            to=suffixes,
            quantize=quantizations,
            calibrate=clips,
            **options,
        )
        for result in report.results:
            if result.path is None:
                raise ConversionError(f"{source}: {result.name}: {result.message}")
    return names
