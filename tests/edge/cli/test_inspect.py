"""`edge-genre inspect`: what it shows of a model file."""

import json
from pathlib import Path

from edge_genre.model.file import write
from tests.support import models_on_the_fly as small
from tests.support.command_line import run


def test_inspect_without_a_front_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.onnx"
    info = small.info(front_end=None, provenance={"source": "rows.h5", "versions": {"keras": "3"}})
    write(path, small.onnx_graph(), info)
    output = run("inspect", path).stdout
    assert "versions: keras 3" in output
    values = json.loads(run("inspect", path, "--json").stdout)
    assert (values["front_end"], values["labels"]) == (None, list(small.LABELS))
    message = run("classify", "song.wav", "-m", path, code=1).stderr
    assert "no audio front end" in message


def test_inspect(model: Path) -> None:
    output = run("inspect", "songnet-gtzan").stdout
    for text in ("songnet-gtzan", "hash", "passed", "blues, classical", "mean_variance"):
        assert text in output
    assert not [line for line in output.splitlines() if line != line.rstrip()]
    values = json.loads(run("inspect", model, "--json").stdout)
    assert values["kind"] == "onnx"
    assert values["input_shape"] == [1, 22, 32]
    assert values["self_test_deviation"] < 1e-3
    assert values["front_end_hash"] == small.SPEC.hash
