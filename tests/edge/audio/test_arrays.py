"""NumPy arrays as a source of audio."""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_genre.audio.arrays import ArraySource
from edge_genre.audio.file import AudioFile
from edge_genre.classifier import Classifier
from edge_genre.errors import AudioError
from tests.support import models_on_the_fly as small
from tests.support.signals import music

RATE = 16_000


def read(source: ArraySource) -> np.ndarray:
    return np.concatenate(list(source.blocks()))


@pytest.mark.parametrize(("dtype", "subtype"), [("int16", "PCM_16"), ("int32", "PCM_32")])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_integers_are_what_a_file_of_them_is(
    tmp_path: Path, dtype: str, subtype: str, channels: int
) -> None:
    limits = np.iinfo(dtype)
    samples = np.random.default_rng(3).integers(
        limits.min, limits.max, (2 * RATE + 5, channels), dtype, endpoint=True
    )
    samples[:2] = [[limits.min], [limits.max]]
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype=subtype)
    with AudioFile(tmp_path / "a.wav") as file:
        expected = np.concatenate(list(file.blocks()))
    found = read(ArraySource(samples, rate=RATE))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4"])
def test_floats_stay_what_they_are(dtype: str) -> None:
    samples = music(3 * RATE, RATE)
    found = list(ArraySource(samples.astype(dtype), rate=RATE).blocks())
    assert [len(block) for block in found] == [RATE] * 3  # so that no array is held twice
    assert found[0].dtype == np.float32
    np.testing.assert_allclose(np.concatenate(found), samples, rtol=1e-6)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    path.write_bytes(small.onnx_model())
    return Classifier.load(path)


@pytest.fixture(scope="module")
def chunks() -> list[np.ndarray]:
    """Four seconds, int16, a quarter of a second at a time."""
    samples = np.round(music(4 * RATE, RATE) * 32767).astype(np.int16)
    return np.split(samples, 16)


def test_chunks_are_classified_as_the_file_of_them(
    classifier: Classifier, chunks: list[np.ndarray], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "all.wav", np.concatenate(chunks), RATE)
    with AudioFile(tmp_path / "all.wav") as file:
        expected = list(classifier.stream(file, hop=0.5))
    found = list(classifier.stream(ArraySource(iter(chunks), rate=RATE), hop=0.5))
    assert len(found) == 7
    for one, other in zip(found, expected, strict=True):
        assert (one.start, one.end, one.label) == (other.start, other.end, other.label)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_a_result_comes_with_its_last_chunk(
    classifier: Classifier, chunks: list[np.ndarray]
) -> None:
    given = 0

    def arriving() -> Iterator[np.ndarray]:
        nonlocal given
        for chunk in chunks:
            given += 1
            yield chunk

    results = classifier.stream(ArraySource(arriving(), rate=RATE), hop=0.5)
    assert next(results).end == 1.0
    assert given == 5  # a second, and what the resampler looks ahead


def test_another_thread_fills_a_queue(classifier: Classifier, chunks: list[np.ndarray]) -> None:
    arrived: queue.Queue[np.ndarray | None] = queue.Queue()

    def record() -> None:
        for chunk in (*chunks, None):
            arrived.put(chunk)

    def heard() -> Iterator[np.ndarray]:
        while (chunk := arrived.get()) is not None:
            yield chunk

    thread = threading.Thread(target=record)
    thread.start()
    assert len(list(classifier.stream(ArraySource(heard(), rate=RATE), hop=0.5))) == 7
    thread.join()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4)), r"shape \(2, 3, 4\), expected \(n,\) or \(n, channels\)"),
        (np.zeros((5, 0)), r"shape \(5, 0\)"),
        (np.zeros(RATE, np.uint8), "uint8, expected floats or signed integers"),
        (np.zeros(RATE, complex), "complex128"),
        (np.array(["a", "b"]), "<U1"),
    ],
)
def test_what_is_no_audio(array: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        read(ArraySource(array, rate=RATE))


def test_numbers_in_place_of_arrays() -> None:
    with pytest.raises(AudioError, match=r"shape \(\)"):
        read(ArraySource([0.1, 0.2], rate=RATE))  # type: ignore[list-item]


def test_a_number_beyond_float32_is_refused_with_its_place(classifier: Classifier) -> None:
    samples = np.zeros(2 * RATE)
    samples[RATE] = 1e300
    with pytest.raises(AudioError, match=f"sample {RATE} "):
        list(classifier.stream(ArraySource(samples, rate=RATE)))


def test_an_array_is_no_source_by_itself(classifier: Classifier) -> None:
    with pytest.raises(TypeError, match=r"source is a ndarray.*ArraySource\(arrays, rate=\.\.\.\)"):
        next(classifier.stream(np.zeros(RATE)))  # type: ignore[arg-type]


def test_no_rate() -> None:
    with pytest.raises(ValueError, match="0 Hz"):
        ArraySource([], rate=0)
