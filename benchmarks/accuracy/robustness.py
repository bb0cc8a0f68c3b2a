"""What a microphone, a small loudspeaker or a room does to music, and to a model's accuracy."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_genre.audio.arrays import ArraySource
from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import resampled
from edge_genre.benchmarks.accuracy.evaluation import Track
from edge_genre.benchmarks.accuracy.labelled import LeftOut, labelled_files, probabilities_of
from edge_genre.benchmarks.accuracy.labels_csv import LabelledFiles
from edge_genre.classifier import Classifier
from edge_genre.errors import AudioError

Samples = NDArray[np.float32]
Condition = Callable[[Samples, int], Samples]


def _gain(decibels: float) -> Condition:
    def apply(samples: Samples, rate: int) -> Samples:
        return np.clip(samples * np.float32(10 ** (decibels / 20)), -1, 1)

    return apply


def _clipped(samples: Samples, rate: int) -> Samples:
    """Cut off at a third of the peak, as an overdriven input does."""
    limit = np.abs(samples).max() / 3
    return np.clip(samples, -limit, limit)


def _noisy(samples: Samples, rate: int) -> Samples:
    """White noise 20 dB below the music."""
    level = np.sqrt(np.mean(samples.astype(np.float64) ** 2)) / 10
    noise = np.random.default_rng(0).normal(0, level, len(samples))
    return np.clip(samples + noise, -1, 1).astype(np.float32)


def _small_speaker(samples: Samples, rate: int) -> Samples:
    """300 Hz to 4 kHz, with 12 dB an octave beyond, as a pocket loudspeaker has."""
    spectrum = np.fft.rfft(samples)
    hertz = np.maximum(np.fft.rfftfreq(len(samples), 1 / rate), 1.0)
    response = 1 / np.sqrt((1 + (300 / hertz) ** 4) * (1 + (hertz / 4000) ** 4))
    return np.fft.irfft(spectrum * response, len(samples)).astype(np.float32)


def _room(samples: Samples, rate: int) -> Samples:
    """A room of 0.5 s reverberation time, as loud as the direct sound.

    Noise that decays by 60 dB in that time: the statistical model of Polack (1988).
    """
    time = np.arange(rate // 2) / rate
    tail = np.random.default_rng(1).standard_normal(len(time)) * 10 ** (-3 * time / 0.5)
    response = tail / np.sqrt(np.sum(tail**2))
    response[0] += 1
    size = len(samples) + len(response)
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    wet = wet[: len(samples)]
    return (wet * np.abs(samples).max() / max(np.abs(wet).max(), 1e-9)).astype(np.float32)


def _mp3(samples: Samples, rate: int) -> Samples:
    """Through an MP3 encoder at 64 kbit/s."""
    file = io.BytesIO()
    level = 0.6 if rate < 32_000 else 0.89  # of libsndfile's scale from 160 or 320 kbit/s downward
    soundfile.write(
        file,
        samples,
        rate,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="CONSTANT",
        compression_level=level,
    )
    file.seek(0)
    return np.asarray(soundfile.read(file, dtype="float32")[0])


CONDITIONS: dict[str, Condition] = {
    "30 dB quieter": _gain(-30),
    "10 dB louder, cut off": _gain(10),
    "clipped at a third": _clipped,
    "noise at 20 dB": _noisy,
    "small loudspeaker": _small_speaker,
    "room of 0.5 s": _room,
    "MP3 at 64 kbit/s": _mp3,
}


def tracks_under_conditions(
    classifier: Classifier,
    folder: Path,
    labels: LabelledFiles | None = None,
    *,
    left_out: LeftOut,
) -> Iterator[dict[str, Track]]:
    """Classify each file as it is, and under each condition.

    Parameters
    ----------
    labels, left_out : see `edge_genre.benchmarks.accuracy.labelled.labelled_files`

    Yields
    ------
    For each file a track under "" for the file as it is, and under each name of `CONDITIONS`.
    What a condition makes silent counts as wrong, or as of no label where it may have none.

    Raises
    ------
    DataError
        The folder cannot be read, or holds no audio.
    """
    rate = classifier.spec.sample_rate
    task = classifier.task
    for path, truth in labelled_files(classifier, folder, labels, left_out=left_out):
        try:
            with AudioFile(path) as source:
                samples = resampled(source, rate)
            plain = probabilities_of(
                classifier.classify(ArraySource(samples, rate=rate), path=str(path))
            )
        except AudioError as error:
            left_out(str(error))
            continue
        if not len(plain):
            left_out(f"{path}: all of it is silent")
            continue
        temperature = classifier.info.song_temperature
        tracks = {"": Track(str(path), truth, plain, temperature, task)}
        for name, condition in CONDITIONS.items():
            song = classifier.classify(
                ArraySource(condition(samples, rate), rate=rate), path=str(path)
            )
            rows = probabilities_of(song)
            if not len(rows):
                rows = np.zeros((1, len(classifier.labels)), np.float32)
                if task.exclusive:  # some label has to be said: not the right one
                    rows[0, (max(truth) + 1) % len(classifier.labels)] = 1
            tracks[name] = Track(str(path), truth, rows, temperature, task)
        yield tracks
