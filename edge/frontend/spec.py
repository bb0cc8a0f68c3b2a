"""What a model was trained on, to the last number: the front-end specification."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_genre.errors import SpecError

_CHOICES: dict[str, tuple[Any, ...]] = {
    "kind": ("log_mel", "mfcc", "mfcc_deltas", "five_channel", "waveform"),
    "window_function": ("hann",),
    "pad_mode": ("constant", "reflect"),
    "mel_scale": ("slaney", "htk"),
    "mel_norm": ("slaney", None),
    "log": ("db", "natural", "none"),
    "normalize": ("none", "min_max", "mean_variance", "fixed"),
}

# A kind's own numbers are part of its JSON and its hash; the others are not. A kind that is added
# later, with fields of its own, therefore leaves the hashes of today's model files as they are.
_COMMON = ("kind", "sample_rate", "window_seconds")
_LOG_MEL = (
    *("n_fft", "hop_length", "window_function", "center", "pad_mode"),
    *("n_mels", "mel_scale", "mel_norm", "fmin", "fmax"),
    *("log", "ref", "amin", "top_db", "normalize", "mean", "scale", "axes"),
)
_FIELDS: dict[str, tuple[str, ...]] = {
    "waveform": _COMMON,
    "log_mel": _COMMON + _LOG_MEL,
    "mfcc": (*_COMMON, *_LOG_MEL, "n_mfcc"),
    "mfcc_deltas": (*_COMMON, *_LOG_MEL, "n_mfcc"),
    "five_channel": (*_COMMON, *_LOG_MEL, "n_mfcc"),
}
# Kinds that stack pictures of (n_mfcc, n_frames), and how many.
_CHANNELS = {"mfcc_deltas": 3, "five_channel": 5}
_AXES: dict[str, tuple[str, ...]] = {
    "waveform": ("time_first",),
    "log_mel": ("time_first", "frequency_first"),
    "mfcc": ("time_first", "frequency_first"),
    "mfcc_deltas": ("channels_last", "channels_first"),
    "five_channel": ("channels_last", "channels_first"),
}


_LARGEST = 2**31 - 1  # whole number: what is longer fits into no array


@dataclass(frozen=True, kw_only=True)
class FrontEndSpec:
    """Every number that a model's features depend on.

    Parameters
    ----------
    kind : ``"log_mel"``; ``"mfcc"``; ``"mfcc_deltas"``: MFCC, delta and delta-delta;
        ``"five_channel"``: these, beat-synchronous MFCC and chroma; ``"waveform"``: the samples
        themselves
    sample_rate : Hz; audio at another rate is resampled to it
    window_seconds : length of one classified window
    n_fft, hop_length : samples in a frame, and from one frame to the next
    window_function : ``"hann"`` (periodic)
    center : frame t is centred on sample ``t * hop_length``, the window padded by ``n_fft // 2``
    pad_mode : ``"constant"`` (zeros) or ``"reflect"``
    n_mels, mel_scale, mel_norm, fmin, fmax : the mel filter bank, in Hz; ``fmax`` None is half the
        sample rate. ``mel_norm`` ``"slaney"`` gives each triangle unit area, None unit height
    log : ``"db"``: ``10 log10(max(amin, S)) - 10 log10(max(amin, ref))``, as librosa's
        ``power_to_db``; ``"natural"``: ``ln(S + amin)``; ``"none"``: S, the power itself
    ref : 0 dB, as a power, or ``"max"``: the window's largest
    amin : see ``log``
    top_db : floor below the window's maximum, dB; None for none
    normalize : over the whole window: ``"none"``; ``"min_max"`` to 0..1; ``"mean_variance"``:
        ``(x - mean) / (std + 1e-6)``; ``"fixed"``: ``(x - self.mean) / self.scale``
    n_mfcc : coefficients, the lowest ones of an orthonormal DCT-II of the levels
    axes : ``"time_first"`` (frames, bands) or ``"frequency_first"`` (bands, frames); of stacks,
        ``"channels_last"`` (coefficients, frames, channels) or ``"channels_first"``

    Raises
    ------
    SpecError
        A value is impossible; the message names its key.
    """

    kind: str = "log_mel"
    sample_rate: int = 22_050
    window_seconds: float = 3.0
    n_fft: int = 2048
    hop_length: int = 512
    window_function: str = "hann"
    center: bool = True
    pad_mode: str = "constant"
    n_mels: int = 128
    mel_scale: str = "slaney"
    mel_norm: str | None = "slaney"
    fmin: float = 0.0
    fmax: float | None = None
    log: str = "db"
    ref: float | str = "max"
    amin: float = 1e-10
    top_db: float | None = 80.0
    normalize: str = "none"
    mean: float = 0.0
    scale: float = 1.0
    n_mfcc: int = 40
    axes: str = "time_first"

    def __post_init__(self) -> None:
        for key, choices in _CHOICES.items():
            _require(getattr(self, key) in choices, key, getattr(self, key), f"one of {choices}")
        _require(self.axes in _AXES[self.kind], "axes", self.axes, f"one of {_AXES[self.kind]}")
        for key in ("sample_rate", "n_fft", "hop_length", "n_mels", "n_mfcc"):
            value = getattr(self, key)
            whole = isinstance(value, int) and not isinstance(value, bool)
            _require(whole and 0 < value <= _LARGEST, key, value, "a positive whole number")
        _require(isinstance(self.center, bool), "center", self.center, "true or false")
        # 3 and 3.0 mean the same and must hash the same.
        for key in ("window_seconds", "fmin", "amin", "mean", "scale"):
            object.__setattr__(self, key, _number(key, getattr(self, key)))
        for key in ("fmax", "top_db"):
            if getattr(self, key) is not None:
                object.__setattr__(self, key, _number(key, getattr(self, key)))
        if self.ref != "max":
            object.__setattr__(self, "ref", _number("ref", self.ref))
            _require(float(self.ref) > 0, "ref", self.ref, "'max' or a positive number")
        _require(self.amin > 0, "amin", self.amin, "a positive number")
        _require(self.scale != 0, "scale", self.scale, "a number other than 0")
        _require(self.top_db is None or self.top_db > 0, "top_db", self.top_db, "positive or null")
        longest = self.window_seconds <= 600
        _require(longest, "window_seconds", self.window_seconds, "600 s at most")
        nyquist = self.sample_rate / 2
        _require(0 <= self.fmin < nyquist, "fmin", self.fmin, f"from 0 to below {nyquist:g} Hz")
        fmax = nyquist if self.fmax is None else self.fmax
        _require(self.fmin < fmax <= nyquist, "fmax", fmax, f"above fmin, {nyquist:g} Hz at most")
        if "n_mfcc" in _FIELDS[self.kind]:
            most = f"n_mels, {self.n_mels}, at most"
            _require(self.n_mfcc <= self.n_mels, "n_mfcc", self.n_mfcc, most)
        shortest = 1 if self.kind == "waveform" else self.n_fft
        if self.kind in _CHANNELS:  # which have deltas over 9 frames
            shortest = max(shortest, 9 * self.hop_length)
        if self.kind == "five_channel":  # whose beats are defined on these levels
            plain = {"log": "db", "ref": 1.0, "center": True}
            for key, value in plain.items():
                _require(getattr(self, key) == value, key, getattr(self, key), f"{value!r}")
        _require(
            self.window_samples >= shortest,
            "window_seconds",
            self.window_seconds,
            f"long enough for one frame of {shortest} samples",
        )

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return round(self.window_seconds * self.sample_rate)

    @property
    def n_frames(self) -> int:
        """Frames in one window, as librosa counts them."""
        padding = self.n_fft // 2 * 2 if self.center else 0
        return 1 + (self.window_samples + padding - self.n_fft) // self.hop_length

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one window's features."""
        if self.kind == "waveform":
            return (self.window_samples,)
        if self.kind in _CHANNELS:
            image, channels = (self.n_mfcc, self.n_frames), _CHANNELS[self.kind]
            return (*image, channels) if self.axes == "channels_last" else (channels, *image)
        shape = (self.n_frames, self.n_mfcc if self.kind == "mfcc" else self.n_mels)
        return shape if self.axes == "time_first" else shape[::-1]

    @property
    def format_version(self) -> int:
        """The oldest format of model files whose readers know the kind and all of its fields."""
        return 1

    @property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the canonical JSON text."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def replace(self, **changes: Any) -> FrontEndSpec:
        """Return a copy with some values changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the values that matter to this kind, ready for JSON."""
        return {key: getattr(self, key) for key in _FIELDS[self.kind]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FrontEndSpec:
        """Build a spec from JSON values; keys that are missing take their defaults.

        Raises
        ------
        SpecError
            A key is unknown, or a value impossible.
        """
        if not isinstance(values, Mapping):
            raise SpecError(f"front-end spec: expected a JSON object, found {values!r}")
        kind = values.get("kind", cls.kind)
        _require(kind in _CHOICES["kind"], "kind", kind, f"one of {_CHOICES['kind']}")
        unknown = sorted(set(values) - set(_FIELDS[kind]))
        if unknown:
            known = ", ".join(_FIELDS[kind])
            raise SpecError(f"front-end spec: unknown key {unknown[0]!r}; {kind} has {known}")
        return cls(**values)

    @classmethod
    def preset(cls, name: str) -> FrontEndSpec:
        """Return a preset by its name.

        Raises
        ------
        SpecError
            There is no preset of that name; the message lists them.
        """
        try:
            return PRESETS[name]
        except KeyError:
            known = ", ".join(sorted(PRESETS))
            raise SpecError(f"front-end preset {name!r} is unknown; there are {known}") from None


def _require(holds: bool, key: str, value: object, expected: str) -> None:
    if not holds:
        raise SpecError(f"front-end spec: {key} is {value!r}, expected {expected}")


def _number(key: str, value: object) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    _require(number and abs(value) <= sys.float_info.max, key, value, "a finite number")  # type: ignore[arg-type]
    return float(value)  # type: ignore[arg-type]


PRESETS: dict[str, FrontEndSpec] = {
    # The grid of the published GTZAN spectrograms: a column is 1,711 samples (77.6 ms).
    "songnet-gtzan": FrontEndSpec(hop_length=1711, normalize="mean_variance"),
    # The grid of the published FMA spectrograms: 30 s, a column is 10,336 samples (234 ms).
    "songnet-fma": FrontEndSpec(
        sample_rate=44_100, hop_length=10_336, window_seconds=30.0, normalize="mean_variance"
    ),
    # SongNet as published: 30 s, dB below the loudest bin, not scaled.
    "songnet": FrontEndSpec(window_seconds=30.0),
    # The five-channel CNN as published, in the layout of Keras and TFLite, and in PyTorch's.
    "five-channel": FrontEndSpec(kind="five_channel", ref=1.0, axes="channels_last"),
    "five-channel-first": FrontEndSpec(kind="five_channel", ref=1.0, axes="channels_first"),
    # The same without rhythm and chroma.
    "three-channel": FrontEndSpec(kind="mfcc_deltas", ref=1.0, axes="channels_last"),
    "three-channel-first": FrontEndSpec(kind="mfcc_deltas", ref=1.0, axes="channels_first"),
    # What most "log-mel on 3 seconds" and "13 MFCC" notebooks compute with librosa's defaults.
    "log-mel": FrontEndSpec(axes="frequency_first"),
    "mfcc-13": FrontEndSpec(kind="mfcc", ref=1.0, n_mfcc=13),
    # The audio branch of the CNN with BERT: torchaudio's mel spectrogram, ln(x + 1e-9).
    "audio-lyrics": FrontEndSpec(
        window_seconds=30.0,
        pad_mode="reflect",
        mel_scale="htk",
        mel_norm=None,
        log="natural",
        amin=1e-9,
        axes="frequency_first",
    ),
    # The audio branch of the cross-modal transformer: mel power, (128, 1292).
    "cross-modal": FrontEndSpec(window_seconds=30.0, log="none", axes="frequency_first"),
}
