"""Small models, made on the fly: what an engine or a file must do does not depend on training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_genre.engines import Engine
from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.model import container
from edge_genre.model.file import ModelFile, ModelInfo, attach, digest
from edge_genre.model.input import Input, inputs_of
from edge_genre.model.self_test import SelfTest, probe, signal
from edge_genre.task import Task

LABELS = ("blues", "jazz", "rock")
# Small, so that a test of a whole command takes milliseconds.
SPEC = FrontEndSpec(
    window_seconds=1.0, hop_length=1024, n_mels=32, normalize="mean_variance", top_db=80.0
)


def weights(shape: Sequence[int], n_classes: int = len(LABELS)) -> NDArray[np.float32]:
    """A projection of features to classes [shape=(prod(shape), n_classes)]."""
    size = int(np.prod(shape))
    return (
        np.random.default_rng(7).standard_normal((size, n_classes)).astype(np.float32) / size**0.5
    )


def expected(
    *features: NDArray[np.float32], n_classes: int = len(LABELS), many: bool = False
) -> NDArray[np.float64]:
    """Probabilities that the models here give, computed by hand.

    Parameters
    ----------
    features : an array an input
    many : whether labels hold together: sigmoids, in place of a softmax
    """
    logits = sum(
        each.reshape(-1).astype(np.float64) @ weights(each.shape, n_classes) for each in features
    )
    if many:
        return np.asarray(1 / (1 + np.exp(-logits)))
    exponential = np.exp(logits - np.max(logits))
    return np.asarray(exponential / exponential.sum())


_LAST = {"logits": "", "probabilities": "Softmax", "log_probabilities": "LogSoftmax"}


def onnx_graph(
    shape: Sequence[int | str | None] | Mapping[str, Sequence[int | str | None]] = (1, *SPEC.shape),
    *,
    output: str = "probabilities",
    n_classes: int = len(LABELS),
    many: bool = False,
    explanation: str = "",
) -> bytes:
    """An ONNX model: features to logits, log-probabilities or probabilities.

    Parameters
    ----------
    shape : of the features; of several inputs, by their names. All have the same weights
    many : whether the probabilities are of labels that hold together
    explanation : name of a further output: the mean of each row of the first input's features
    """
    shapes = shape if isinstance(shape, Mapping) else {"x": shape}
    nodes, constants = [], [numpy_helper.from_array(np.array([1, -1]), "flat")]
    for name, axes in shapes.items():
        sizes = [size for size in axes if isinstance(size, int)]
        of = f"_{name}" if len(shapes) > 1 else ""
        constants.append(numpy_helper.from_array(weights(sizes, n_classes), f"w{of}"))
        nodes += [
            helper.make_node("Reshape", [name, "flat"], [f"row{of}"]),
            helper.make_node("MatMul", [f"row{of}", f"w{of}"], [f"logits{of}"]),
        ]
    if len(shapes) > 1:
        nodes.append(helper.make_node("Sum", [f"logits_{name}" for name in shapes], ["logits"]))
    last = "Sigmoid" if many and output == "probabilities" else _LAST[output]
    if last:
        axis = {} if last == "Sigmoid" else {"axis": -1}
        nodes.append(helper.make_node(last, ["logits"], ["y"], **axis))
    result = "y" if last else "logits"
    outputs = [helper.make_tensor_value_info(result, TensorProto.FLOAT, [1, n_classes])]
    if explanation:
        first = next(iter(shapes))
        nodes.append(helper.make_node("ReduceMean", [first], [explanation], axes=[-1], keepdims=0))
        outputs.append(
            helper.make_tensor_value_info(explanation, TensorProto.FLOAT, [*shapes[first]][:-1])
        )
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, axes)
        for name, axes in shapes.items()
    ]
    graph = helper.make_graph(nodes, "small", inputs, outputs, constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests"
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def info(**changes: Any) -> ModelInfo:
    """What such a model says of itself."""
    values: dict[str, Any] = {
        "front_end": SPEC,
        "labels": LABELS,
        "name": "small",
        "version": "1",
        "quantization": "fp32",
    }
    values |= changes
    spec = values.pop("front_end")
    return ModelInfo(**({"inputs": inputs_of(spec)} | values))


def self_test(*specs: FrontEndSpec, tolerance: float = 1e-3, many: bool = False) -> SelfTest:
    """The right answer, computed by hand from the features of each input, by default one."""
    specs = specs or (SPEC,)
    samples = signal(5, n_samples=specs[0].window_samples, rate=specs[0].sample_rate)
    features = [FrontEnd(spec)(samples) for spec in specs]
    return SelfTest(
        seed=5,
        features=tuple(tuple(probe(each).tolist()) for each in features),
        features_tolerance=(1e-3,) * len(specs),
        probabilities=tuple(expected(*features, many=many).tolist()),
        tolerance=tolerance,
    )


def onnx_model(**changes: Any) -> bytes:
    """A whole model file's content."""
    return attach(onnx_graph(), info(**({"self_test": self_test()} | changes)))


def tagger(**task: Any) -> bytes:
    """A whole model file of many labels, with thresholds in their middle.

    Parameters
    ----------
    task : other values of its `Task`; where it has an explanation, so has the graph
    """
    explanation = "".join(task.get("explanations", ()))
    values = {"kind": "multi_label", "noun": "tag"} | task
    described = info(task=Task(**values), self_test=self_test(many=True), name="tagger")
    return attach(onnx_graph(many=True, explanation=explanation), described)


# Of a model with two inputs: both hear the same window.
MFCC = FrontEndSpec(kind="mfcc", window_seconds=1.0, hop_length=1024, n_mfcc=13)
TWO_INPUTS = (Input("log_mel", SPEC), Input("mfcc", MFCC))


def two_inputs_graph(**changes: Any) -> bytes:
    """An ONNX graph that takes `TWO_INPUTS`, the second first; see `onnx_graph`."""
    shapes = {each.name: (1, *each.front_end.shape) for each in reversed(TWO_INPUTS)}
    return onnx_graph(shapes, **changes)


def two_inputs_model(**changes: Any) -> bytes:
    """A whole model file with `TWO_INPUTS`."""
    test = self_test(*(each.front_end for each in TWO_INPUTS))
    described = info(**({"inputs": TWO_INPUTS, "self_test": test, "name": "two"} | changes))
    return attach(two_inputs_graph(), described)


def edited(
    content: bytes, change: dict[str, Any], labels: str | None = None, *, without: str = ""
) -> bytes:
    """A model with values of its description changed, by somebody who also mends the digest."""
    graph, texts = container.split(content)
    if labels is not None:
        texts[container.LABELS] = labels
    values = json.loads(texts[container.INFO]) | change
    values.pop(without, None)
    labels_now, card = texts[container.LABELS].splitlines(), texts.get(container.CARD, "")
    values["sha256"] = digest(graph, labels_now, values, card)
    texts[container.INFO] = json.dumps(values)
    return container.join(graph, texts)


def engine(model: ModelFile, shape: Sequence[int], output: str = "probabilities") -> Engine:
    """An engine for features of one shape."""
    return Engine(model, shape=tuple(shape), output=output)
