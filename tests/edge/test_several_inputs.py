"""A model that hears the same window in two ways, through the classifier."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_genre import ArraySource, Classifier, FrontEnd, FrontEndSpec, ModelError, SelfTestError
from edge_genre.convert.verify.answer import with_self_test
from edge_genre.model.file import ModelInfo, read, write
from edge_genre.model.input import Input
from edge_genre.task import Task

LEVELS = FrontEndSpec(window_seconds=1.0, hop_length=1024, n_mels=32)
MFCC = FrontEndSpec(kind="mfcc", window_seconds=1.0, hop_length=512, n_mfcc=13, ref=1.0)
LABELS = ("calm", "lively", "loud")
RATE = LEVELS.sample_rate
_DRAW = np.random.default_rng(5)
WEIGHTS = {"levels": _DRAW.normal(size=(32, 3)), "mfcc": _DRAW.normal(size=(13, 3))}
WEIGHTS = {name: (each / 50).astype(np.float32) for name, each in WEIGHTS.items()}


def graph() -> bytes:
    """Means over time, times weights, added; and the mean level of every frame beside them."""
    kind = TensorProto.FLOAT
    inputs = {"mfcc": MFCC, "levels": LEVELS}  # not in the order of the description
    nodes = [
        helper.make_node("ReduceMean", ["levels"], ["a"], axes=[1], keepdims=0),
        helper.make_node("ReduceMean", ["mfcc"], ["b"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["a", "wa"], ["c"]),
        helper.make_node("MatMul", ["b", "wb"], ["d"]),
        helper.make_node("Add", ["c", "d"], ["logits"]),
        helper.make_node("ReduceMean", ["levels"], ["loudness"], axes=[2], keepdims=0),
    ]
    made = helper.make_graph(
        nodes,
        "two",
        [
            helper.make_tensor_value_info(name, kind, [1, *spec.shape])
            for name, spec in inputs.items()
        ],
        [
            helper.make_tensor_value_info("loudness", kind, [1, LEVELS.n_frames]),
            helper.make_tensor_value_info("logits", kind, [1, 3]),
        ],
        [
            numpy_helper.from_array(WEIGHTS["levels"], "wa"),
            numpy_helper.from_array(WEIGHTS["mfcc"], "wb"),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


INFO = ModelInfo(
    inputs=(Input("levels", LEVELS), Input("mfcc", MFCC)),
    labels=LABELS,
    output="logits",
    task=Task(kind="multi_label", noun="mood", explanations=("loudness",)),
    quantization="fp32",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "two.onnx"
    write(path, graph(), with_self_test(graph(), INFO))
    return path


def signal(seconds: float) -> NDArray[np.float32]:
    return (np.random.default_rng(6).normal(size=round(seconds * RATE)) / 10).astype(np.float32)


def by_hand(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    logits = FrontEnd(LEVELS)(samples).mean(0) @ WEIGHTS["levels"]
    logits = logits + FrontEnd(MFCC)(samples).mean(0) @ WEIGHTS["mfcc"]
    return np.asarray(1 / (1 + np.exp(-logits)))


def test_the_file_says_all_of_it(path: Path) -> None:
    info = read(path).info
    assert info is not None
    assert (info.format_version, info.inputs) == (2, INFO.inputs)
    assert info.task == replace(INFO.task, thresholds=(0.5, 0.5, 0.5))
    assert info.self_test is not None
    assert len(info.self_test.features) == 2


def test_every_window_of_a_stream_is_the_window_s_own(path: Path) -> None:
    classifier, samples = Classifier.load(path), signal(4)
    hop = classifier.round_hop(0.25)
    windows = list(classifier.stream(ArraySource([samples], rate=RATE), hop=hop))
    assert len(windows) > 10
    for window in windows[:-1]:
        first = round(window.start * RATE)
        expected = by_hand(samples[first : first + LEVELS.window_samples])
        assert window.probabilities is not None
        found = np.array([*window.probabilities.values()])
        np.testing.assert_allclose(found, expected, atol=1e-3)
        assert set(window.labels) == {
            label for label, each in window.probabilities.items() if each >= 0.5
        }
        assert not window.explanations


def test_explanations_have_their_times(path: Path) -> None:
    classifier, samples = Classifier.load(path), signal(2)
    song = classifier.classify(ArraySource([samples], rate=RATE), explain=True)
    second = song.windows[1]
    moments = second.explanations["loudness"]
    assert len(moments) == LEVELS.n_frames
    assert (moments[0].start, moments[-1].end) == pytest.approx((1.0, 2.0))
    assert all(a.end == b.start for a, b in itertools.pairwise(moments))
    expected = FrontEnd(LEVELS)(samples[RATE:]).mean(1)
    np.testing.assert_allclose([moment.value for moment in moments], expected, atol=1e-3)
    assert second.to_dict()["explanations"]["loudness"][0]["start"] == 1.0
    plain = classifier.classify(ArraySource([samples], rate=RATE))
    assert plain.probabilities == song.probabilities


def test_one_front_end_that_is_another_fails_the_self_test(path: Path) -> None:
    info = read(path).info
    assert info is not None
    other = replace(info, inputs=(info.inputs[0], Input("mfcc", MFCC.replace(fmin=300.0))))
    write(path, graph(), other)
    with pytest.raises(SelfTestError, match="a feature is off by"):
        Classifier.load(path)


def test_a_file_that_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bare.onnx"
    path.write_bytes(graph())
    front_ends = {"mfcc": MFCC, "levels": LEVELS}
    classifier = Classifier.load(
        path, front_end=front_ends, labels=LABELS, output="logits", task=INFO.task
    )
    samples = signal(1)
    np.testing.assert_allclose(classifier.probabilities(samples), by_hand(samples), atol=1e-3)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            (Input("levels", LEVELS), Input("mfcc", MFCC.replace(window_seconds=2.0))),
            "levels hears windows of 1 s at 22050 Hz, but input mfcc of 2 s at 22050 Hz",
        ),
        (
            (Input("levels", LEVELS), Input("mfcc", MFCC.replace(sample_rate=16_000))),
            "1 s at 22050 Hz, but input mfcc of 1 s at 16000 Hz",
        ),
        ((Input("a", LEVELS), Input("a", MFCC)), "expected different names"),
        ((Input("a", LEVELS), Input("", MFCC)), "expected different names"),
    ],
)
def test_inputs_that_do_not_go_together(inputs: tuple[Input, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ModelInfo(inputs=inputs, labels=LABELS)
