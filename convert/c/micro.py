"""TFLite Micro on this machine: how much memory a model takes there, and what it answers.

Every run is in a process of its own: an arena that is far too small ends the process, and a loop
may never end.
"""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_genre.convert.c.micro_worker import Attempt, Fit, RunWindows
from edge_genre.convert.isolation import Children, Outcome
from edge_genre.convert.tflite.flatbuffer import builtin, operators, parse, schema
from edge_genre.errors import ConversionError
from edge_genre.model.container import split

STEP = 16  # bytes: an arena begins and ends on a multiple of these
LARGEST = 16 << 20
_TIMEOUT = 60.0
# Words of operators' names whose methods of the resolver are not written as other words are.
_WORDS = {"ND": "Nd", "MATMUL": "MatMul", "CUMSUM": "CumSum", "PADV2": "PadV2", "LSTM": "LSTM"}


def smallest_arena(model: bytes, *, timeout: float = _TIMEOUT) -> int:
    """Bytes of the smallest arena that TFLite Micro runs a model in, a multiple of `STEP`.

    It is this machine's: on one with pointers of 32 bits some tables are shorter, and kernels made
    for a processor may want room of their own.

    Parameters
    ----------
    model : a TFLite file
    timeout : seconds for one run

    Raises
    ------
    ConversionError
        TFLite Micro does not run it, or is not installed.
    """
    with _prepared(model, timeout) as (children, graph):

        def fits(arena: int) -> bool:
            return _fits(children.run(Attempt(str(graph), arena)))

        outcome = children.run(Attempt(str(graph), LARGEST))
        if not _fits(outcome):
            raise _refused(_reason(outcome))
        low, high = _bracket(fits, _used(outcome))
        while high - low > STEP:
            middle = (low + high) // 2 // STEP * STEP
            low, high = (low, middle) if fits(middle) else (middle, high)
        return high


def run_micro(
    model: bytes,
    windows: NDArray[np.float32],
    *,
    arena: int = LARGEST,
    timeout: float = 10 * _TIMEOUT,
) -> NDArray[np.float32]:
    """Run a TFLite file in TFLite Micro.

    Parameters
    ----------
    windows : float32 [shape=(n, ...)], quantized here if the model takes 8 bits
    arena : bytes

    Returns
    -------
    float32 [shape=(n, n_classes)]: the model's outputs

    Raises
    ------
    ConversionError
        The arena is too small, TFLite Micro does not run the model, or is not installed.
    """
    with _prepared(model, timeout) as (children, graph):
        given, taken = graph.with_name("windows.npy"), graph.with_name("outputs.npy")
        np.save(given, windows)
        outcome = children.run(RunWindows(str(graph), arena, str(given), str(taken)))
        if _fits(outcome):
            return np.asarray(np.load(taken), np.float32)
    if arena < LARGEST:
        require_arena(arena, smallest_arena(model))
    raise _refused(_reason(outcome))


def require_arena(arena: int, needed: int) -> None:
    """Refuse an arena that is too small.

    Raises
    ------
    ConversionError
        It is; the message says how much is missing.
    """
    if arena < needed:
        raise ConversionError(
            f"the arena is too small: {arena:,} bytes, {needed:,} needed, {needed - arena:,} more: "
            "take a smaller model"
        )


def resolver_methods(model: bytes) -> list[str]:
    """Methods of `MicroMutableOpResolver` that a model needs, such as ``AddConv2D``, sorted."""
    graph, _ = split(model)
    names = {value: name for name, value in vars(schema().BuiltinOperator).items()}
    codes = {names.get(builtin(code), "CUSTOM") for code in parse(graph).operatorCodes}
    return sorted(map(resolver_method, codes))


def resolver_method(name: str) -> str:
    """The method for an operator by its name in the schema, such as ``CONV_2D``."""
    return "Add" + "".join(_word(word) for word in name.split("_"))


def require_micro(model: bytes) -> None:
    """Refuse a model that TFLite Micro is known not to run; quick, and nothing is run.

    Raises
    ------
    ConversionError
        The message says why, and what would run.
    """
    why = _known_obstacle(model)
    if why:
        raise _refused(why)


def _known_obstacle(model: bytes) -> str | None:
    graph, _ = split(model)
    parsed, types = parse(graph), schema().TensorType
    names = {value: name for name, value in vars(schema().BuiltinOperator).items()}
    codes = [names.get(builtin(code), "CUSTOM") for code in parsed.operatorCodes]
    if "CUSTOM" in codes:
        return "it has operators that are not TFLite's own"
    for subgraph in parsed.subgraphs:
        if any(tensor.type == types.FLOAT16 for tensor in subgraph.tensors):
            return "its weights are in half precision"
        for operator in operators(subgraph):
            if codes[operator.opcodeIndex] in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
                given, weights = (subgraph.tensors[index].type for index in operator.inputs[:2])
                if (given, weights) == (types.FLOAT32, types.INT8):
                    return "it has weights in 8 bits and computes in float"
    return None


def available() -> bool:
    """Whether TFLite Micro's interpreter is installed."""
    return importlib.util.find_spec("tflite_micro") is not None


@contextmanager
def _prepared(model: bytes, timeout: float) -> Iterator[tuple[Children, Path]]:
    if not available():
        raise ConversionError("running TFLite Micro needs its package: pip install tflite-micro")
    with (
        tempfile.TemporaryDirectory(prefix="edge-genre-") as folder,
        Children(Path(folder), timeout, worker="edge_genre.convert.c.micro_worker") as children,
    ):
        path = Path(folder) / "graph.tflite"
        path.write_bytes(split(model)[0])
        yield children, path


def _fits(outcome: Outcome[Fit]) -> bool:
    return outcome.found is not None and outcome.found.fits


def _used(outcome: Outcome[Fit]) -> int:
    """Bytes of the arena that it says it used, a multiple of `STEP`."""
    found = [re.search(r"allocation total (\d+) bytes", line) for line in outcome.log]
    total = max((int(each[1]) for each in found if each), default=LARGEST // 2)
    return -(-total // STEP) * STEP


def _bracket(fits: Callable[[int], bool], guess: int) -> tuple[int, int]:
    """An arena that is too small and one that is not, around a guess."""
    step = STEP
    if fits(guess):
        high = guess
        while (low := high - step) > 0 and fits(low):
            high, step = low, 2 * step
        return max(low, 0), high
    low = guess
    while (high := low + step) < LARGEST and not fits(high):
        low, step = high, 2 * step
    return low, min(high, LARGEST)


def _word(word: str) -> str:
    if word in _WORDS:
        return _WORDS[word]
    return word if word[0].isdigit() else word.capitalize()


def _refused(why: str) -> ConversionError:
    return ConversionError(
        f"TFLite Micro does not run it: {why}; make one that it runs from the source or from the "
        "fp32 ONNX file: edge-genre convert SOURCE --target micro --quantize int8 --calibrate MUSIC"
    )


def _reason(outcome: Outcome[Fit]) -> str:
    """The line of its output that says most."""
    if outcome.status == "timed out":
        return f"it did not end in {outcome.seconds:.0f} s, a loop perhaps"
    for line in outcome.log:
        if line.strip() and not line.startswith(("[", "Node ", "Traceback", "  ")):
            return re.sub(r"^\S+\.(cc|h)(:\d+)? ", "", " ".join(line.split())).rstrip(".")
    return outcome.message or "it says nothing"
