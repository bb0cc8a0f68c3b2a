"""One run of TFLite Micro, in a process of its own: see `edge_genre.convert.c.micro`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def attempt(*, graph: str, arena: int) -> dict[str, Any]:
    """Whether a graph runs in an arena; what it uses of it is printed."""
    interpreter = _interpreter(graph, arena)
    if interpreter is None:
        return {"fits": False}
    detail = interpreter.get_input_details(0)
    interpreter.set_input(np.zeros(detail["shape"], detail["dtype"]), 0)
    interpreter.invoke()
    interpreter.print_allocations()
    return {"fits": True}


def run(*, graph: str, arena: int, windows: str, outputs: str) -> dict[str, Any]:
    """Run a graph on windows, and save its outputs."""
    interpreter = _interpreter(graph, arena)
    if interpreter is None:
        return {"fits": False}
    source, result = interpreter.get_input_details(0), interpreter.get_output_details(0)
    rows = []
    for window in np.load(windows):
        interpreter.set_input(_quantized(window.reshape(source["shape"]), source), 0)
        interpreter.invoke()
        rows.append(_dequantized(interpreter.get_output(0), result).reshape(-1))
    np.save(outputs, np.stack(rows))
    return {"fits": True}


TASKS = {task.__name__: task for task in (attempt, run)}


def main(path: str) -> None:
    """Run one job."""
    job = json.loads(Path(path).read_text())
    values = TASKS[job["task"]](**job["arguments"])
    Path(job["result"]).write_text(json.dumps(values))


def _interpreter(graph: str, arena: int) -> Any:
    """An interpreter, or None if it cannot be made; TFLite Micro prints why."""
    from tflite_micro.python.tflite_micro import runtime

    try:
        return runtime.Interpreter.from_file(graph, arena_size=arena)
    except RuntimeError:
        return None


def _quantized(window: NDArray[np.float32], detail: dict[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(detail["dtype"])
    if dtype.kind == "f":
        return window.astype(dtype)
    scale, zero_point = _parameters(detail)
    limits = np.iinfo(dtype)
    steps = np.rint(window / np.float32(scale)) + zero_point
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def _dequantized(output: NDArray[Any], detail: dict[str, Any]) -> NDArray[np.float32]:
    if output.dtype.kind == "f":
        return output.astype(np.float32)
    scale, zero_point = _parameters(detail)
    return np.asarray((output.astype(np.float32) - zero_point) * scale, np.float32)


def _parameters(detail: dict[str, Any]) -> tuple[float, int]:
    found = detail["quantization_parameters"]
    return float(found["scales"][0]), int(found["zero_points"][0])


if __name__ == "__main__":
    main(sys.argv[1])
