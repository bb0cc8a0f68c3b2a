"""Log-mel spectrograms, equal to librosa's ``melspectrogram`` and ``power_to_db``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from edge_genre.frontend.levels import Levels, MelLevels

if TYPE_CHECKING:
    from edge_genre.frontend.graph import Value, Writer


@dataclass(frozen=True, kw_only=True)
class LogMel(MelLevels):
    """A mel spectrogram and its logarithm."""

    kind: str = "log_mel"

    @property
    def description(self) -> str:
        """In a few words."""
        return "log-mel"

    @property
    def forgets_level(self) -> bool:
        """A window's normalisation takes it away."""
        return self.normalize in ("mean_variance", "min_max") and not self.statistics

    def computation(self, dtype: type[Any]) -> Levels:
        """What computes it."""
        return _LogMel(self, dtype)

    def graph(self, writer: Writer, samples: Value) -> Value:
        """The same as operators."""
        return self.graph_finished(writer, self.graph_levels(writer, samples))


class _LogMel(Levels):
    def finish(self, rows: list[NDArray[Any]]) -> NDArray[Any]:
        """Levels of one window, normalised [shape=spec.shape], a new array."""
        return self.finished(self.levels(rows))


KIND = LogMel
PRESETS = {
    # The grid of the published GTZAN spectrograms: a column is 1,711 samples (77.6 ms).
    "songnet-gtzan": LogMel(hop_length=1711, normalize="mean_variance"),
    # The grid of the published FMA spectrograms: 30 s, a column is 10,336 samples (234 ms).
    "songnet-fma": LogMel(
        sample_rate=44_100, hop_length=10_336, window_seconds=30.0, normalize="mean_variance"
    ),
    # SongNet as published: 30 s, dB below the loudest bin, not scaled.
    "songnet": LogMel(window_seconds=30.0),
    # What most "log-mel on 3 seconds" notebooks compute with librosa's defaults.
    "log-mel": LogMel(axes="frequency_first"),
    # The audio branch of the CNN with BERT: torchaudio's mel spectrogram, ln(x + 1e-9).
    "audio-lyrics": LogMel(
        window_seconds=30.0,
        pad_mode="reflect",
        mel_scale="htk",
        mel_norm=None,
        log="natural",
        amin=1e-9,
        axes="frequency_first",
    ),
    # The audio branch of the cross-modal transformer: mel power, (128, 1292).
    "cross-modal": LogMel(window_seconds=30.0, log="none", axes="frequency_first"),
}
