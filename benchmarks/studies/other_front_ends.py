"""Other front ends, each set as near to librosa's default log-mel spectrogram as it goes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
RATE, N_FFT, HOP, N_MELS = 22_050, 2048, 512, 128


@dataclass(frozen=True)
class Peer:
    """One of them.

    Parameters
    ----------
    module : the package that it needs
    what : its features, in the benchmark's table
    make : gives the function from samples to features, dB [shape=(n_frames, n_mels)] where
        ``comparable``
    comparable : it computes librosa's log-mel spectrogram, or means to
    remark : why it does not
    """

    module: str
    what: str
    make: Callable[[], Callable[[Samples], Any]]
    comparable: bool = True
    remark: str = ""

    @property
    def installed(self) -> bool:
        """Whether its package is there."""
        return importlib.util.find_spec(self.module) is not None

    def error(self, samples: Samples, reference: NDArray[np.float32]) -> float:
        """Largest difference from librosa's features, dB."""
        features = self.make()(samples)[: len(reference)]
        return float(np.abs(features - reference).max())


def _librosa() -> Callable[[Samples], Any]:
    import librosa

    def features(samples: Samples) -> Any:
        return librosa.power_to_db(librosa.feature.melspectrogram(y=samples, sr=RATE)).T

    return features


def _kaldi_native_fbank() -> Callable[[Samples], Any]:
    import kaldi_native_fbank as knf

    options = knf.FbankOptions()
    frame = options.frame_opts
    frame.samp_freq, frame.window_type = RATE, "hann"
    frame.frame_length_ms, frame.frame_shift_ms = 1000 * N_FFT / RATE, 1000 * HOP / RATE
    frame.dither, frame.preemph_coeff, frame.remove_dc_offset = 0, 0, False
    options.mel_opts.num_bins = N_MELS
    options.mel_opts.low_freq, options.mel_opts.high_freq = 0, RATE / 2
    options.mel_opts.is_librosa = True
    options.use_log_fbank = False

    def features(samples: Samples) -> Any:
        fbank = knf.OnlineFbank(options)
        fbank.accept_waveform(RATE, np.pad(samples, N_FFT // 2))
        fbank.input_finished()
        return _decibels(np.array([fbank.get_frame(i) for i in range(fbank.num_frames_ready)]))

    return features


def _essentia() -> Callable[[Samples], Any]:
    import essentia

    essentia.log.infoActive = False
    from essentia import standard

    window = standard.Windowing(type="hann", normalized=False, zeroPhase=False, size=N_FFT)
    spectrum = standard.Spectrum(size=N_FFT)
    bands = standard.MelBands(
        inputSize=1 + N_FFT // 2,
        sampleRate=RATE,
        numberBands=N_MELS,
        lowFrequencyBound=0,
        highFrequencyBound=RATE / 2,
        warpingFormula="slaneyMel",
        weighting="linear",
        normalize="unit_tri",
        type="power",
    )

    def features(samples: Samples) -> Any:
        frames = standard.FrameGenerator(samples, frameSize=N_FFT, hopSize=HOP, startFromZero=False)
        return _decibels(np.array([bands(spectrum(window(frame))) for frame in frames]))

    return features


def _python_speech_features() -> Callable[[Samples], Any]:
    import python_speech_features as psf

    def features(samples: Samples) -> Any:
        return psf.logfbank(
            samples, RATE, winlen=N_FFT / RATE, winstep=HOP / RATE, nfilt=N_MELS, nfft=N_FFT
        )

    return features


def _pymicro_features() -> Callable[[Samples], Any]:
    from pymicro_features import MicroFrontend

    def features(samples: Samples) -> Any:
        pcm = (samples[: 3 * 16_000] * 32767).astype("<i2").tobytes()
        front_end = MicroFrontend()
        return [front_end.process_samples(pcm[i : i + 320]) for i in range(0, len(pcm), 320)]

    return features


def _decibels(power: NDArray[Any]) -> NDArray[Any]:
    levels = 10 * np.log10(np.maximum(power, 1e-10))
    return np.asarray(np.maximum(levels, levels.max() - 80))


LIBROSA = Peer("librosa", "log-mel", _librosa)
PEERS = (
    Peer("kaldi_native_fbank", "log-mel", _kaldi_native_fbank),
    Peer("essentia", "log-mel", _essentia, remark="its Hann window is the symmetric one"),
    Peer(
        "python_speech_features",
        "log of 128 mel bands",
        _python_speech_features,
        comparable=False,
        remark="no window, bands cut at whole bins",
    ),
    Peer(
        "pymicro_features",
        "40 bands of 16 kHz",
        _pymicro_features,
        comparable=False,
        remark="fixed point, with noise reduction",
    ),
)
