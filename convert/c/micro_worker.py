"""One run of TFLite Micro, in a process of its own: see `edge_genre.convert.c.micro`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_genre.convert.isolation import Step, answer
from edge_genre.engines.quantization import dequantize, quantize
from edge_genre.host.record import Record


@dataclass(frozen=True)
class Fit(Record):
    """Whether a graph fits into an arena."""

    fits: bool


@dataclass(frozen=True)
class Attempt(Step[Fit]):
    """Run a ``graph`` once in an ``arena`` of so many bytes; what it uses of it is printed."""

    result = Fit

    graph: str
    arena: int


@dataclass(frozen=True)
class RunWindows(Step[Fit]):
    """Run a ``graph`` on ``windows`` in an ``arena``, and save its ``outputs``."""

    result = Fit

    graph: str
    arena: int
    windows: str
    outputs: str


def attempt(step: Attempt) -> Fit:
    interpreter = _interpreter(step.graph, step.arena)
    if interpreter is None:
        return Fit(fits=False)
    detail = interpreter.get_input_details(0)
    interpreter.set_input(np.zeros(detail["shape"], detail["dtype"]), 0)
    interpreter.invoke()
    interpreter.print_allocations()
    return Fit(fits=True)


def run_windows(step: RunWindows) -> Fit:
    interpreter = _interpreter(step.graph, step.arena)
    if interpreter is None:
        return Fit(fits=False)
    source, result = interpreter.get_input_details(0), interpreter.get_output_details(0)
    rows = []
    for window in np.load(step.windows):
        values = window.reshape(source["shape"])
        interpreter.set_input(quantize(values, source["dtype"], *_parameters(source)), 0)
        interpreter.invoke()
        rows.append(dequantize(interpreter.get_output(0), *_parameters(result)).reshape(-1))
    np.save(step.outputs, np.stack(rows))
    return Fit(fits=True)


def _interpreter(graph: str, arena: int) -> Any:
    """An interpreter, or None if it cannot be made; TFLite Micro prints why."""
    from tflite_micro.python.tflite_micro import runtime

    try:
        return runtime.Interpreter.from_file(graph, arena_size=arena)
    except RuntimeError:
        return None


def _parameters(detail: dict[str, Any]) -> tuple[float, int]:
    """Scale and zero point; 1 and 0 of a tensor of floats, which has none."""
    found = detail["quantization_parameters"]
    if not len(found["scales"]):
        return 1.0, 0
    return float(found["scales"][0]), int(found["zero_points"][0])


if __name__ == "__main__":
    answer(sys.argv[1], {Attempt: attempt, RunWindows: run_windows})
