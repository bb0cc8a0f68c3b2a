"""Waveform files in MediaPipe Tasks' AudioClassifier, beside `classify`."""

from __future__ import annotations

import ctypes
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_genre import Classifier
from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import resampled
from edge_genre.convert.tflite.metadata import with_metadata
from edge_genre.convert.verify.answer import with_self_test
from edge_genre.convert.waveform import waveform_spec, with_front_end
from edge_genre.convert.waveform.comparison import (
    MAX_DIFFERENCE_IN_8_BITS,
    MEAN_DIFFERENCE_IN_8_BITS,
)
from edge_genre.model.bundled import bundled_models
from edge_genre.model.container import split
from edge_genre.model.file import read, write
from edge_genre.model.input import inputs_of
from edge_genre.task import Task
from tests.support import models_on_the_fly as small
from tests.support.signals import music
from tests.support.tflite_on_the_fly import tflite_graph

try:
    for library in ("libEGL.so.1", "libGLESv2.so.2"):  # which its own needs when it is first used
        ctypes.CDLL(library)
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import audio
    from mediapipe.tasks.python.components.containers import AudioData
except (ImportError, OSError) as error:
    if os.environ.get("EDGE_GENRE_REQUIRE_ALL") == "1":
        raise
    reason = f"MediaPipe does not load ({error}): apt install libegl1 libgles2 libgl1 libglib2.0-0"
    pytest.skip(reason, allow_module_level=True)

BUNDLED = [path for path in bundled_models() if path.suffix == ".tflite"]
SHORT = [path for path in BUNDLED if read(path).info.front_end.window_seconds == 3]
SONGS = ("blues.00000", "classical.00001", "metal.00002")


@pytest.fixture(scope="module")
def waveform_file(tmp_path_factory: pytest.TempPathFactory):
    """Make a bundled file's waveform form."""
    folder = tmp_path_factory.mktemp("waveform")

    def make(path: Path) -> Path:
        made = folder / path.name
        if not made.exists():
            model = read(path)
            spec, (graph, _) = model.info.front_end, split(model.content)
            info = replace(
                model.info, inputs=inputs_of(waveform_spec(spec)), output="probabilities"
            )
            graph = with_front_end(graph, spec, output=model.info.output)
            graph = with_metadata(graph, info)
            write(made, graph, with_self_test(graph, info))
        return made

    return make


def samples_of(path: Path, rate: int) -> NDArray[np.float32]:
    with AudioFile(path) as source:
        return resampled(source, rate)


def options(path: Path, **changes) -> audio.AudioClassifierOptions:
    return audio.AudioClassifierOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(path)), **changes
    )


def row(result: audio.AudioClassifierResult, labels: tuple[str, ...]) -> NDArray[np.float32]:
    (head,) = result.classifications
    scores = {each.category_name: each.score for each in head.categories}
    assert set(scores) == set(labels)
    return np.array([scores[label] for label in labels])


def in_order(probabilities: dict[str, float], labels: tuple[str, ...]) -> NDArray[np.float32]:
    return np.array([probabilities[label] for label in labels], np.float32)


def close(found: list[NDArray[np.float32]], expected: list[NDArray[np.float32]]) -> float:
    """The largest difference, of windows that are all but equal.

    The bundled files compute in 8 bits: where a sum ends in another last digit, a number may round
    to the next step, and move a probability by a hundredth or two. What a front end that is wrong
    moves, and thus the limits, stands where conversions are judged.
    """
    assert len(found) == len(expected)
    difference = np.abs(np.stack(found) - np.stack(expected)).max(axis=1)
    assert np.median(difference) <= MEAN_DIFFERENCE_IN_8_BITS
    assert difference.max() <= MAX_DIFFERENCE_IN_8_BITS
    return float(difference.max())


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_clips(path: Path, waveform_file, clips: Path, report) -> None:
    """Whole clips: MediaPipe cuts them into windows as `classify` does."""
    made = waveform_file(path)
    classifier, split_form = Classifier.load(made), Classifier.load(path)
    spec, labels = classifier.spec, classifier.labels
    found, expected = [], {"same file": [], "split form": []}
    with audio.AudioClassifier.create_from_options(options(made)) as mediapipe:
        for song in SONGS:
            file = clips / f"{song}.opus"
            samples = samples_of(file, spec.sample_rate)
            results = mediapipe.classify(AudioData.create_from_array(samples, spec.sample_rate))
            whole = max(1, len(samples) // spec.window_samples)
            for form, each in (("same file", classifier), ("split form", split_form)):
                windows = each.classify_file(file, silence_dbfs=-200).windows[:whole]
                expected[form] += [in_order(window.probabilities, labels) for window in windows]
            found += [row(result, labels) for result in results[:whole]]
            assert [each.timestamp_ms for each in results[:whole]] == [
                round(1000 * window.start) for window in windows
            ]
    for form, rows in expected.items():
        off = close(found, rows)
        report(f"{path.name}: {len(found)} windows of MediaPipe's off by {off:.1e} from the {form}")


@pytest.mark.parametrize("path", SHORT, ids=lambda path: path.stem)
def test_stream(path: Path, waveform_file, clips: Path, report) -> None:
    """Blocks of any size, as a microphone gives them; results come by a callback."""
    made = waveform_file(path)
    classifier = Classifier.load(made)
    rate, labels = classifier.spec.sample_rate, classifier.labels
    file = clips / f"{SONGS[0]}.opus"
    samples, windows = samples_of(file, rate), classifier.classify_file(file).windows
    found: dict[int, NDArray[np.float32]] = {}
    enough, wanted = threading.Event(), len(samples) // classifier.spec.window_samples

    def take(result: audio.AudioClassifierResult, timestamp_ms: int) -> None:
        found[timestamp_ms] = row(result, labels)
        if len(found) == wanted:
            enough.set()

    mode = audio.RunningMode.AUDIO_STREAM
    with audio.AudioClassifier.create_from_options(
        options(made, running_mode=mode, result_callback=take)
    ) as mediapipe:
        block = 4_097
        for start in range(0, len(samples), block):
            part = AudioData.create_from_array(samples[start : start + block], rate)
            mediapipe.classify_async(part, round(1000 * start / rate))
        assert enough.wait(300), f"{len(found)} of {wanted} results came"
    times = sorted(found)[:wanted]
    assert times == pytest.approx([1000 * window.start for window in windows[:wanted]], abs=1)
    off = close(
        [found[time] for time in times],
        [in_order(window.probabilities, labels) for window in windows[:wanted]],
    )
    report(f"{path.name}: {wanted} windows of MediaPipe's stream off by {off:.1e}")


def test_another_rate_is_resampled(waveform_file, clips: Path) -> None:
    """By MediaPipe itself, to the rate that the metadata give."""
    made = waveform_file(SHORT[0])
    classifier = Classifier.load(made)
    file = clips / f"{SONGS[1]}.opus"
    samples = samples_of(file, 44_100)[: 3 * 44_100]
    with audio.AudioClassifier.create_from_options(options(made)) as mediapipe:
        results = mediapipe.classify(AudioData.create_from_array(samples, 44_100))
    expected = classifier.classify_file(file).windows[0].probabilities
    found = row(results[0], classifier.labels)
    # Another resampler.
    np.testing.assert_allclose(found, [expected[each] for each in classifier.labels], atol=0.05)


def test_a_file_without_metadata_does_not_load(tmp_path: Path) -> None:
    """So that the tests above say something about the metadata."""
    model = read(SHORT[0])
    graph, _ = split(model.content)
    path = tmp_path / "bare.tflite"
    path.write_bytes(with_front_end(graph, model.info.front_end, output=model.info.output))
    with pytest.raises(ValueError, match="require TFLite Model Metadata"):
        audio.AudioClassifier.create_from_options(options(path))


TASK = Task(kind="multi_label", noun="mood", thresholds=(0.45, 0.55, 0.9))


@pytest.mark.parametrize("explanations", [(), ("attention",)])
def test_many_labels(tmp_path: Path, explanations: tuple[str, ...]) -> None:
    """All that may hold, by the lowest threshold; an app compares with the others."""
    task = replace(TASK, explanations=explanations)
    described = small.info(front_end=waveform_spec(small.SPEC), task=task)
    specs = {"log_mel": small.SPEC, "mfcc": small.MFCC.replace(normalize="mean_variance")}
    graph = tflite_graph(
        {name: spec.shape for name, spec in specs.items()},
        many=True,
        explanation="".join(explanations),
    )
    path = tmp_path / "moods.tflite"
    write(path, with_metadata(with_front_end(graph, specs, task=task), described), described)
    classifier = Classifier.load(path)
    counts = set()
    with audio.AudioClassifier.create_from_options(options(path)) as mediapipe:
        for seed in range(6):
            samples = music(small.SPEC.window_samples, small.SPEC.sample_rate, seed=seed)
            expected = dict(zip(small.LABELS, classifier.probabilities(samples), strict=True))
            (result,) = mediapipe.classify(AudioData.create_from_array(samples, 22_050))
            answer, *others = result.classifications
            assert len(others) == len(explanations)
            found = {each.category_name: each.score for each in answer.categories}
            above = {label: value for label, value in expected.items() if value >= 0.45}
            assert found == pytest.approx(above, abs=1e-5)
            counts.add(len(found))
    assert len(counts) > 1  # or the threshold would not have been tried
    with audio.AudioClassifier.create_from_options(
        options(path, score_threshold=1e-9)
    ) as mediapipe:
        (result,) = mediapipe.classify(AudioData.create_from_array(samples, 22_050))
    assert {each.category_name for each in result.classifications[0].categories} == {*small.LABELS}
