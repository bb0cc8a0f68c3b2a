"""Waveform in, genre out: a classifier's front end as part of its graph."""

from __future__ import annotations

from collections.abc import Mapping

from edge_genre.errors import ConversionError
from edge_genre.frontend import FrontEndSpec, kinds
from edge_genre.model.container import kind_of
from edge_genre.model.input import AUDIO
from edge_genre.task import GENRES, Task

__all__ = ["require_graph", "waveform_spec", "with_front_end"]


def require_graph(spec: FrontEndSpec | None) -> FrontEndSpec:
    """Refuse a front end that cannot be a graph.

    Raises
    ------
    ConversionError
        There is none, or it says why it cannot.
    """
    if spec is None:
        raise ConversionError(
            "a waveform file needs the model's front end, and this model has none: "
            "give the features that it was trained on (--frontend)"
        )
    if spec.is_samples:
        raise ConversionError("the model takes samples already: leave --waveform out")
    if spec.no_graph is not None:
        able = [name for name in kinds.names() if kinds.named(name)().no_graph is None]
        raise ConversionError(
            f"the front end {spec.kind} cannot be a graph: {spec.no_graph}; {', '.join(able)} can"
        )
    return spec


def with_front_end(
    graph: bytes,
    front_end: FrontEndSpec | Mapping[str, FrontEndSpec],
    *,
    output: str = "probabilities",
    task: Task = GENRES,
) -> bytes:
    """Put a front end in front of a classifier's graph, which stays as it is.

    The front end computes in float32, however the classifier is quantized. What the graph gives is
    always probabilities. Of several inputs, all front ends take the same samples, and frames that
    are the same are transformed once.

    Parameters
    ----------
    graph : TFLite or ONNX, without edge-genre's texts
    front_end : the features that it takes; of several inputs, by the names of the inputs
    output : what it gives, one of `edge_genre.choices.OUTPUTS`
    task : what that means; outputs that explain stay behind the answer, by their names

    Returns
    -------
    A graph of the same format: float32 [shape=(1, spec.window_samples)] in, mono with full scale 1,
    and float32 [shape=(1, classes)] out

    Raises
    ------
    ConversionError
        The front end cannot be a graph, does not fit this one, or the graph is damaged.
    """
    front_ends = front_end if isinstance(front_end, Mapping) else {AUDIO: front_end}
    for spec in front_ends.values():
        require_graph(spec)
    if kind_of(graph) == "tflite":
        from edge_genre.convert.waveform.tflite_graph import tflite_with_front_end

        return tflite_with_front_end(graph, front_ends, output, task)
    from edge_genre.convert.waveform.onnx_graph import onnx_with_front_end

    return onnx_with_front_end(graph, front_ends, output, task)


def waveform_spec(spec: FrontEndSpec) -> FrontEndSpec:
    """What a program must do for a graph with this front end inside: hand over the samples."""
    return FrontEndSpec(
        kind="waveform", sample_rate=spec.sample_rate, window_seconds=spec.window_seconds
    )
