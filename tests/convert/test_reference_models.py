"""Models that others trained, converted to every format and compared on real music."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import keras
import librosa
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edge_genre import Classifier
from edge_genre.audio.file import AudioFile, require_audio
from edge_genre.audio.resample import resampled
from edge_genre.choices import LABEL_SETS
from edge_genre.convert.pipeline import convert
from edge_genre.convert.report import ConversionReport
from edge_genre.convert.tensors import one_input
from edge_genre.convert.verify.windows import UNKNOWN, load_windows
from edge_genre.frontend import FrontEndSpec
from edge_genre.model.bundled import find_model
from edge_genre.model.file import read
from tests.support.command_line import run
from tests.support.requirements import require_package

ALL = ("fp32", "fp16", "dynamic", "int8")
BOTH = ("tflite", "onnx")
GTZAN, FMA = LABEL_SETS["gtzan"], LABEL_SETS["fma-small"]
EIGHT = GTZAN[:8]  # as many as SongNet has
ARCHITECTURES = Path(__file__).parent / "architectures"
Report = Callable[[str], None]


def said(report: ConversionReport, write: Report) -> None:
    """Write the figures down, where a reader of the test's output sees them."""
    for result in report.results:
        figures = result.message
        if result.verdict is not None:
            parity = result.verdict.parity
            figures = (
                f"{result.size / 1000:.1f} kB, {parity.top1_agreement:.2%} of {parity.windows}, "
                f"{parity.max_difference:.1e}, {result.facts.milliseconds:.3f} ms, outside "
                f"XNNPACK {result.facts.graph.outside_xnnpack} {figures}"
            )
        name = Path(report.source.path).name
        write(f"{name} {result.name}: {result.status}, {figures} ({result.seconds:.0f} s)")


def all_kept(report: ConversionReport) -> None:
    for result in report.results:
        assert result.status == "kept", f"{result.name}: {result.message}"
    for path in report.files:
        if read(path).info.front_end is not None:
            Classifier.load(path)  # its self-test passes


@pytest.mark.parametrize(
    ("name", "preset", "sizes"),
    [
        ("five_channel_cnn.ckpt", "five-channel-first", {"fp32": 125, "fp16": 67, "int8": 43}),
        pytest.param("three_channel_cnn.ckpt", "three-channel-first", {}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_five_channel_cnn(
    name: str,
    preset: str,
    sizes: dict[str, int],
    reference_models: Path,
    clips: Path,
    tmp_path: Path,
    report: Report,
) -> None:
    require_package("torch")
    found = convert(
        reference_models / name,
        output=tmp_path,
        to=BOTH,
        quantize=ALL,
        architecture="five-channel-cnn",
        labels=GTZAN,
        front_end=preset,
        calibrate=clips,
    )
    said(found, report)
    assert found.windows.compared >= 500
    assert found.windows.labelled == found.windows.compared
    for result in found.results:
        if result.quantization == "int8":
            # Kept, but by a few windows of 600: another processor rounds otherwise.
            assert result.verdict is not None
            assert result.verdict.parity.top1_agreement >= 0.98
            assert 0 < result.facts.graph.in_8_bits < result.facts.graph.layers
        else:
            assert result.status == "kept", result.message
            assert result.facts.graph.in_8_bits == 0
        if result.suffix == "tflite":
            assert set(result.facts.graph.outside_xnnpack) <= {"SOFTMAX"}
            assert result.size <= 1000 * (sizes | {"dynamic": 40}).get(result.quantization, 1000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "architecture", "preset", "labels"),
    [
        ("cnn_gru_attention.pth", "cnn_gru_attention.py:CnnGruAttention", "log-mel", FMA),
        ("mfcc_gru.pth", "mfcc_gru.py:MfccGru", "mfcc-13", GTZAN),
    ],
)
def test_recurrent_networks_of_pytorch(
    name: str,
    architecture: str,
    preset: str,
    labels: list[str],
    reference_models: Path,
    clips: Path,
    tmp_path: Path,
    report: Report,
) -> None:
    require_package("torch")
    found = convert(
        reference_models / name,
        output=tmp_path,
        to=BOTH,
        quantize=ALL,
        architecture=str(ARCHITECTURES / architecture),
        labels=labels,
        front_end=preset,
        calibrate=clips,
    )
    said(found, report)
    for result in found.results:
        # int8 where the gate passes; it must come to a verdict.
        allowed = {"kept", "refused"} if result.quantization == "int8" else {"kept"}
        if (name, result.quantization) == ("mfcc_gru.pth", "fp16"):
            # One window lies on an edge of its 130 steps of two GRUs: what half precision rounds
            # off is amplified 50 times there. Each matrix alone does it, however it is rounded.
            assert result.verdict.parity.top1_agreement == 1
            allowed = {"refused"}
        assert result.status in allowed, result.message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "preset"), [("mel_cnn.keras", "log-mel"), ("mfcc_cnn.keras", "mfcc-13")]
)
def test_cnns_of_keras(
    name: str, preset: str, reference_models: Path, clips: Path, tmp_path: Path, report: Report
) -> None:
    found = convert(
        reference_models / name,
        output=tmp_path,
        to=BOTH,
        quantize=ALL,
        labels=GTZAN,
        front_end=preset,
        calibrate=clips,
    )
    said(found, report)
    all_kept(found)


@pytest.mark.slow
def test_a_legacy_file_without_a_front_end(
    reference_models: Path, clips: Path, tmp_path: Path, report: Report
) -> None:
    """Rows of 58 numbers, means and variances of what librosa computes of 3 s."""
    rows, genres = [], []
    for path in sorted(clips.glob("*.opus"))[::2]:
        samples, rate = librosa.load(path, sr=22050)
        for start in range(0, len(samples) - 3 * rate + 1, 3 * rate):
            rows.append(_tabular(samples[start : start + 3 * rate], rate))
            genres.append(GTZAN.index(path.name.split(".")[0]))
    features = np.array(rows)
    features = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    data = tmp_path / "rows.npz"
    np.savez(data, X=features[:, :, np.newaxis].astype(np.float32), y=np.array(genres))
    found = convert(
        reference_models / "tabular_conv1d.h5",
        output=tmp_path,
        to=BOTH,
        quantize=ALL,
        labels=GTZAN,
        calibrate=data,
    )
    # It knows these rows: they are what it was trained on, or nearly.
    assert found.results[0].verdict.source_correct > 0.8 * found.windows.labelled
    said(found, report)
    all_kept(found)


def _tabular(samples: np.ndarray, rate: int) -> list[float]:
    """GTZAN's well-known table of features, in the order of its columns."""
    feature = librosa.feature
    harmonic, percussive = librosa.effects.hpss(samples)
    spectral = [
        feature.chroma_stft(y=samples, sr=rate),
        feature.rms(y=samples),
        feature.spectral_centroid(y=samples, sr=rate),
        feature.spectral_bandwidth(y=samples, sr=rate),
        feature.spectral_rolloff(y=samples, sr=rate),
        feature.zero_crossing_rate(samples),
        harmonic,
        percussive,
    ]
    tempo = feature.tempo(y=samples, sr=rate).item()
    cepstral = feature.mfcc(y=samples, sr=rate)
    return [len(samples), *_moments(spectral), tempo, *_moments(cepstral)]


def _moments(rows: Iterable[np.ndarray]) -> Iterator[float]:
    for row in rows:
        yield float(row.mean())
        yield float(row.var())


@pytest.mark.slow
def test_a_tflite_file_gets_a_description_and_becomes_onnx(
    reference_models: Path, tmp_path: Path, report: Report
) -> None:
    labels = "disco classical country blues metal rock reggae pop hiphop jazz".split()
    found = convert(
        reference_models / "mfcc_dense.tflite",
        output=tmp_path,
        to=BOTH,
        quantize=["fp32"],
        labels=labels,
        front_end="mfcc-13",
    )
    said(found, report)
    all_kept(found)
    for genre, probability in (("disco", 0.956), ("metal", 0.9996)):
        text = (reference_models / f"mfcc_dense_input_{genre}.txt").read_text()
        features = np.array(
            text.replace("[", " ").replace("]", " ").replace(",", " ").split(), np.float32
        )
        for path in found.files:
            result = Classifier.load(path).run(features.reshape(130, 13))
            assert labels[int(result.argmax())] == genre
            assert result.max() == pytest.approx(probability, abs=6e-4)


@pytest.mark.slow
def test_yamnet(reference_models: Path, corpus: Path, tmp_path: Path, report: Report) -> None:
    """521 sigmoids that nobody here trained: the file gives what the bare interpreter gives."""
    source, spec = reference_models / "yamnet_wavin.tflite", tmp_path / "samples.json"
    spec.write_text('{"kind": "waveform", "sample_rate": 16000, "window_seconds": 0.975}')
    windows = _sounds(corpus)
    np.save(tmp_path / "windows.npy", windows)
    run(
        *("convert", source, "--labels", reference_models / "yamnet_labels.txt"),
        *("--frontend", spec, "--noun", "sound", "-o", tmp_path),
        *("--calibrate", tmp_path / "windows.npy"),
    )
    classifier = Classifier.load(tmp_path / "yamnet_wavin-int8.tflite")
    task = classifier.info.task
    assert (task.noun, task.exclusive, len(task.thresholds)) == ("sound", False, 521)
    assert classifier.info.output == "probabilities"

    bare = Interpreter(model_path=str(source), num_threads=1)
    bare.allocate_tensors()
    (taken,), (given,) = bare.get_input_details(), bare.get_output_details()
    differences = []
    for window in windows:
        bare.set_tensor(taken["index"], window)
        bare.invoke()
        expected = bare.get_tensor(given["index"])[0]
        differences.append(np.abs(classifier.probabilities(window) - expected).max())
    report(f"yamnet: {len(windows)} windows, largest difference {max(differences):.1e}")
    assert max(differences) <= 1e-6


def _sounds(corpus: Path) -> np.ndarray:
    """Five windows of YAMNet's length out of each of 20 clips of music and of 20 other sounds."""
    windows = []
    for folder in ("gtzan_clips", "not_music"):
        paths = require_audio(corpus / folder)
        for path in paths[:: len(paths) // 20][:20]:
            with AudioFile(path) as source:
                samples = resampled(source, 16_000)
            samples = np.pad(samples, (0, max(15_600 - len(samples), 0)))
            starts = np.linspace(0, len(samples) - 15_600, 5).astype(int)
            windows += [samples[start : start + 15_600] for start in starts]
    return np.stack(windows)


@pytest.mark.slow
def test_our_own(clips: Path, tmp_path: Path, report: Report) -> None:
    """From the bundled ONNX file, which brings its own description."""
    found = convert(
        find_model("songnet-gtzan.onnx"), output=tmp_path, to=BOTH, quantize=ALL, calibrate=clips
    )
    said(found, report)
    all_kept(found)


def _published(n_frames: int, clips: Path, spec: FrontEndSpec, path: Path) -> Path:
    """SongNet as published, freshly trained on these few clips so that most windows are clear."""
    from edge_genre.models.networks.published_songnet import songnet_published

    keras.utils.set_random_seed(3)
    model = songnet_published(n_frames=n_frames, n_classes=len(EIGHT))
    found = load_windows(clips, inputs=one_input(spec.shape), specs=[spec], labels=EIGHT)
    (features,), known = found.features, found.labels != UNKNOWN
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    # Enough for the averages of the normalisations to settle.
    epochs = -(-400 * 16 // int(known.sum()))
    model.fit(features[known], found.labels[known], batch_size=16, epochs=epochs, verbose=0)
    model.save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_frames", "spec", "small"),
    [
        (130, FrontEndSpec(), ("dynamic", "int8")),
        (1292, FrontEndSpec.preset("songnet"), ("dynamic",)),
    ],
)
def test_songnet_as_published(
    n_frames: int,
    spec: FrontEndSpec,
    small: tuple[str, ...],
    clips: Path,
    tmp_path: Path,
    report: Report,
) -> None:
    source = _published(n_frames, clips, spec, tmp_path / "songnet.h5")
    begin = time.perf_counter()
    found = convert(
        source,
        output=tmp_path / "out",
        to=BOTH,
        quantize=ALL,
        labels=EIGHT,
        front_end=spec,
        calibrate=clips,
    )
    said(found, report)
    report(f"all formats of {n_frames} frames: {time.perf_counter() - begin:.0f} s")
    results = {result.name: result for result in found.results}
    for result in found.results:
        assert result.status == "kept", result.message
    # A quarter of the weights, and what is no weight. How many layers compute in 8 bits, and with
    # that some kB, depends on the processor.
    for quantization in small:
        assert results[f"tflite {quantization}"].size < 0.36 * results["tflite fp32"].size
    if n_frames == 1292:
        assert any("times the size of fp32" in note for note in results["tflite int8"].notes)
