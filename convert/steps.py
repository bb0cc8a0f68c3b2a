"""The steps of a conversion, as they go to `edge_genre.convert.worker`, and what each finds.

Paths are strings, since they travel as JSON. Windows are ``.npz`` files with an array for each
input, in the model's order (see `edge_genre.convert.tensors`); outputs are ``.npy`` files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_genre.convert.isolation import Step
from edge_genre.convert.tensors import TensorSpec
from edge_genre.convert.verify.graph_facts import GraphFacts
from edge_genre.frontend import FrontEndSpec
from edge_genre.host.record import Record
from edge_genre.task import Task


@dataclass(frozen=True)
class Opening(Record):
    """How a trained model is opened: the arguments of `edge_genre.convert.sources.open_model`."""

    path: str
    architecture: str | None = None
    custom: str | None = None
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFacts(Record):
    """What a trained model is; see `edge_genre.convert.sources.TrainedModel`.

    Parameters
    ----------
    outputs : those that its files keep, the answer first, if it was run
    activation : what the answer is made by, if it could be probabilities; see
        `edge_genre.convert.outputs.activations`
    notes : what a user should know of them
    """

    kind: str
    inputs: tuple[TensorSpec, ...]
    parameters: int
    versions: dict[str, str]
    quantization: str | None
    outputs: tuple[str, ...] = ()
    activation: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made(Record):
    """Size of a graph that was written, in bytes."""

    bytes: int


@dataclass(frozen=True)
class EngineFacts(Record):
    """A graph in its real engine.

    Parameters
    ----------
    engine : its name
    milliseconds : of a window, the median
    graph : what is in it
    """

    engine: str
    milliseconds: float
    graph: GraphFacts

    def figures(self) -> dict[str, Any]:
        """All of it in one level, ready for JSON."""
        found = {"engine": self.engine, "milliseconds": self.milliseconds}
        return found | self.graph.to_dict()


@dataclass(frozen=True)
class Drifts(Record):
    """The layers that drift most, in words."""

    layers: tuple[str, ...]


@dataclass(frozen=True)
class Joined(Record):
    """A graph with its front end inside, and what the same costs apart.

    Parameters
    ----------
    facts : of the graph with both
    split_size : bytes of the classifier alone
    split_milliseconds : of a window, front end and classifier, the median
    """

    facts: EngineFacts
    split_size: int
    split_milliseconds: float


@dataclass(frozen=True)
class Describe(Step[ModelFacts]):
    """What a source file is, without running it."""

    result = ModelFacts

    source: Opening


@dataclass(frozen=True)
class RunSource(Step[ModelFacts]):
    """Run the source on ``windows``, in its own framework, and save its answers in ``outputs``.

    The windows are those of the inputs ``names``, in this order; the answer is the output with a
    number for each of the ``labels``, and files shall ``explain`` it by others. The inputs of what
    is found have the model's order, and the windows' lengths.
    """

    result = ModelFacts

    source: Opening
    names: tuple[str, ...]
    labels: int
    explain: tuple[str, ...]
    windows: str
    outputs: str


@dataclass(frozen=True)
class WriteTFLite(Step[Made]):
    """Convert the source to a TFLite ``graph``; ``options`` are `TrainedModel.tflite`'s."""

    result = Made

    source: Opening
    graph: str
    calibration: str | None
    options: dict[str, Any]


@dataclass(frozen=True)
class WriteONNX(Step[Made]):
    """Convert the source to an ONNX ``graph`` in fp32."""

    result = Made

    source: Opening
    graph: str


@dataclass(frozen=True)
class QuantizeONNX(Step[Made]):
    """Quantize the ``exact`` ONNX graph, which takes windows of ``inputs``.

    Where labels each hold or not, they do from these ``edges`` of its outputs on.
    """

    result = Made

    exact: str
    graph: str
    quantize: str
    calibration: str | None
    inputs: tuple[TensorSpec, ...]
    edges: tuple[float, ...] | None = None


@dataclass(frozen=True)
class RunGraph(Step[EngineFacts]):
    """Run a converted graph in its real engine on ``windows``, and save its probabilities.

    ``names`` are those of its inputs, in the windows' order; ``output`` is what the graph gives,
    one of `edge_genre.choices.OUTPUTS`, and ``task`` what that means; ``target`` what has to run
    it.
    """

    result = EngineFacts

    graph: str
    suffix: str
    target: str
    output: str
    task: Task
    names: tuple[str, ...]
    windows: str
    outputs: str


@dataclass(frozen=True)
class FindDrift(Step[Drifts]):
    """Find the layers of a ``graph`` that are furthest from those of the ``exact`` one."""

    result = Drifts

    exact: str
    graph: str
    windows: str


@dataclass(frozen=True)
class JoinFrontEnd(Step[Joined]):
    """Put front ends into a graph, and run both forms on windows of ``samples``, in turns.

    ``front_ends`` are by the names of its inputs; ``joined`` is where the graph goes, ``outputs``
    where both forms' probabilities go (``.npz``).
    """

    result = Joined

    graph: str
    suffix: str
    target: str
    front_ends: dict[str, FrontEndSpec]
    output: str
    task: Task
    samples: str
    joined: str
    outputs: str
