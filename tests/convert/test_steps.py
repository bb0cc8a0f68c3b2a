"""Steps of a conversion cross between processes as JSON, and come back as they were."""

import json

import pytest

from edge_genre.convert import steps
from edge_genre.convert.tensors import TensorSpec
from edge_genre.convert.verify.graph_facts import GraphFacts
from edge_genre.convert.worker import STEPS
from edge_genre.frontend import FrontEndSpec
from edge_genre.host.record import Record
from edge_genre.task import Task

OPENING = steps.Opening(
    "model.keras", "five-channel-cnn", None, (TensorSpec("mfcc", (5, 40, 130)),), ("genre", "why")
)
GRAPH = GraphFacts(
    operators={"CONV_2D": 2},
    versions={"CONV_2D": 3},
    custom=("Flex",),
    input=("float32", (1, "time", 40)),
    output=("float32", (1, 10)),
    outside_xnnpack={},
    layers=2,
    in_8_bits=0,
    parameters=7,
)
ENGINE = steps.EngineFacts("onnxruntime 1.20", 0.25, GRAPH)
TASK = Task(kind="multi_label", thresholds=(0.5, 0.25))
RECORDS = [
    OPENING,
    steps.ModelFacts("onnx", (TensorSpec("x", (None, 40)),), 7, {"onnx": "1.17"}, None),
    ENGINE,
    steps.Joined(ENGINE, 100, 1.5),
    steps.Drifts(("first", "second")),
    steps.Made(3),
    steps.Describe(OPENING),
    steps.RunSource(OPENING, ("a", "b"), 10, ("why",), "windows.npz", "outputs.npy"),
    steps.WriteTFLite(OPENING, "graph", None, {"quantize": "fp32", "integer_io": False}),
    steps.WriteONNX(OPENING, "graph"),
    steps.QuantizeONNX("exact", "graph", "int8", "calibration.npz", OPENING.inputs, (0.5, 1.0)),
    steps.RunGraph(
        "graph", "onnx", "litert", "logits", TASK, ("a", "b"), "windows.npz", "outputs.npy"
    ),
    steps.FindDrift("exact", "graph", "windows.npz"),
    steps.JoinFrontEnd(
        "g", "tflite", "micro", {"x": FrontEndSpec(kind="mfcc")}, "logits", TASK, "s", "j", "o"
    ),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_all_of_it_comes_back(record: Record) -> None:
    assert type(record).from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_every_step_is_tried_here() -> None:
    assert set(STEPS) <= {type(record) for record in RECORDS}


def test_engine_facts_for_a_report_are_in_one_level() -> None:
    figures = ENGINE.figures()
    assert list(figures)[:3] == ["engine", "milliseconds", "operators"]
    assert figures["parameters"] == 7
