"""What tflite-runtime 2.14 would refuse is refused here, and said before anyone copies it to a Pi.

`tests/convert/test_targets.py` asks the runtime itself.
"""

from pathlib import Path

import numpy as np
import pytest

from edge_genre.convert import convert
from edge_genre.convert.tflite.flatbuffer import pack, parse
from edge_genre.convert.tflite.writer import keras_to_tflite
from edge_genre.convert.verify.tflite_runtime import (
    require_tflite_runtime,
    unknown_to_tflite_runtime,
)
from edge_genre.errors import ConversionError

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


def test_a_file_with_a_newer_operator_is_not_kept_for_it(cnn, windows, tmp_path: Path) -> None:
    """LiteRT runs it all the same, so that only the target can refuse it."""
    model = parse(keras_to_tflite(cnn))
    (code,) = (each for each in model.operatorCodes if each.builtinCode == CONV_2D)
    code.version = 8  # LiteRT has it, and tflite-runtime ends at 7
    source, features = tmp_path / "newer.tflite", tmp_path / "windows.npy"
    source.write_bytes(pack(model))
    np.save(features, windows)
    options = {"labels": [str(n) for n in range(8)], "calibrate": features, "output": tmp_path}
    assert convert(source, **options).exit_code == 0
    report = convert(source, target="tflite-runtime", **options)
    (result,) = report.results
    assert (report.exit_code, result.status) == (1, "failed")
    assert "tflite-runtime 2.14 does not have CONV_2D version 8: " in result.message
