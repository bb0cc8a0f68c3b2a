"""One step of a conversion, in a process of its own: ``python -m edge_genre.convert.worker JOB``.

The steps are those of `edge_genre.convert.steps`; see `edge_genre.convert.isolation`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert import isolation, steps
from edge_genre.convert.isolation import answer
from edge_genre.convert.outputs.answer import Chosen, choose
from edge_genre.convert.outputs.meaning import may_be_probabilities
from edge_genre.convert.sources import TrainedModel, open_model
from edge_genre.convert.tensors import Arrays, TensorSpec, load, matched, reshaped
from edge_genre.engines import Engine
from edge_genre.errors import ConversionError, EdgeGenreError, one_line
from edge_genre.frontend.together import FrontEnds
from edge_genre.host.record import Record
from edge_genre.model.file import ModelFile


def describe(step: steps.Describe) -> steps.ModelFacts:
    return _facts(_opened(step.source))


def run_source(step: steps.RunSource) -> steps.ModelFacts:
    windows = load(step.windows)
    shapes = [each.shape[1:] for each in windows]
    given = {each.name: each.shape for each in step.source.inputs}
    # A state dict does not say what the network takes: with a channel axis in front, or without.
    candidates = [
        [given[name]] if name in given else [shape, (1, *shape)]
        for name, shape in zip(step.names, shapes, strict=True)
    ]
    failure: Exception | None = None
    for candidate in product(*candidates):
        inputs = tuple(map(TensorSpec, step.names, candidate))
        model = _opened(replace(step.source, inputs=inputs))
        try:
            order = matched([each.name for each in model.inputs], step.names)
            arrays = reshaped([windows[index] for index in order], model.inputs)
            first = model.predict(*(each[:1] for each in arrays))
        except (ConversionError, RuntimeError) as error:
            failure = failure or error
            continue
        return _answered(
            step, model, arrays, tuple(first), choose(first, step.labels, step.explain)
        )
    assert failure is not None
    if isinstance(failure, EdgeGenreError):
        raise failure
    found = " and ".join(map(str, shapes))
    raise ConversionError(
        f"the model does not run on windows of shape {found}: {one_line(failure, 300)}; "
        "give the front end it was trained with, or --input-shape"
    )


def _answered(
    step: steps.RunSource,
    model: TrainedModel,
    windows: Arrays,
    outputs: tuple[str, ...],
    chosen: Chosen,
) -> steps.ModelFacts:
    """Run a model whose outputs are known, and save its answers."""
    inputs = tuple(
        TensorSpec(each.name, window.shape[1:])
        for each, window in zip(model.inputs, windows, strict=True)
    )
    if chosen.names != outputs:
        model = _opened(replace(step.source, inputs=inputs, outputs=chosen.names))
    rows = model.predict(*windows)[chosen.answer]
    if not np.isfinite(rows).all():
        raise ConversionError("gives NaN or infinity on real windows")
    np.save(step.outputs, rows)
    return replace(
        _facts(model),
        inputs=inputs,
        outputs=chosen.names,
        activation=model.activation() if may_be_probabilities(rows) else None,
        notes=chosen.notes,
    )


def write_tflite(step: steps.WriteTFLite) -> steps.Made:
    model, windows = _opened(step.source), None
    if step.calibration:
        windows = reshaped(load(step.calibration), model.inputs)
    return _written(step.graph, model.tflite(calibration=windows, **step.options))


def write_onnx(step: steps.WriteONNX) -> steps.Made:
    return _written(step.graph, _opened(step.source).onnx())


def quantize_onnx(step: steps.QuantizeONNX) -> steps.Made:
    from edge_genre.convert.onnx import quantize

    windows = reshaped(load(step.calibration), step.inputs) if step.calibration else None
    exact = Path(step.exact).read_bytes()
    graph = quantize.quantize_onnx(exact, step.quantize, windows, edges=step.edges)
    return _written(step.graph, graph)


def run_graph(step: steps.RunGraph) -> steps.EngineFacts:
    from edge_genre.convert.verify.graph_facts import graph_facts

    graph, windows = Path(step.graph).read_bytes(), load(step.windows)
    shapes = [each.shape[1:] for each in windows]
    engine = _engine(step, graph, dict(zip(step.names, shapes, strict=True)), step.output)
    rows, seconds = [], []
    for window in zip(*windows, strict=True):
        begin = time.perf_counter()
        rows.append(engine.run(*window))
        seconds.append(time.perf_counter() - begin)
    np.save(step.outputs, np.stack(rows))
    return steps.EngineFacts(engine.name, _milliseconds(seconds), graph_facts(graph))


def find_drift(step: steps.FindDrift) -> steps.Drifts:
    from edge_genre.convert.verify.drift import layer_drift

    exact, graph = Path(step.exact).read_bytes(), Path(step.graph).read_bytes()
    layers = layer_drift(exact, graph, [each[:32] for each in load(step.windows)])
    return steps.Drifts(tuple(str(layer) for layer in layers[:5]))


def join_front_end(step: steps.JoinFrontEnd) -> steps.Joined:
    from edge_genre.convert.verify.graph_facts import graph_facts
    from edge_genre.convert.waveform import with_front_end

    specs, alone = step.front_ends, Path(step.graph).read_bytes()
    joined = with_front_end(alone, specs, output=step.output, task=step.task)
    Path(step.joined).write_bytes(joined)
    front_ends = FrontEnds(tuple(specs.values()))
    shapes = {name: spec.shape for name, spec in specs.items()}
    classifier = _engine(step, alone, shapes, step.output)
    samples = np.load(step.samples, mmap_mode="r")
    whole = _engine(step, joined, samples.shape[1:], "probabilities")
    rows: list[list[NDArray[np.float32]]] = [[], []]
    seconds: list[list[float]] = [[], []]
    for window in samples:
        window = np.array(window)
        for form, run in enumerate((lambda x: classifier.run(*front_ends(x)), whole.run)):
            begin = time.perf_counter()
            rows[form].append(run(window))
            seconds[form].append(time.perf_counter() - begin)
    np.savez(step.outputs, split=np.stack(rows[0]), joined=np.stack(rows[1]))
    split_ms, joined_ms = map(_milliseconds, seconds)
    facts = steps.EngineFacts(whole.name, joined_ms, graph_facts(joined))
    return steps.Joined(facts, len(alone), split_ms)


def _opened(source: steps.Opening) -> TrainedModel:
    return open_model(
        source.path,
        architecture=source.architecture,
        custom=source.custom,
        inputs=source.inputs,
        outputs=source.outputs,
    )


def _facts(model: TrainedModel) -> steps.ModelFacts:
    return steps.ModelFacts(
        kind=model.kind,
        inputs=model.inputs,
        parameters=model.parameters,
        versions=model.versions,
        quantization=model.quantization,
    )


def _engine(
    step: steps.RunGraph | steps.JoinFrontEnd,
    graph: bytes,
    shape: tuple[int, ...] | dict[str, tuple[int, ...]],
    output: str,
) -> Engine:
    """The engine that has to run the graph, where it can be had; else LiteRT stands for it."""
    engine = None
    if step.suffix == "tflite" and step.target == "tflite-runtime":
        from edge_genre.convert.verify.tflite_runtime import available, require_tflite_runtime

        require_tflite_runtime(graph)
        engine = "tflite-runtime" if available() else None
    model = ModelFile(Path(step.graph), step.suffix, graph, None)
    return Engine(model, shape=shape, output=output, task=step.task, engine=engine)


def _milliseconds(seconds: list[float]) -> float:
    return float(np.median(seconds)) * 1e3


def _written(path: str, graph: bytes) -> steps.Made:
    Path(path).write_bytes(graph)
    return steps.Made(len(graph))


STEPS: dict[type[isolation.Step[Any]], Callable[[Any], Record]] = {
    steps.Describe: describe,
    steps.RunSource: run_source,
    steps.WriteTFLite: write_tflite,
    steps.WriteONNX: write_onnx,
    steps.QuantizeONNX: quantize_onnx,
    steps.RunGraph: run_graph,
    steps.FindDrift: find_drift,
    steps.JoinFrontEnd: join_front_end,
}

if __name__ == "__main__":
    answer(sys.argv[1], STEPS)
