"""Several models on one stream."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_genre import Classifier, WindowResult, stream_together
from edge_genre.errors import AudioError
from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.model.file import attach
from tests.support import models_on_the_fly as small
from tests.support.signals import music

RATE = 44_100
# Another rate, another length of window: nothing in common with the other model.
LONG = FrontEndSpec(sample_rate=16_000, window_seconds=2.0, n_fft=512, hop_length=320, n_mels=20)


def classifier_of(spec: FrontEndSpec, path: Path) -> Classifier:
    graph = small.onnx_graph((1, *spec.shape))
    path.write_bytes(attach(graph, small.info(front_end=spec)))
    return Classifier.load(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Classifier]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "short": classifier_of(small.SPEC, folder / "short.onnx"),
        "long": classifier_of(LONG, folder / "long.onnx"),
    }


class Stream:
    """Music in blocks, of which it knows how many were asked for and which are still held."""

    rate = RATE

    def __init__(self, seconds: float, block: float = 0.1) -> None:
        self.samples = music(round(seconds * RATE), RATE)
        self.size = round(block * RATE)
        self.dropped = 0
        self.given = 0.0  # seconds
        self.most_held = 0
        self.closed = False

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        held: list[weakref.ref[NDArray[np.float32]]] = []
        try:
            for first in range(0, len(self.samples), self.size):
                block = self.samples[first : first + self.size].copy()
                held = [each for each in held if each() is not None]
                self.most_held = max(self.most_held, len(held))
                held.append(weakref.ref(block))
                self.given = (first + len(block)) / RATE
                yield block
        finally:
            self.closed = True


def facts(result: WindowResult) -> tuple[object, ...]:
    """A result without the time that it took."""
    return (result.start, result.end, result.label, result.probabilities, result.dropped_samples)


@pytest.mark.parametrize("hop", [0.5, None])
def test_each_model_gives_what_it_gives_alone(
    models: dict[str, Classifier], hop: float | None
) -> None:
    together = list(stream_together(models, Stream(5.3), hop=hop))
    for name, classifier in models.items():
        alone = [facts(result) for result in classifier.stream(Stream(5.3), hop=hop)]
        assert len(alone) > 2
        assert [facts(result) for each, result in together if each == name] == alone


def test_no_model_waits_for_another(models: dict[str, Classifier]) -> None:
    """A result is there with the block that completes its window, and no block is kept."""
    stream = Stream(6)
    late = dict.fromkeys(models, 0.0)
    for name, result in stream_together(models, stream, hop=0.5):
        if result.end < 5.5:  # what comes after the last block has no block to come with
            late[name] = max(late[name], stream.given - result.end)
    # The resampler's filter wants a few milliseconds beyond a window's end, thus one more block.
    assert all(seconds <= 0.2 + 1e-9 for seconds in late.values())
    assert stream.most_held <= 1


def test_a_reader_that_stops_stops_all(models: dict[str, Classifier]) -> None:
    stream = Stream(60)
    results = stream_together(models, stream, hop=0.5)
    assert next(results)[0] == "short"
    results.close()  # type: ignore[attr-defined]
    assert stream.closed
    assert stream.given < 2


def test_who_is_late_leaves_windows_out_for_each_model(models: dict[str, Classifier]) -> None:
    """A live source hands over all that came meanwhile at once, as the microphone's ring does."""
    stream = Stream(8, block=4)
    together = list(stream_together(models, stream, hop=0.25, live=True))
    for name, classifier in models.items():
        alone = list(classifier.stream(Stream(8, block=4), hop=0.25, live=True))
        mine = [result for each, result in together if each == name]
        assert [facts(result) for result in mine] == [facts(result) for result in alone]
        assert sum(result.skipped_windows for result in mine) > 0


def test_lost_samples_are_counted_for_each_model(models: dict[str, Classifier]) -> None:
    stream = Stream(6)
    counted = dict.fromkeys(models, 0)
    for name, result in stream_together(models, stream, hop=1.0):
        counted[name] += result.dropped_samples
        if stream.dropped == 0:
            stream.dropped = 1000
    assert counted == dict.fromkeys(models, 1000)


def test_an_error_of_the_source_ends_the_stream(models: dict[str, Classifier]) -> None:
    class Broken(Stream):
        def blocks(self) -> Iterator[NDArray[np.float32]]:
            yield from super().blocks()
            raise AudioError("the cable is out")

    results = stream_together(models, Broken(4), hop=1.0)
    assert {name for name, _ in itertools.islice(results, 4)} == set(models)
    with pytest.raises(AudioError, match="the cable is out"):
        list(results)


def test_what_is_not_finite_is_refused_with_its_place(models: dict[str, Classifier]) -> None:
    stream = Stream(3)
    stream.samples[RATE + 7] = np.nan
    with pytest.raises(AudioError, match=rf"sample {RATE + 7} \(1\.000 s\) is nan"):
        list(stream_together(models, stream))


def test_too_little_for_a_window(models: dict[str, Classifier]) -> None:
    with pytest.raises(AudioError, match=r"expected 0\.5 s at least"):
        list(stream_together(models, Stream(0.3)))


def test_models_with_one_front_end_share_its_features(
    models: dict[str, Classifier], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = {"first": models["short"], "second": classifier_of(small.SPEC, tmp_path / "two.onnx")}
    computed = 0
    window = FrontEnd.window

    def counted(front_end: FrontEnd) -> NDArray[np.float32]:
        nonlocal computed
        computed += 1
        return window(front_end)

    monkeypatch.setattr(FrontEnd, "window", counted)
    results = list(stream_together(pair, Stream(5)))
    assert [name for name, _ in results] == ["first", "second"] * 5
    assert computed == 5
    for (_, first), (_, second) in zip(results[::2], results[1::2], strict=True):
        assert facts(first) == facts(second)


def test_no_models() -> None:
    with pytest.raises(ValueError, match="no classifiers"):
        next(stream_together({}, Stream(1)))
