"""Which operators of an ONNX file take its time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.latency.result import OperatorTime
from edge_genre.engines.onnx_runtime import PROVIDERS

_RUNS = 50
_KERNEL = "_kernel_time"


def onnx_profile(
    content: bytes, features: Sequence[NDArray[np.float32]], *, threads: int, device: str
) -> tuple[OperatorTime, ...]:
    """Profile by ONNX Runtime, after its optimizer has merged what it can.

    Parameters
    ----------
    content : of the file
    features : an array an input, in the order of the graph
    threads, device : as in `edge_genre.engines.Engine`

    Returns
    -------
    Operators with milliseconds a run and their share of all, dearest first
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_profiling = True
    with TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(content, options, providers=[PROVIDERS[device]])
        names = [each.name for each in session.get_inputs()]
        given = dict(zip(names, features, strict=True))
        for _ in range(_RUNS):
            session.run(None, given)
        events = json.loads(Path(session.end_profiling()).read_text())
    spent: Counter[str] = Counter()
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_KERNEL):
            spent[event["args"]["op_name"]] += event["dur"]  # microseconds
    whole = sum(spent.values()) or 1
    return tuple(
        OperatorTime(name, us / _RUNS / 1e3, us / whole) for name, us in spent.most_common()
    )
