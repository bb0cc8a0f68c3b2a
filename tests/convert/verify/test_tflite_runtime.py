"""What tflite-runtime 2.14 would refuse is refused here, and said before anyone copies it to a Pi.

`tests/convert/test_targets.py` asks the runtime itself.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_genre.convert.steps import RunGraph
from edge_genre.convert.tensors import save
from edge_genre.convert.tflite.flatbuffer import pack, parse
from edge_genre.convert.tflite.writer import keras_to_tflite
from edge_genre.convert.verify.tflite_runtime import (
    require_tflite_runtime,
    unknown_to_tflite_runtime,
)
from edge_genre.convert.worker import run_graph
from edge_genre.errors import ConversionError
from edge_genre.task import GENRES

CONV_2D = 3


def test_what_the_old_runtime_does_not_know(cnn) -> None:
    content = keras_to_tflite(cnn, target="tflite-runtime")
    assert unknown_to_tflite_runtime(content) == []
    require_tflite_runtime(content)
    model = parse(content)
    newer = next(code for code in model.operatorCodes if code.builtinCode == CONV_2D)
    newer.version = 99
    assert unknown_to_tflite_runtime(pack(model)) == ["CONV_2D version 99"]
    with pytest.raises(ConversionError, match=r"2\.14 does not have CONV_2D version 99: "):
        require_tflite_runtime(pack(model))


@pytest.mark.parametrize("version", [7, 8])
def test_a_conversion_for_it_refuses_what_it_does_not_have(
    version: int, cnn, windows, run_tflite, tmp_path: Path
) -> None:
    """LiteRT runs version 8 all the same, so that only the target can refuse it."""
    model = parse(keras_to_tflite(cnn))
    (code,) = (each for each in model.operatorCodes if each.builtinCode == CONV_2D)
    code.version = version  # tflite-runtime ends at 7
    graph, features = tmp_path / "graph.tflite", tmp_path / "windows.npz"
    graph.write_bytes(pack(model))
    outputs = tmp_path / "outputs.npy"
    step = RunGraph(
        graph=str(graph),
        suffix="tflite",
        target="litert",
        output="probabilities",
        task=GENRES,
        names=("features",),
        windows=save(features, [windows]),
        outputs=str(outputs),
    )
    assert run_graph(step).graph.versions["CONV_2D"] == version
    expected = run_tflite(graph.read_bytes(), windows)
    np.testing.assert_allclose(np.load(outputs), expected, atol=1e-6)
    old = replace(step, target="tflite-runtime")
    if version <= 7:
        run_graph(old)
    else:
        with pytest.raises(ConversionError, match="does not have CONV_2D version 8: "):
            run_graph(old)
