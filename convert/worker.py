"""One step of a conversion, in a process of its own: ``python -m edge_genre.convert.worker JOB``.

A job is a JSON file with the task, its arguments and where the result goes; arrays and graphs pass
through files beside it. See `edge_genre.convert.isolation`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from edge_genre.convert.sources import Source, open_source
from edge_genre.engines import Engine, fitted
from edge_genre.errors import ConversionError, EdgeGenreError
from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.model.file import ModelFile


def describe(*, source: dict[str, Any]) -> dict[str, Any]:
    """What a source file is, without running it."""
    return _facts(open_source(**source))


def reference(*, source: dict[str, Any], windows: str, outputs: str) -> dict[str, Any]:
    """Run the source on windows, in its own framework, and save its outputs."""
    features = np.load(windows)
    shape = features.shape[1:]
    # A state dict does not say what the network takes: with a channel axis in front, or without.
    shapes = [source["input_shape"]] if source.get("input_shape") else [shape, (1, *shape)]
    failure: Exception | None = None
    for candidate in shapes:
        opened = open_source(**{**source, "input_shape": tuple(candidate)})
        try:
            features = features.reshape(-1, *_input_shape(opened, shape))
            opened.predict(features[:1])
        except (ConversionError, RuntimeError) as error:
            failure = failure or error
            continue
        result = opened.predict(features)
        np.save(outputs, result.astype(np.float32))
        return _facts(opened) | {"input_shape": list(features.shape[1:])}
    assert failure is not None
    if isinstance(failure, EdgeGenreError):
        raise failure
    raise ConversionError(
        f"the model does not run on windows of shape {tuple(shape)}: {_line(failure)}; give the "
        "front end it was trained with, or --input-shape"
    )


def convert(
    *, source: dict[str, Any], suffix: str, calibration: str | None, graph: str, **options: Any
) -> dict[str, Any]:
    """Convert the source to a graph of one format."""
    opened = open_source(**source)
    if suffix == "onnx":
        content = opened.onnx()
    else:
        windows = None
        if calibration:
            windows = np.load(calibration)
            windows = windows.reshape(-1, *_input_shape(opened, windows.shape[1:]))
        content = opened.tflite(calibration=windows, **options)
    Path(graph).write_bytes(content)
    return {"bytes": len(content)}


def quantize(
    *, exact: str, quantize: str, calibration: str | None, shape: list[int], graph: str
) -> dict[str, Any]:
    """Quantize an ONNX graph that takes windows of ``shape``."""
    from edge_genre.convert.onnx.quantize import quantize_onnx

    windows = np.load(calibration).reshape(-1, *shape) if calibration else None
    content = quantize_onnx(Path(exact).read_bytes(), quantize, windows)
    Path(graph).write_bytes(content)
    return {"bytes": len(content)}


def check(*, graph: str, suffix: str, output: str, windows: str, outputs: str) -> dict[str, Any]:
    """Run a converted graph in its real engine on windows, and save its probabilities."""
    from edge_genre.convert.verify.graph_facts import graph_facts

    content, features = Path(graph).read_bytes(), np.load(windows)
    model = ModelFile(Path(graph), suffix, content, None)
    engine = Engine(model, shape=features.shape[1:], output=output)
    results, seconds = [], []
    for window in features:
        begin = time.perf_counter()
        results.append(engine.run(window))
        seconds.append(time.perf_counter() - begin)
    np.save(outputs, np.stack(results))
    milliseconds = float(np.median(seconds)) * 1e3
    return {"engine": engine.name, "milliseconds": milliseconds, **graph_facts(content).to_dict()}


def drift(*, exact: str, graph: str, windows: str) -> dict[str, Any]:
    """Find the layers that drift most."""
    from edge_genre.convert.verify.drift import layer_drift

    layers = layer_drift(Path(exact).read_bytes(), Path(graph).read_bytes(), np.load(windows)[:32])
    return {"layers": [str(layer) for layer in layers[:5]]}


def waveform(
    *,
    graph: str,
    suffix: str,
    front_end: dict[str, Any],
    output: str,
    samples: str,
    joined: str,
    outputs: str,
) -> dict[str, Any]:
    """Put the front end into a graph, and run both forms on windows of samples, in turns."""
    from edge_genre.convert.verify.graph_facts import graph_facts
    from edge_genre.convert.waveform import with_front_end

    spec = FrontEndSpec.from_dict(front_end)
    alone = Path(graph).read_bytes()
    content = with_front_end(alone, spec, output=output)
    Path(joined).write_bytes(content)
    compute = FrontEnd(spec)
    classifier, whole = (
        Engine(ModelFile(Path(graph), suffix, each, None), shape=shape, output=meaning)
        for each, shape, meaning in (
            (alone, spec.shape, output),
            (content, (spec.window_samples,), "probabilities"),
        )
    )
    rows: list[list[Any]] = [[], []]
    seconds: list[list[float]] = [[], []]
    for window in np.load(samples, mmap_mode="r"):
        window = np.array(window)
        for form, run in enumerate((lambda x: classifier.run(compute(x)), whole.run)):
            begin = time.perf_counter()
            rows[form].append(run(window))
            seconds[form].append(time.perf_counter() - begin)
    np.savez(outputs, split=np.stack(rows[0]), joined=np.stack(rows[1]))
    split_ms, joined_ms = (float(np.median(each)) * 1e3 for each in seconds)
    facts = {"engine": whole.name, "milliseconds": joined_ms, **graph_facts(content).to_dict()}
    return {"split_size": len(alone), "split_milliseconds": split_ms, "facts": facts}


TASKS = {
    task.__name__: task for task in (describe, reference, convert, quantize, check, drift, waveform)
}


def main(path: str) -> None:
    """Run one job."""
    threading.Thread(target=_die_with_parent, args=(os.getppid(),), daemon=True).start()
    job = json.loads(Path(path).read_text())
    try:
        values = TASKS[job["task"]](**job["arguments"])
    except EdgeGenreError as error:
        values = {"error": str(error)}
    except MemoryError:
        values = {"error": "out of memory"}
    except OSError as error:
        values = {"error": f"{error.filename or 'a temporary file'}: {error.strerror or error}"}
    except Exception as error:  # frameworks raise many kinds, without a common base
        traceback.print_exc()
        values = {"error": f"{type(error).__name__}: {_line(error)}"}
    Path(job["result"]).write_text(json.dumps(values))


def _facts(source: Source) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "input_shape": list(source.input_shape),
        "parameters": source.parameters,
        "versions": source.versions,
        "quantization": getattr(source, "quantization", None),
    }


def _input_shape(source: Source, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The windows' shape with the source's own axes of length 1."""
    found = fitted(tuple(source.input_shape), shape)
    if found is None:
        wanted = " x ".join("any" if size is None else str(size) for size in source.input_shape)
        raise ConversionError(
            f"the model takes {wanted}, but the windows are {' x '.join(map(str, shape))}: "
            "give the front end that it was trained with"
        )
    return found


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."


def _die_with_parent(parent: int) -> None:
    """End when the parent has ended, however it did."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
