"""Every bundled model file: whole, described, and as good on real audio as its card says."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_genre import Classifier, FrontEnd, FrontEndSpec
from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import Resampler
from edge_genre.model.bundled import bundled_models
from edge_genre.model.file import read
from edge_genre.models.publish.card import card
from edge_genre.models.publish.measured import Measured
from edge_genre.models.train.metrics import Metrics

MODELS = pytest.mark.parametrize("path", bundled_models(), ids=lambda path: path.name)
FOLDERS = Path(__file__).parents[2] / "models"
# File of the corpus, what a byte's full scale is, and the accuracy of tracks to hold.
SOURCES = {
    "songnet-gtzan": ("gtzan_logmel.npz", 255, 0.60),
    "songnet-fma": ("fma_small_logmel.npz", 63, 0.53),
    "tiny-gtzan": ("gtzan_logmel.npz", 255, 0.50),
}
# Bytes of the TFLite file at most, in thousands, all that is attached to it included.
SIZES = {"songnet-gtzan": 350, "songnet-fma": 450, "tiny-gtzan": 60}
COLUMN_SECONDS = 1711 / 22_050


@MODELS
def test_described_and_proven(path: Path) -> None:
    info = read(path).info
    assert info is not None
    assert info.name == path.stem
    assert info.license == "Apache-2.0"
    assert info.training["data"]
    assert {row["unit"] for row in info.accuracy} == {"window", "track"}
    assert info.parity["top1_agreement"] >= 0.985
    assert info.self_test is not None
    assert Classifier.load(path).self_test() <= info.self_test.tolerance / 3


@MODELS
def test_card_is_the_folders(path: Path) -> None:
    """The card in the file is the page in the repository, which is made from the figures there."""
    text = (FOLDERS / path.stem / "README.md").read_text()
    files = [read(each) for each in bundled_models() if each.stem == path.stem]
    assert read(path).info.card == text
    folder = FOLDERS / path.stem
    notes = (folder / "notes.md").read_text()
    assert card(files, Metrics.read(folder), Measured.read(folder), notes) == text


@MODELS
def test_size_and_confidence(path: Path) -> None:
    if path.suffix == ".tflite":
        assert path.stat().st_size <= 1000 * SIZES[path.stem]
    confidence = Metrics.read(FOLDERS / path.stem).confidence
    assert confidence.track_error[1] <= 0.08
    assert read(path).info.song_temperature == confidence.song_temperature


@MODELS
def test_card_is_true(path: Path, corpus: Path) -> None:
    """The counts of the card, from the file itself on the corpus' validation tracks."""
    classifier = Classifier.load(path, check=False)
    file, full_scale, least = SOURCES[path.stem]
    windows, labels, _ = _validation(corpus / file, classifier.spec.n_frames)
    answers = np.array(
        [[classifier.run(_normalized(window, full_scale)) for window in track] for track in windows]
    )
    track_right = answers.mean(axis=1).argmax(axis=1) == labels
    window_right = answers.argmax(axis=2) == labels[:, None]
    found = {
        "track": (len(labels), int(track_right.sum())),
        "window": (window_right.size, int(window_right.sum())),
    }
    for row in classifier.info.accuracy:
        n, correct = found[row["unit"]]
        assert row["n"] == n
        # Other processors round other windows another way.
        assert abs(row["correct"] - correct) <= max(1, 0.003 * n)
    assert track_right.mean() >= least


def test_no_skew_between_training_and_serving(
    corpus: Path, clips: Path, report: Callable[[str], None]
) -> None:
    """Real audio through the whole product, against the corpus' features of the same tracks."""
    classifier = Classifier.load()
    windows, labels, names = _validation(corpus / "gtzan_logmel.npz", classifier.spec.n_frames)
    rows = {name: index for index, name in enumerate(names)}
    with (clips / "index.csv").open() as stream:
        listed = [row for row in csv.DictReader(stream) if row["split"] == "valid"]
    audio_right = feature_right = same = discordant = 0
    for row in listed:
        song = classifier.classify_file(clips / row["file"])
        index = rows[row["track"]]
        part = windows[index]
        if row["extent"] != "full":
            part = part[: round(15 / (part.shape[1] * COLUMN_SECONDS))]
        mean = np.mean([classifier.run(_normalized(window)) for window in part], axis=0)
        genre = classifier.labels[int(mean.argmax())]
        truth = classifier.labels[labels[index]]
        assert truth == row["genre"]
        audio_right += song.label == truth
        feature_right += genre == truth
        same += song.label == genre
        discordant += (song.label == truth) != (genre == truth)
    n = len(listed)
    report(
        f"{n} validation clips: {audio_right} right from audio, {feature_right} right from the "
        f"corpus' features, {discordant} by one alone, {same} given the same genre by both"
    )
    assert n >= 60
    # Of the tracks that only one of the two gets right, each gets as many: McNemar's test at 5 %.
    # (There are some, since the corpus' frames are not placed as a device's are.)
    assert abs(audio_right - feature_right) <= 1.96 * max(1, discordant) ** 0.5
    assert same >= 0.75 * n


def test_front_end_gives_the_corpus_features(corpus: Path, clips: Path) -> None:
    """On the very frames that the corpus kept, only the clips' lossy coding is between the two."""
    with np.load(corpus / "gtzan_logmel.npz", allow_pickle=False) as file:
        rows = dict(zip(file["name"].tolist(), file["X"], strict=True))
    with (clips / "index.csv").open() as stream:
        listed = [row for row in csv.DictReader(stream) if row["extent"] == "full"][::4]
    distances = []
    for row in listed:
        with AudioFile(clips / row["file"]) as source:
            resampler = Resampler(source.rate, 22_050)
            pieces = [resampler.process(block) for block in source.blocks()]
            samples = np.concatenate([*pieces, resampler.flush()])
        spec = FrontEndSpec(window_seconds=len(samples) / 22_050)
        features = FrontEnd(spec)(samples)
        columns = rows[row["track"]].T
        # Column c is frame floor((c + 0.5) / 387.5 * N); see the corpus' description.
        kept = np.floor((np.arange(len(columns)) + 0.5) / 387.5 * len(features)).astype(int)
        # What the codec takes away is in the last bands, and every clip has a loudness of its own.
        ours, theirs = (x[:-8, :-8] for x in (features[kept], columns / 255 * 80))
        distances.append(np.abs(ours - ours.mean() - theirs + theirs.mean()).mean())
    assert len(distances) >= 15
    assert np.median(distances) < 1.0  # dB


def _validation(corpus: Path, n_frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels [shape=(tracks, windows, frames, bands)] in bytes, labels, names; read by hand."""
    with np.load(corpus, allow_pickle=False) as file:
        chosen = file["split"] == 1
        levels = file["X"][chosen].transpose(0, 2, 1)
        labels = file["y"][chosen].astype(int)
        names = file["name" if "name" in file else "track_id"][chosen]
    count = levels.shape[1] // n_frames
    shape = (len(levels), count, n_frames, levels.shape[2])
    return levels[:, : count * n_frames].reshape(shape), labels, names


def _normalized(levels: np.ndarray, full_scale: int = 255) -> np.ndarray:
    decibel = levels.astype(np.float64) / full_scale * 80
    decibel = np.maximum(decibel, decibel.max() - 80)
    return ((decibel - decibel.mean()) / (decibel.std() + 1e-6)).astype(np.float32)
