"""Audio in, genres out."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_genre import Classifier, FrontEnd
from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import Resampler
from edge_genre.errors import AudioError
from edge_genre.results import SILENCE, WindowResult, vote
from edge_genre.task import tempered
from tests.support import models_on_the_fly as small
from tests.support.signals import music

RATE = small.SPEC.sample_rate


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    path.write_bytes(small.onnx_model())
    return Classifier.load(path)


class Memory:
    """Samples as a source, in blocks of one size."""

    def __init__(self, samples: np.ndarray, rate: int = RATE, size: int = 1000) -> None:
        self.samples, self.rate, self.size = samples.astype(np.float32), rate, size
        self.dropped = 0

    def blocks(self) -> Iterator[np.ndarray]:
        for first in range(0, len(self.samples), self.size):
            yield self.samples[first : first + self.size]


def by_hand(samples: np.ndarray) -> np.ndarray:
    """Probabilities of one window, computed without the classifier."""
    return small.expected(FrontEnd(small.SPEC)(samples))


@pytest.mark.parametrize("size", [1, 777, 100_000])
def test_windows_of_a_stream(classifier: Classifier, size: int) -> None:
    samples = music(3 * RATE if size > 1 else int(1.5 * RATE), RATE)
    results = list(classifier.stream(Memory(samples, size=size), hop=0.5))
    assert len(results) == (5 if size > 1 else 2)
    for index, result in enumerate(results):
        first = index * RATE // 2
        assert result.start == pytest.approx(index * 0.5)
        assert result.end == pytest.approx(index * 0.5 + 1.0)
        expected = by_hand(samples[first : first + RATE])
        assert result.probabilities is not None
        np.testing.assert_allclose(list(result.probabilities.values()), expected, atol=1e-4)
        assert result.label == small.LABELS[int(expected.argmax())]
        assert result.probability == pytest.approx(expected.max(), abs=1e-4)
        assert result.front_end_ms > 0
        assert result.inference_ms > 0


def test_stream_resamples(classifier: Classifier) -> None:
    samples = music(96_000, 48_000)
    results = list(classifier.stream(Memory(samples, rate=48_000)))
    resampler = Resampler(48_000, RATE)
    slow = np.concatenate([resampler.process(samples), resampler.flush()])
    assert [(r.start, r.end) for r in results] == [(0, 1), (1, 2)]
    for index, result in enumerate(results):
        expected = by_hand(slow[index * RATE : (index + 1) * RATE])
        assert result.probabilities is not None
        np.testing.assert_allclose(list(result.probabilities.values()), expected, atol=1e-3)


def test_the_end_is_covered(classifier: Classifier) -> None:
    samples = music(int(2.7 * RATE), RATE)
    results = list(classifier.stream(Memory(samples)))
    assert [round(result.start, 3) for result in results] == [0, 1, 1.7]
    assert results[-1].end == pytest.approx(2.7)
    assert results[-1].padded_seconds == 0


def test_short_audio_is_padded_and_says_so(classifier: Classifier) -> None:
    samples = music(RATE * 3 // 5, RATE)
    (result,) = classifier.stream(Memory(samples))
    assert result.padded_seconds == pytest.approx(0.4, abs=1e-3)
    assert result.end == pytest.approx(0.6, abs=1e-3)
    expected = by_hand(np.pad(samples, (0, RATE - len(samples))))
    assert result.probabilities is not None
    np.testing.assert_allclose(list(result.probabilities.values()), expected, atol=1e-4)
    # The level is that of the audio, not of the zeros behind it.
    whole = list(classifier.stream(Memory(np.tile(samples, 5)[:RATE])))
    assert result.level_dbfs == pytest.approx(whole[0].level_dbfs, abs=0.5)


def test_silence_is_not_a_genre(classifier: Classifier) -> None:
    quiet = 1e-5 * music(RATE, RATE)
    samples = np.concatenate([np.zeros(RATE), quiet, music(RATE, RATE)])
    results = list(classifier.stream(Memory(samples)))
    assert [result.label == SILENCE for result in results] == [True, True, False]
    assert results[0].probabilities is None
    assert results[0].level_dbfs == -120
    assert results[0].probability == 0
    loud = list(classifier.stream(Memory(samples), silence_dbfs=-119))
    assert loud[1].label != SILENCE


def test_dropped_samples_are_in_the_next_window(classifier: Classifier) -> None:
    source = Memory(music(3 * RATE, RATE))
    results = []
    for result in classifier.stream(source):
        results.append(result)
        source.dropped += 100 * len(results)
    assert [result.dropped_samples for result in results] == [0, 100, 200]
    # The clock goes on meanwhile.
    assert [result.start for result in results] == pytest.approx(
        [0, 1 + 100 / RATE, 2 + 300 / RATE]
    )


def test_nan_is_refused_with_its_place(classifier: Classifier, tmp_path: Path) -> None:
    samples = music(2 * RATE, RATE)
    samples[RATE + 10] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan.wav: sample 22060 \(1.000 s\) is nan"):
        classifier.classify_file(tmp_path / "nan.wav")


def test_nan_is_refused_when_resampled(classifier: Classifier) -> None:
    samples = music(96_000, 48_000)
    samples[48_000] = np.inf
    with pytest.raises(AudioError, match="sample 48000 "):
        list(classifier.stream(Memory(samples, rate=48_000)))


@pytest.mark.parametrize("seconds", [1 / RATE, 0.1, 0.49])
def test_too_short_for_a_genre(classifier: Classifier, seconds: float) -> None:
    with pytest.raises(AudioError, match=r"expected 0\.5 s at least"):
        list(classifier.stream(Memory(music(round(seconds * RATE), RATE))))


@pytest.mark.parametrize("rate", [1, 200, 5_000_011, 2**31 - 1])
def test_rates_that_no_audio_has(classifier: Classifier, rate: int) -> None:
    with pytest.raises(AudioError, match="sample rate"):
        list(classifier.stream(Memory(np.zeros(10_000), rate=rate)))


def test_a_hop_beyond_all_bounds(classifier: Classifier) -> None:
    """One window, and no memory for what is left out."""
    (result,) = classifier.stream(Memory(music(3 * RATE, RATE)), hop=1e9)
    assert result.end == pytest.approx(1)


def test_file_without_samples(classifier: Classifier, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    with pytest.raises(AudioError, match=r"none.wav: holds no samples, expected"):
        classifier.classify_file(tmp_path / "none.wav")


def test_song_is_the_mean_of_its_windows(classifier: Classifier, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.flac", music(4 * RATE, RATE), RATE)
    song = classifier.classify_file(tmp_path / "song.flac")
    rows = [list((window.probabilities or {}).values()) for window in song.windows]
    assert len(rows) == 4
    assert song.probabilities is not None
    np.testing.assert_allclose(list(song.probabilities.values()), np.mean(rows, axis=0), atol=1e-6)
    assert song.duration == pytest.approx(4)
    with AudioFile(tmp_path / "song.flac") as source:
        assert classifier.classify(source).label == song.label


def window(label: str, **probabilities: float) -> WindowResult:
    return WindowResult(
        start=0,
        end=1,
        labels=(label,) if probabilities else (),
        probabilities=probabilities or None,
        level_dbfs=-20,
        front_end_ms=1,
        inference_ms=1,
    )


def test_votes() -> None:
    windows = [
        window("rock", rock=0.4, jazz=0.35, blues=0.25),
        window("rock", rock=0.4, jazz=0.35, blues=0.25),
        window("jazz", rock=0.05, jazz=0.9, blues=0.05),
        window(SILENCE),
    ]
    assert vote(windows, "mean").label == "jazz"
    majority = vote(windows, "majority")
    assert majority.label == "rock"
    assert majority.probabilities == pytest.approx({"rock": 2 / 3, "jazz": 1 / 3, "blues": 0})


def test_a_tie_goes_to_the_greater_mean() -> None:
    windows = [window("rock", rock=0.6, jazz=0.4), window("jazz", rock=0.1, jazz=0.9)]
    assert vote(windows, "majority").label == "jazz"
    assert vote(windows[::-1], "majority").label == "jazz"


def test_a_song_of_silence() -> None:
    song = vote([window(SILENCE), window(SILENCE)])
    assert song.label == SILENCE
    assert song.probabilities is None


def test_a_song_is_surer_than_its_windows() -> None:
    windows = [window("rock", rock=0.6, jazz=0.4), window("rock", rock=0.8, jazz=0.2)]
    song = vote(windows, "mean", temperature=0.5)
    # Squares of the means 0.7 and 0.3, made to add up to 1.
    assert song.probabilities == pytest.approx({"rock": 49 / 58, "jazz": 9 / 58})
    alone = vote(windows[:1], "mean", temperature=0.5)
    assert alone.probabilities == pytest.approx({"rock": 0.6, "jazz": 0.4})


def test_temperatures_of_certainty_and_of_nothing() -> None:
    sure = np.array([[1.0, 0.0, 0.0]])
    np.testing.assert_allclose(tempered(sure, 2.0), sure, atol=1e-5)
    even = np.full((2, 4), 0.25)
    np.testing.assert_allclose(tempered(even, 0.3), even)


def test_unknown_vote() -> None:
    with pytest.raises(ValueError, match="'median'"):
        vote([window(SILENCE)], "median")


@pytest.mark.parametrize(
    ("hop", "frames"), [(1.0, 22), (0.5, 11), (0.02, 1), (0.0001, 1), (0.99, 21)]
)
def test_hops_become_whole_frames(classifier: Classifier, hop: float, frames: int) -> None:
    expected = frames * 1024 / RATE if hop < 1 else hop
    assert classifier.round_hop(hop) == pytest.approx(expected)


def test_schema() -> None:
    """A change here is a new SCHEMA number, and a line in the README."""
    values = window("rock", rock=0.6, jazz=0.4).to_dict()
    assert values == {
        "schema": 1,
        "start": 0,
        "end": 1,
        "label": "rock",
        "labels": ["rock"],
        "probability": 0.6,
        "probabilities": {"rock": 0.6, "jazz": 0.4},
        "level_dbfs": -20,
        "front_end_ms": 1,
        "inference_ms": 1,
        "dropped_samples": 0,
        "skipped_windows": 0,
        "padded_seconds": 0,
    }
    song = vote([window("rock", rock=0.6, jazz=0.4), window(SILENCE)], path="a.wav", duration=1.2)
    values = song.to_dict(windows=True)
    assert len(values.pop("windows")) == 2
    assert values == {
        "schema": 1,
        "path": "a.wav",
        "duration": 1.2,
        "label": "rock",
        "labels": ["rock"],
        "probability": 0.6,
        "probabilities": {"rock": 0.6, "jazz": 0.4},
        "vote": "mean",
        "n_windows": 2,
        "silent_windows": 1,
        "padded_seconds": 0,
    }
