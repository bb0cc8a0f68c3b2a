"""Two published classifiers as their authors run them: librosa and the framework's network.

    python -m edge_genre.benchmarks.studies.side_by_side.published five-channel CHECKPOINT FILE
    python -m edge_genre.benchmarks.studies.side_by_side.published songnet MODEL.keras FILE

prints the genre of a file's first window: what a user's own script does, from import to answer.
Computed anew for every window, in one thread.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import librosa
import numpy as np
from numpy.typing import NDArray

from edge_genre.choices import LABEL_SETS

RATE = 22_050
Samples = NDArray[np.float32]


def five_channels(window: Samples) -> dict[str, Any]:
    """MFCC, deltas, rhythm and chroma of a window, before the last two are resized."""
    mfcc = librosa.feature.mfcc(y=window, sr=RATE, n_mfcc=40)
    delta = librosa.feature.delta(mfcc)
    second = librosa.feature.delta(mfcc, order=2)
    bpm, beats = librosa.beat.beat_track(y=window, sr=RATE)
    synchronous = librosa.util.sync(mfcc, beats, aggregate=np.mean)  # type: ignore[arg-type]
    chroma = librosa.feature.chroma_stft(y=window, sr=RATE)
    return {
        "MFCC": mfcc,
        "delta": delta,
        "delta-delta": second,
        "beat-synchronous MFCC": synchronous,
        "chroma": chroma,
        "bpm": float(np.atleast_1d(bpm)[0]),
        "beats": beats,
    }


class Pipeline(Protocol):
    """A published classifier."""

    versions: str
    labels: list[str]
    window_seconds: float

    def probabilities(self, windows: Samples) -> NDArray[np.float32]:
        """Classify windows [shape=(n, window)] as (n, classes)."""


class FiveChannelPipeline:
    """The five-channel CNN on PyTorch.

    Parameters
    ----------
    checkpoint : its weights
    """

    labels = LABEL_SETS["gtzan"]
    window_seconds = 3.0

    def __init__(self, checkpoint: Path) -> None:
        import torch

        from edge_genre.models.networks.five_channel import for_weights

        torch.set_num_threads(1)
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        self._torch = torch
        self._network = for_weights(saved["model_state_dict"]).eval()
        self._network.load_state_dict(saved["model_state_dict"])
        self.versions = f"librosa {version('librosa')}, torch {torch.__version__}"

    def probabilities(self, windows: Samples) -> NDArray[np.float32]:
        """Classify windows [shape=(n, 66150)] as (n, 10)."""
        torch = self._torch
        with torch.inference_mode():
            stacks = torch.stack([self._stack(window) for window in windows])
            return np.asarray(self._network(stacks).exp())

    def _stack(self, window: Samples) -> Any:
        found = five_channels(window)
        if not len(found["beats"]):  # where the published service fails
            found["beat-synchronous MFCC"] = found["MFCC"].mean(axis=1, keepdims=True)
        channels = [
            self._torch.from_numpy(np.ascontiguousarray(found[name], np.float32))
            for name in ("MFCC", "delta", "delta-delta", "beat-synchronous MFCC", "chroma")
        ]
        size = tuple(channels[0].shape)
        channels[3:] = [self._resized(channel, size) for channel in channels[3:]]
        return self._torch.stack(channels)

    def _resized(self, channel: Any, size: tuple[int, ...]) -> Any:
        resize = self._torch.nn.functional.interpolate
        return resize(channel[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]


class SongNetPipeline:
    """SongNet on Keras.

    Parameters
    ----------
    model : Keras file
    """

    labels = LABEL_SETS["fma-small"]
    window_seconds = 30.0

    def __init__(self, model: Path) -> None:
        import tensorflow as tf

        # Registers the attention layer.
        import edge_genre.models.networks.published_songnet  # noqa: F401

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._network = tf.keras.models.load_model(model, compile=False)
        self.versions = f"librosa {version('librosa')}, tensorflow {tf.__version__}"

    def probabilities(self, windows: Samples) -> NDArray[np.float32]:
        """Classify windows [shape=(n, 661500)] as (n, 8)."""
        features = np.stack([self._log_mel(window) for window in windows])
        return np.asarray(self._network.predict(features, verbose=0))

    def _log_mel(self, window: Samples) -> NDArray[np.float32]:
        power = librosa.feature.melspectrogram(y=window, sr=RATE)
        return librosa.power_to_db(power, ref=np.max).T


PIPELINES: dict[str, type[FiveChannelPipeline | SongNetPipeline]] = {
    "five-channel": FiveChannelPipeline,
    "songnet": SongNetPipeline,
}


def windows_of(path: Path, seconds: float) -> Samples:
    """Cut a file into windows [shape=(n, window)]; one that is shorter than a window is padded."""
    samples, _ = librosa.load(path, sr=RATE)
    size = round(seconds * RATE)
    count = max(1, len(samples) // size)
    return librosa.util.fix_length(samples, size=count * size).reshape(count, size)


def main() -> None:
    name, model, path = sys.argv[1:]
    pipeline = PIPELINES[name](Path(model))
    (first, *_) = pipeline.probabilities(windows_of(Path(path), pipeline.window_seconds)[:1])
    print(pipeline.labels[int(first.argmax())], flush=True)


if __name__ == "__main__":
    main()
