"""Files that older versions made stay readable; files that newer ones made are named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_genre import Classifier, FrontEndSpec, ModelError, ModelInfo
from edge_genre.audio.file import AudioFile
from edge_genre.demo import clip
from edge_genre.model import file as model_file
from edge_genre.model.input import Input
from edge_genre.task import Task
from tests.support.models_on_the_fly import edited

# Made by edge-genre 0.1.0; see the README there.
FOLDER = Path(__file__).parents[2] / "data/format_1"
ANSWERS: dict[str, dict[str, float]] = json.loads((FOLDER / "answers.json").read_text())
LABELS = ("calm", "lively", "loud")
CARD = "# small\n\nTest data: its weights are random numbers.\n"


def test_every_file_has_its_answer() -> None:
    found = {path.name for path in FOLDER.iterdir() if path.suffix in (".tflite", ".onnx")}
    assert found == set(ANSWERS)
    assert {name.rpartition(".")[2] for name in found} == {"tflite", "onnx"}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_answer_of_0_1_0_is_today_s(name: str) -> None:
    classifier = Classifier.load(FOLDER / name, check=False)
    assert classifier.self_test() is not None  # which raises where it does not pass
    assert classifier.labels == LABELS
    with AudioFile(clip()) as audio:
        window = next(classifier.stream(audio))
    expected = ANSWERS[name]  # to four decimals
    assert window.label == max(expected, key=expected.__getitem__)
    assert window.probabilities == pytest.approx(expected, abs=1e-3)


FORMAT_2 = FOLDER.parent / "format_2"
ANSWERS_2: dict[str, dict[str, Any]] = json.loads((FORMAT_2 / "answers.json").read_text())


def test_every_file_of_format_2_has_its_answer() -> None:
    found = {path.name for path in FORMAT_2.iterdir() if path.suffix in (".tflite", ".onnx")}
    assert found == set(ANSWERS_2)


@pytest.mark.parametrize("name", ANSWERS_2)
def test_the_answer_of_the_first_version_with_format_2_is_today_s(name: str) -> None:
    classifier = Classifier.load(FORMAT_2 / name, check=False)
    assert classifier.info.format_version == 2
    assert classifier.self_test() is not None
    with AudioFile(clip()) as audio:
        window = next(classifier.stream(audio, explain=True))
    expected = ANSWERS_2[name]
    assert list(window.labels) == expected["labels"]
    assert window.probabilities == pytest.approx(expected["probabilities"], abs=1e-3)
    explanations = {
        each: [moment.value for moment in moments] for each, moments in window.explanations.items()
    }
    assert set(explanations) == set(expected["explanations"])
    for each, values in expected["explanations"].items():
        assert explanations[each] == pytest.approx(values, abs=1e-3)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_what_format_2_says(kind: str) -> None:
    many, two, explained = (
        model_file.read(FORMAT_2 / f"{name}.{kind}").info
        for name in ("many-labels", "two-inputs", "explained")
    )
    assert many is not None
    assert many.task == Task(
        kind="multi_label", noun="mood", background="calm", thresholds=(0.5, 0.25, 0.2)
    )
    assert two is not None
    assert [each.name for each in two.inputs] == ["log_mel", "mfcc"]
    assert [each.front_end.hash for each in two.inputs] == ["963e6320209d9ec8", "a1251ab0f1744f21"]
    assert explained is not None
    assert explained.task.explanations == ("attention",)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_what_0_1_0_wrote_is_all_there(kind: str) -> None:
    info = model_file.read(FOLDER / f"small-fp32.{kind}").info
    assert info is not None
    assert info.front_end is not None
    assert info.front_end.hash == "963e6320209d9ec8"
    assert (info.name, info.version, info.license) == ("small", "1", "CC0-1.0")
    assert (info.output, info.quantization) == ("probabilities", "fp32")
    assert info.description == "Random weights: test data"
    assert info.training == {"data": "none", "epochs": 0}
    assert info.accuracy == ({"data": "none", "unit": "track", "n": 3, "correct": 1},)
    assert info.song_temperature == 0.8
    assert info.provenance["versions"]["edge-genre"] == "0.1.0"
    assert info.parity["gate"] == "passed"
    assert info.card == CARD


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("name", ""),
        ("version", ""),
        ("license", ""),
        ("description", ""),
        ("quantization", ""),
        ("training", {}),
        ("accuracy", ()),
        ("song_temperature", 1.0),
        ("provenance", {}),
        ("parity", {}),
        ("self_test", None),
    ],
)
def test_what_may_be_missing(tmp_path: Path, kind: str, key: str, default: object) -> None:
    whole = FOLDER / f"small-fp32.{kind}"
    path = tmp_path / whole.name
    path.write_bytes(edited(whole.read_bytes(), {}, without=key))
    info, complete = model_file.read(path).info, model_file.read(whole).info
    assert info is not None
    assert getattr(info, key) == default != getattr(complete, key)
    features = np.ones(Classifier.load(whole).spec.shape, np.float32)
    answers = [Classifier.load(each).run(features) for each in (path, whole)]
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("key", ["inputs", "task", "output"])
def test_what_must_not_be_missing_of_format_2(tmp_path: Path, key: str) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(edited((FORMAT_2 / "two-inputs.onnx").read_bytes(), {}, without=key))
    with pytest.raises(ModelError, match=f"not as expected: KeyError\\('{key}'"):
        model_file.read(path)


@pytest.mark.parametrize("key", ["front_end", "front_end_hash", "output"])
def test_what_must_not_be_missing(tmp_path: Path, key: str) -> None:
    path = tmp_path / "small.onnx"
    content = (FOLDER / "small-fp32.onnx").read_bytes()
    path.write_bytes(edited(content, {}, without=key))
    with pytest.raises(ModelError, match=f"not as expected: KeyError\\('{key}'"):
        model_file.read(path)


def test_keys_that_nobody_knows_are_left_alone(tmp_path: Path) -> None:
    """What a later version adds to this format, where older readers need not know it."""
    path = tmp_path / "small.onnx"
    content = (FOLDER / "small-fp32.onnx").read_bytes()
    path.write_bytes(edited(content, {"thresholds": [0.5, 0.2]}))
    assert model_file.read(path).info == model_file.read(FOLDER / "small-fp32.onnx").info


@pytest.mark.parametrize("version", [3, 4, 10**30])
def test_a_newer_format_is_named(tmp_path: Path, version: int) -> None:
    path = tmp_path / "newer.onnx"
    content = (FOLDER / "small-fp32.onnx").read_bytes()
    path.write_bytes(edited(content, {"format_version": version}))
    with pytest.raises(ModelError) as error:
        Classifier.load(path)
    assert str(error.value) == (
        f"{path}: edge_genre.json has format version {version}; this edge-genre reads 1 to "
        f"{model_file.FORMAT_VERSION}: update edge-genre"
    )


@pytest.mark.parametrize("version", [0, -1, 1.0, 1.5, "1", True, None, [], float("nan")])
def test_what_is_no_format_version(tmp_path: Path, version: Any) -> None:
    path = tmp_path / "odd.onnx"
    content = (FOLDER / "small-fp32.onnx").read_bytes()
    path.write_bytes(edited(content, {"format_version": version}))
    with pytest.raises(
        ModelError, match=r"has format version .*, expected a whole number"
    ) as error:
        Classifier.load(path)
    assert repr(version) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_format_version(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    content = (FOLDER / "small-fp32.onnx").read_bytes()
    path.write_bytes(edited(content, {}, without="format_version"))
    with pytest.raises(ModelError, match="has format version None, expected a whole number from 1"):
        Classifier.load(path)


def test_what_format_1_can_say_is_written_so() -> None:
    values = json.loads(json.dumps(_info().to_dict()))
    assert values["format_version"] == 1
    assert ModelInfo.from_dict(values, LABELS, CARD) == _info()


@pytest.mark.parametrize(
    "changes",
    [
        {"task": Task(noun="mood")},
        {"task": Task(background="calm")},
        {"task": Task(kind="multi_label", thresholds=(0.2, 0.5, 0.7))},
        {"task": Task(explanations=("attention",))},
        {"inputs": (Input("a", FrontEndSpec()), Input("b", FrontEndSpec.preset("mfcc-13")))},
    ],
)
def test_what_it_cannot_say_is_format_2(changes: dict[str, Any]) -> None:
    info = replace(_info(), self_test=None, **changes)
    values = json.loads(json.dumps(info.to_dict()))
    assert values["format_version"] == 2
    assert "front_end" not in values
    assert ModelInfo.from_dict(values, LABELS, CARD) == info


def _info() -> ModelInfo:
    info = model_file.read(FOLDER / "small-fp32.tflite").info
    assert info is not None
    return info
