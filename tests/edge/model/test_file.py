"""Model files: written, read by other programs, and damaged in every way."""

import dataclasses
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_genre.classifier import Classifier
from edge_genre.errors import EdgeGenreError, ModelError, SelfTestError
from edge_genre.frontend import FrontEndSpec
from edge_genre.model import container
from edge_genre.model.bundled import find_model
from edge_genre.model.file import ModelInfo, attach, read, write
from edge_genre.model.input import inputs_of
from edge_genre.task import Task
from tests.support import models_on_the_fly as small
from tests.support.models_on_the_fly import edited


@pytest.fixture(scope="module")
def tflite() -> bytes:
    """The bundled TFLite model, without what is attached to it."""
    graph, _ = container.split(find_model("songnet-gtzan").read_bytes())
    return graph


def _read_content(content: bytes, name: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        read(path)


def test_round_trip(tmp_path: Path) -> None:
    info = small.info(
        description="A \N{LATIN SMALL LETTER O WITH DIAERESIS} in it",
        training={"data": "none"},
        accuracy=({"unit": "track", "n": 10, "correct": 7, "data": "none"},),
        self_test=small.self_test(),
        song_temperature=0.8,
        card="# A card\n",
    )
    write(tmp_path / "small.onnx", small.onnx_graph(), info)
    assert read(tmp_path / "small.onnx").info == info
    assert [path.name for path in tmp_path.iterdir()] == ["small.onnx"]


def test_a_card_is_sealed_with_the_rest(tflite: bytes) -> None:
    for graph in (tflite, small.onnx_graph()):
        labels = tuple("abcdefghij")
        content = attach(graph, small.info(labels=labels, card="right\n" * 50))
        bare, texts = container.split(content)
        assert texts[container.CARD] == "right\n" * 50
        texts[container.CARD] = texts[container.CARD].replace("right", "wrong", 1)
        path = Path(f"model.{container.kind_of(graph)}")
        with pytest.raises(ModelError, match="SHA-256"):
            _read_content(container.join(bare, texts), path)


def test_an_impossible_temperature_is_refused() -> None:
    for wrong in (0, -1.0, float("nan"), "1"):
        with pytest.raises(ModelError, match="song_temperature"):
            small.info(song_temperature=wrong)


def test_a_model_without_a_front_end(tmp_path: Path) -> None:
    """Its features are not audio's: it can be read, but cannot hear."""
    write(tmp_path / "rows.onnx", small.onnx_graph(), small.info(front_end=None))
    info = read(tmp_path / "rows.onnx").info
    assert info is not None
    assert info.front_end is None
    with pytest.raises(ModelError, match="no audio front end"):
        Classifier.load(tmp_path / "rows.onnx")


def test_attach_replaces_what_was_there(tflite: bytes) -> None:
    for graph in (tflite, small.onnx_graph()):
        labels = tuple("abcdefghij")
        once = attach(graph, small.info(name="first", labels=labels))
        twice = attach(once, small.info(name="second", labels=labels))
        assert twice == attach(graph, small.info(name="second", labels=labels))
        assert container.split(twice)[0] == graph


def test_tflite_texts_are_readable_by_other_programs(tmp_path: Path, tflite: bytes) -> None:
    path = tmp_path / "model.tflite"
    labels = tuple("abcdefghij")
    write(path, tflite, small.info(labels=labels))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().split() == list(labels)
        assert json.loads(archive.read("edge_genre.json"))["name"] == "small"
    extracted = subprocess.run(
        [sys.executable, "-m", "zipfile", "-e", path, tmp_path], capture_output=True, check=False
    )
    assert extracted.returncode == 0
    assert (tmp_path / "labels.txt").exists()


def test_onnx_texts_are_readable_by_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(small.onnx_model())
    onnx.checker.check_model(onnx.load(path))
    for properties in (
        {entry.key: entry.value for entry in onnx.load(path).metadata_props},
        onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map,
    ):
        assert properties["labels.txt"].split() == list(small.LABELS)
        assert json.loads(properties["edge_genre.json"])["name"] == "small"


def test_onnx_texts_written_by_onnx_are_read() -> None:
    model = onnx.load_from_string(small.onnx_graph())
    onnx.helper.set_model_props(model, {"author": "x", "labels.txt": "a\nb\n"})
    _, texts = container.split(model.SerializeToString())
    assert texts == {"labels.txt": "a\nb\n"}
    graph, _ = container.split(model.SerializeToString())
    assert b"author" in graph  # what is not ours stays


def test_a_file_without_description(tmp_path: Path) -> None:
    path = tmp_path / "plain.onnx"
    path.write_bytes(small.onnx_graph())
    assert read(path).info is None
    with pytest.raises(ModelError, match="--frontend and --labels"):
        Classifier.load(path)
    classifier = Classifier.load(path, front_end=small.SPEC, labels=small.LABELS)
    assert classifier.labels == small.LABELS
    assert classifier.self_test() is None


def test_a_described_file_refuses_another_description(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(small.onnx_model())
    with pytest.raises(ModelError, match="leave"):
        Classifier.load(path, labels=small.LABELS)


def test_write_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(b"as it was")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ModelError, match="No space left"):
        write(path, small.onnx_graph(), small.info())
    assert path.read_bytes() == b"as it was"
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.onnx"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "Keras HDF5"),
        (b"PK\x03\x04" + bytes(100), "keras or PyTorch"),
        (b"RIFF\0\0\0\0WAVE", "WAV"),
        (b'{"a": 1}', "JSON"),
        (b"hello, this is a text", "no TFLite or ONNX model"),
        (np.random.default_rng(0).bytes(5000), "no TFLite or ONNX model"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "other.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model file; bundled are songnet-fma"):
        Classifier.load(tmp_path / "none.tflite")
    with pytest.raises(ModelError, match="folder"):
        Classifier.load(tmp_path)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.99, 0.9999])
def test_truncated_files_do_not_load(tmp_path: Path, kind: str, part: float) -> None:
    content = find_model(f"songnet-gtzan.{kind}").read_bytes()
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ModelError):
        Classifier.load(path)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_a_flipped_bit_is_found(tmp_path: Path, kind: str) -> None:
    content = bytearray(find_model(f"songnet-gtzan.{kind}").read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / f"damaged.{kind}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256"):
        Classifier.load(path)


@settings(max_examples=300)
@given(data=st.data())
def test_damage_is_an_error_or_harmless(data: st.DataObject) -> None:
    """Reading never raises anything but a ModelError, whatever was overwritten."""
    content = bytearray(_SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))]
    try:
        graph, texts = container.split(bytes(content))
    except ModelError:
        return
    assert isinstance(graph, bytes)
    assert set(texts) <= set(container.NAMES)


_SMALL = small.onnx_model()


@settings(max_examples=300)
@given(data=st.data())
def test_a_damaged_archive_is_an_error_or_harmless(data: st.DataObject) -> None:
    content = bytearray(_ARCHIVE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(100, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    try:
        _, texts = container.split(bytes(content))
    except ModelError:
        return
    assert set(texts) <= set(container.NAMES)


_ARCHIVE = container.join(
    b"\x1c\0\0\0TFL3" + bytes(92), {"labels.txt": "a\nb\n", "edge_genre.json": "{}"}
)


_TEST = small.self_test().to_dict()


@pytest.mark.parametrize(
    ("change", "labels", "message"),
    [
        ({"front_end_hash": "0" * 16}, None, "front-end spec has hash"),
        ({"front_end": {"n_mels": 33}}, None, "front-end spec has hash"),
        ({"front_end": {"mels": 33}}, None, "unknown key 'mels'"),
        ({"front_end": None}, None, "front-end spec has hash None"),
        ({"front_end": []}, None, "expected a JSON object"),
        ({"output": "votes"}, None, "'votes'"),
        ({"self_test": {"seed": 1}}, None, "not as expected"),
        ({}, "a\nb\n", "2 labels"),
        ({}, "a\na\nb\n", "distinct"),
        ({}, "a\nsilence\nb\n", "not 'silence', found"),
    ],
)
def test_inconsistent_descriptions(
    tmp_path: Path, change: dict[str, Any], labels: str | None, message: str
) -> None:
    path = tmp_path / "edited.onnx"
    path.write_bytes(edited(small.onnx_model(), change, labels))
    with pytest.raises(EdgeGenreError, match=message) as error:
        Classifier.load(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("label", ["two\nlines", "ends\n", "two\u2028lines", 3])
def test_labels_of_several_lines(label: Any) -> None:
    """A file with them could not be read again: it has a label a line."""
    with pytest.raises(ModelError, match=re.escape(f"a label is {label!r}, expected a text")):
        small.info(labels=("jazz", label, "rock"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": None}, "task is None, expected an object"),
        ({"task": Task().to_dict() | {"thresholds": None}}, "thresholds are None, expected a list"),
        ({"inputs": ["mel"]}, "an input is 'mel', expected an object"),
        ({"inputs": [None]}, "an input is None, expected an object"),
    ],
)
def test_values_of_other_types(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "edited.onnx"
    path.write_bytes(edited(small.tagger(), change))
    with pytest.raises(ModelError, match=message):
        read(path)


def test_nothing_is_a_label_only_where_one_always_holds(tmp_path: Path) -> None:
    labels = "jazz\nnothing\nrock\n"
    path = tmp_path / "nothing.onnx"
    path.write_bytes(edited(small.tagger(), {}, labels))
    with pytest.raises(ModelError, match="empty and not 'silence' or 'nothing', found"):
        Classifier.load(path)
    path.write_bytes(edited(small.onnx_model(), {}, labels))
    assert Classifier.load(path).labels[1] == "nothing"


def test_wrong_number_of_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.onnx"
    path.write_bytes(attach(small.onnx_graph(), small.info(labels=("a", "b"))))
    with pytest.raises(ModelError, match="3 outputs, but 2 labels"):
        Classifier.load(path)


def test_failed_self_test(tmp_path: Path) -> None:
    path = tmp_path / "drifted.onnx"
    path.write_bytes(
        small.onnx_model(
            self_test=dataclasses.replace(small.self_test(), probabilities=(0.9, 0.05, 0.05))
        )
    )
    with pytest.raises(SelfTestError, match="self-test failed"):
        Classifier.load(path)
    assert Classifier.load(path, check=False).labels == small.LABELS


def test_another_front_end_fails_the_self_test(tmp_path: Path) -> None:
    """Skew between training and serving is an error, not a wrong genre."""
    path = tmp_path / "skewed.onnx"
    path.write_bytes(small.onnx_model(front_end=small.SPEC.replace(normalize="none")))
    with pytest.raises(SelfTestError):
        Classifier.load(path)


DRIFTS: list[dict[str, Any]] = [
    {"sample_rate": 22_000},
    {"n_fft": 1024},
    {"hop_length": 1700},
    {"pad_mode": "reflect"},
    {"mel_scale": "htk"},
    {"mel_norm": None},
    {"fmin": 50.0},
    {"fmax": 10_000.0},
    {"log": "natural"},
    {"top_db": 60.0},
    {"normalize": "min_max"},
]


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
@pytest.mark.parametrize("change", DRIFTS, ids=str)
def test_drift_of_the_bundled_front_end_is_found(
    tmp_path: Path, kind: str, change: dict[str, Any]
) -> None:
    """Whatever number of the front end changes, the self-test of the real model says so."""
    content = find_model(f"songnet-gtzan.{kind}").read_bytes()
    spec = FrontEndSpec.preset("songnet-gtzan").replace(**change)
    path = tmp_path / f"drifted.{kind}"
    path.write_bytes(edited(content, {"front_end": spec.to_dict(), "front_end_hash": spec.hash}))
    with pytest.raises(ModelError, match=r"self-test failed: a feature|the model takes"):
        Classifier.load(path)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_edited_texts_are_found(tmp_path: Path, kind: str) -> None:
    """Labels in another order, or a wider tolerance, do not load."""
    graph, texts = container.split(find_model(f"songnet-gtzan.{kind}").read_bytes())
    path = tmp_path / f"edited.{kind}"
    labels = "\n".join(reversed(texts["labels.txt"].split())) + "\n"
    wider = texts["edge_genre.json"].replace('"tolerance": 0.', '"tolerance": 0.9')
    assert wider != texts["edge_genre.json"]
    for change in ({"labels.txt": labels}, {"edge_genre.json": wider}):
        path.write_bytes(container.join(graph, texts | change))
        with pytest.raises(ModelError, match="damaged or edited"):
            Classifier.load(path)


def test_front_end_of_another_shape(tmp_path: Path) -> None:
    path = tmp_path / "shape.onnx"
    path.write_bytes(attach(small.onnx_graph(), small.info(front_end=FrontEndSpec())))
    with pytest.raises(ModelError, match="front end gives 130 x 128"):
        Classifier.load(path)


def test_info_refuses_unknown_output() -> None:
    with pytest.raises(ModelError, match="scores"):
        ModelInfo(inputs=inputs_of(small.SPEC), labels=small.LABELS, output="scores")
