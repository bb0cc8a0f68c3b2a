"""Graphs with several inputs and outputs, in both engines: bound by name, compared by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_genre.engines import Engine
from edge_genre.engines.tensor import bare_name
from edge_genre.errors import ModelError
from edge_genre.model.file import ModelFile
from edge_genre.task import Task
from tests.support.requirements import require_package

SHAPES = {"levels": (6, 4), "mfcc": (6, 3)}
EXPLAINED = Task(kind="multi_label", thresholds=(0.5,) * 5, explanations=("attention",))
_DRAW = np.random.default_rng(3)
LEVELS, MFCC = (_DRAW.normal(size=(n, 5)).astype(np.float32) for n in (4, 3))

Features = dict[str, NDArray[np.float32]]


def features(n: int | None = None) -> Features:
    draw = np.random.default_rng(4)
    batch = () if n is None else (n,)
    return {name: draw.normal(size=(*batch, *s)).astype(np.float32) for name, s in SHAPES.items()}


def expected(given: Features) -> NDArray[np.float32]:
    """Sigmoids of both inputs' means over time, times weights."""
    logits = given["levels"].mean(-2) @ LEVELS + given["mfcc"].mean(-2) @ MFCC
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def attention(given: Features) -> NDArray[np.float32]:
    return np.asarray(given["mfcc"].mean(-1), np.float32)


def onnx_graph(folder: Path, *, attentive: bool, batch: int | str = 1) -> ModelFile:
    onnx = require_package("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    kind = onnx.TensorProto.FLOAT

    def tensor(name: str, *shape: int | str) -> object:
        return helper.make_tensor_value_info(name, kind, [batch, *shape])

    nodes = [
        helper.make_node("ReduceMean", ["levels"], ["a"], axes=[1], keepdims=0),
        helper.make_node("ReduceMean", ["mfcc"], ["b"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["a", "wa"], ["c"]),
        helper.make_node("MatMul", ["b", "wb"], ["d"]),
        helper.make_node("Add", ["c", "d"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["tags"]),
        helper.make_node("ReduceMean", ["mfcc"], ["attention"], axes=[2], keepdims=0),
    ]
    outputs = [tensor("tags", 5)]
    if attentive:  # in front, where an answer usually stands
        outputs.insert(0, tensor("attention", 6))
    graph = helper.make_graph(
        nodes if attentive else nodes[:-1],
        "two",
        [tensor("mfcc", 6, 3), tensor("levels", 6, 4)],  # in another order than the features
        outputs,
        [numpy_helper.from_array(LEVELS, "wa"), numpy_helper.from_array(MFCC, "wb")],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.checker.check_model(model)
    content = bytes(model.SerializeToString())
    return ModelFile(folder / "two.onnx", "onnx", content, None)


def tflite_graph(folder: Path, *, attentive: bool, batch: int = 1) -> ModelFile:
    tf = require_package("tensorflow")

    class Two(tf.Module):  # type: ignore[misc, name-defined]
        @tf.function(
            input_signature=[
                tf.TensorSpec((batch, *shape), tf.float32, name=name)
                for name, shape in reversed(SHAPES.items())
            ]
        )
        def __call__(self, mfcc, levels):  # type: ignore[no-untyped-def]
            logits = tf.reduce_mean(levels, 1) @ LEVELS + tf.reduce_mean(mfcc, 1) @ MFCC
            return {"tags": tf.sigmoid(logits)}

    module = Two()
    function = module.__call__.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    return ModelFile(folder / "two.tflite", "tflite", converter.convert(), None)


@pytest.fixture(params=[onnx_graph, tflite_graph], ids=["onnx", "tflite"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> ModelFile:
    make: Callable[..., ModelFile] = request.param
    return make(tmp_path, attentive=False)


def engine(model: ModelFile, task: Task = EXPLAINED, **shapes: tuple[int, ...]) -> Engine:
    return Engine(model, shape=shapes or SHAPES, output="probabilities", task=task)


PLAIN = Task(kind="multi_label", thresholds=(0.5,) * 5)


def test_inputs_are_bound_by_name(two: ModelFile) -> None:
    given = features()
    for names in (["levels", "mfcc"], ["mfcc", "levels"]):
        found = engine(two, PLAIN, **{name: SHAPES[name] for name in names})
        answer = found.run(*(given[name] for name in names))
        np.testing.assert_allclose(answer, expected(given), atol=1e-5)


def test_an_explanation_is_another_output(tmp_path: Path) -> None:
    given, found = features(), engine(onnx_graph(tmp_path, attentive=True))
    answer, others = found.explain(*given.values())
    np.testing.assert_allclose(answer, expected(given), atol=1e-5)
    assert list(others) == ["attention"]
    np.testing.assert_allclose(others["attention"], attention(given), atol=1e-5)
    np.testing.assert_array_equal(found.run(*given.values()), answer)
    assert found.n_classes == 5


def test_several_windows_at_once(tmp_path: Path) -> None:
    given = features(7)
    found = engine(onnx_graph(tmp_path, attentive=True, batch="n"))
    assert found.takes_batches
    np.testing.assert_allclose(found.run_batch(*given.values()), expected(given), atol=1e-5)


def test_an_input_that_is_not_given(two: ModelFile) -> None:
    with pytest.raises(ModelError, match=r"model has 2 \(levels, mfcc\); missing: mfcc"):
        engine(two, PLAIN).run(features()["levels"])


def test_inputs_in_another_order(two: ModelFile) -> None:
    given = features()
    with pytest.raises(ModelError, match=r"input \w+ are 6 x ., expected 1 x 6 x .$"):
        engine(two, PLAIN).run(given["mfcc"], given["levels"])


def test_names_that_do_not_match(two: ModelFile) -> None:
    with pytest.raises(ModelError, match="but they are said to be levels, mfccs"):
        engine(two, PLAIN, levels=(6, 4), mfccs=(6, 3))


def test_one_input_too_few(two: ModelFile) -> None:
    with pytest.raises(ModelError, match=r"has 2 inputs .* said to have 1 \(levels\)$"):
        engine(two, PLAIN, levels=(6, 4))


def test_features_of_another_shape(two: ModelFile) -> None:
    with pytest.raises(ModelError, match="takes 1 x 6 x 3, but its front end gives 6 x 4"):
        engine(two, PLAIN, levels=(6, 4), mfcc=(6, 4))


@pytest.mark.parametrize(
    ("explanations", "message"),
    [
        ((), r"2 outputs \(attention, tags\), expected one answer$"),
        (("heat",), r"2 outputs \(attention, tags\), expected one answer, heat"),
        (("attention", "tags"), "expected one answer, attention, tags"),
        (tuple(map(str, range(10**4))), r"expected one answer, 0, 1, .{100,190}\.\.\.$"),
    ],
)
def test_outputs_that_do_not_match(
    tmp_path: Path, explanations: tuple[str, ...], message: str
) -> None:
    task = Task(kind="multi_label", thresholds=(0.5,) * 5, explanations=explanations)
    with pytest.raises(ModelError, match=message):
        engine(onnx_graph(tmp_path, attentive=True), task)


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("serving_default_mfcc:0", "mfcc"),
        ("mfcc:0", "mfcc"),
        ("mfcc", "mfcc"),
        ("StatefulPartitionedCall:1", "StatefulPartitionedCall"),
        ("a:b", "a:b"),
        ("", ""),
    ],
)
def test_bare_names(name: str, bare: str) -> None:
    assert bare_name(name) == bare
