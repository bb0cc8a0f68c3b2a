"""Small models, made on the fly: what an engine or a file must do does not depend on training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_genre.engines import Engine
from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.model import container
from edge_genre.model.file import ModelFile, ModelInfo, attach, digest
from edge_genre.model.input import audio_input
from edge_genre.model.self_test import SelfTest, probe, signal

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


def expected(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities that the models here give, computed by hand."""
    logits = features.reshape(-1).astype(np.float64) @ weights(features.shape)
    exponential = np.exp(logits - logits.max())
    return np.asarray(exponential / exponential.sum())


def onnx_graph(
    shape: Sequence[int | str | None] = (1, *SPEC.shape),
    *,
    output: str = "probabilities",
    n_classes: int = len(LABELS),
) -> bytes:
    """An ONNX model: features to logits, log-probabilities or probabilities."""
    sizes = [size for size in shape if isinstance(size, int)]
    last = {"logits": [], "probabilities": ["Softmax"], "log_probabilities": ["LogSoftmax"]}[output]
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "w"], ["logits"]),
        *(helper.make_node(operator, ["logits"], ["y"], axis=-1) for operator in last),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(
                "y" if last else "logits", TensorProto.FLOAT, [1, n_classes]
            )
        ],
        [
            numpy_helper.from_array(np.array([1, -1]), "flat"),
            numpy_helper.from_array(weights(sizes, n_classes), "w"),
        ],
    )
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
    return ModelInfo(inputs=audio_input(values.pop("front_end")), **values)


def self_test(spec: FrontEndSpec = SPEC, tolerance: float = 1e-3) -> SelfTest:
    """The right answer, computed by hand from the features."""
    samples = signal(5, n_samples=spec.window_samples, rate=spec.sample_rate)
    features = FrontEnd(spec)(samples)
    return SelfTest(
        seed=5,
        features=(tuple(probe(features).tolist()),),
        features_tolerance=(1e-3,),
        probabilities=tuple(expected(features).tolist()),
        tolerance=tolerance,
    )


def onnx_model(**changes: Any) -> bytes:
    """A whole model file's content."""
    return attach(onnx_graph(), info(**({"self_test": self_test()} | changes)))


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
