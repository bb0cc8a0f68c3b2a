"""What outputs mean: compared with calculations by hand and with SciPy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.special import softmax as scipy_softmax

from edge_genre.errors import ModelError
from edge_genre.results import NOTHING, SILENCE, WindowResult, vote
from edge_genre.softmax import sigmoid
from edge_genre.task import GENRES, KINDS, Task, plural

LABELS = ("speech", "music", "rain")
TAGS = Task(kind="multi_label", noun="tag", thresholds=(0.5, 0.3, 0.9)).of_labels(LABELS)


def heard(task: Task, *probabilities: float) -> WindowResult:
    """A window of a model with such a task."""
    numbers = task.decide(np.array(probabilities, np.float32)) if probabilities else []
    return WindowResult(
        labels=tuple(LABELS[number] for number in numbers),
        probabilities=dict(zip(LABELS, probabilities, strict=True)) if probabilities else None,
        start=0.0,
        end=3.0,
        level_dbfs=-20.0 if probabilities else -90.0,
        front_end_ms=1.0,
        inference_ms=1.0,
    )


def test_logits_of_one_label() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 3)) * 30
    for meaning, outputs in (("logits", logits), ("log_probabilities", np.log(softmaxed(logits)))):
        found = GENRES.probabilities(outputs, meaning)
        np.testing.assert_allclose(found, softmaxed(logits), atol=1e-12)


def test_logits_of_many_labels() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 3)) * 30
    np.testing.assert_allclose(TAGS.probabilities(logits, "logits"), expit(logits), atol=1e-12)
    found = TAGS.probabilities(np.log(expit(logits)), "log_probabilities")
    np.testing.assert_allclose(found, expit(logits), atol=1e-12)


def test_sigmoids_are_left_as_they_are() -> None:
    sigmoids = np.array([0.25, 0.71, 0.5], np.float32)
    np.testing.assert_array_equal(TAGS.probabilities(sigmoids, "probabilities"), sigmoids)
    # Those of 8 bits may be half a step outside.
    outside = np.array([-0.002, 1.002, 0.5], np.float32)
    np.testing.assert_array_equal(
        TAGS.probabilities(outside, "probabilities"), np.array([0, 1, 0.5], np.float32)
    )


def test_probabilities_of_one_label_add_up() -> None:
    rounded = np.array([[0.5, 0.25, 0.254], [0.0, 0.0, 0.0]], np.float32)
    found = GENRES.probabilities(rounded, "probabilities")
    np.testing.assert_allclose(found[0].sum(), 1, rtol=1e-6)
    np.testing.assert_array_equal(found[1], 0)


@given(st.floats(-1e300, 1e300))
def test_sigmoid_never_overflows(x: float) -> None:
    with np.errstate(over="raise", invalid="raise"):
        found = sigmoid(np.array([x]))
    assert 0 <= found[0] <= 1
    assert found[0] == pytest.approx(expit(x), abs=1e-15)


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        ((0.4, 0.29, 0.8), ()),
        ((0.5, 0.3, 0.9), ("rain", "speech", "music")),  # on the threshold it holds
        ((0.6, 0.7, 0.89), ("music", "speech")),
        ((0.7, 0.7, 0.1), ("speech", "music")),  # of equal ones, the first in the model
    ],
)
def test_many_labels_hold_from_their_thresholds_on(
    probabilities: tuple[float, ...], labels: tuple[str, ...]
) -> None:
    window = heard(TAGS, *probabilities)
    assert window.labels == labels
    assert window.label == (labels[0] if labels else NOTHING)
    assert window.probability == (window.probabilities or {}).get(window.label, 0.0)


def test_silence_is_not_nothing() -> None:
    window = heard(TAGS)
    assert (window.label, window.labels, window.probability) == (SILENCE, (), 0.0)


def test_one_label_is_always_there() -> None:
    assert heard(GENRES, 0.2, 0.1, 0.05).labels == ("speech",)


def test_a_song_of_many_labels_is_the_mean_of_its_windows() -> None:
    windows = [heard(TAGS, 0.9, 0.2, 0.0), heard(TAGS), heard(TAGS, 0.3, 0.5, 0.0)]
    song = vote(windows, task=TAGS, temperature=0.5)
    assert song.probabilities == pytest.approx({"speech": 0.6, "music": 0.35, "rain": 0.0})
    assert song.labels == ("speech", "music")


def test_a_song_of_many_labels_by_majority() -> None:
    windows = [heard(TAGS, 0.9, 0.1, 0.0), heard(TAGS, 0.9, 0.4, 0.0), heard(TAGS, 0.1, 0.1, 0.95)]
    song = vote(windows, "majority", task=TAGS)
    assert song.probabilities == pytest.approx({"speech": 2 / 3, "music": 1 / 3, "rain": 1 / 3})
    assert song.labels == ("speech",)
    assert vote([heard(TAGS, 0.1, 0.1, 0.1)], "majority", task=TAGS).label == NOTHING


def test_thresholds_for_every_label() -> None:
    assert Task(kind="multi_label").of_labels(LABELS).thresholds == (0.5, 0.5, 0.5)
    assert Task().of_labels(LABELS) == GENRES


@pytest.mark.parametrize("kind", KINDS)
def test_as_json(kind: str) -> None:
    task = Task(kind=kind, noun="mood", background="rain", explanations=("attention",))
    task = task.of_labels(LABELS)
    assert Task.from_dict(task.to_dict()) == task


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "regression"}, "'regression', expected one of single_label, multi_label"),
        ({"noun": ""}, "noun is ''"),
        ({"noun": "two\nlines"}, "noun is"),
        ({"background": 3}, "background is 3"),
        ({"thresholds": (0.5,)}, "single_label decides without thresholds"),
        ({"kind": "multi_label", "thresholds": (0.5, 0)}, "threshold is 0, expected above 0"),
        ({"kind": "multi_label", "thresholds": (1.01,)}, "threshold is 1.01"),
        ({"kind": "multi_label", "thresholds": (float("nan"),)}, "threshold is nan"),
        ({"kind": "multi_label", "thresholds": (True,)}, "threshold is True"),
        ({"explanations": ("a", "a")}, "expected different names"),
        ({"explanations": "heat"}, "explanations are 'heat', expected a list"),
        ({"kind": "multi_label", "thresholds": 0.5}, "thresholds are 0.5, expected a list"),
        ({"kind": ["multi_label"]}, r"task is \['multi_label'\], expected one of"),
    ],
)
def test_impossible_tasks(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Task(**values)


def test_what_does_not_fit_the_labels() -> None:
    with pytest.raises(ModelError, match="background 'hum' is none of the labels speech, music"):
        replace(GENRES, background="hum").of_labels(LABELS)
    with pytest.raises(ModelError, match="2 thresholds, but 3 labels"):
        Task(kind="multi_label", thresholds=(0.5, 0.5)).of_labels(LABELS)


@pytest.mark.parametrize(
    ("noun", "several"), [("genre", "genres"), ("class", "classes"), ("mood", "moods")]
)
def test_nouns(noun: str, several: str) -> None:
    assert plural(noun) == several


def softmaxed(logits: Any) -> Any:
    return scipy_softmax(logits, axis=-1)
