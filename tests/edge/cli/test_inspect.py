"""`edge-genre inspect`: what it shows of a model file."""

import json
import re
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


def test_inspect_many_labels(tmp_path: Path) -> None:
    task = {"thresholds": (0.25, 0.5, 0.75), "background": "rock", "explanations": ("attention",)}
    path = tmp_path / "tagger.onnx"
    path.write_bytes(small.tagger(**task))
    rows = [line.split(maxsplit=1) for line in run("inspect", path).stdout.splitlines()]
    shown = {row[0]: row[1].strip() for row in rows if len(row) > 1}
    assert shown["task"] == "multi label, tag"
    assert shown["thresholds"] == "blues 0.25, jazz 0.5, rock 0.75"
    assert shown["background"] == "rock"
    assert shown["explanations"] == "attention"
    values = json.loads(run("inspect", path, "--json").stdout)["task"]
    assert values == {"kind": "multi_label", "noun": "tag"} | {
        key: list(value) if isinstance(value, tuple) else value for key, value in task.items()
    }
    path.write_bytes(small.tagger())
    assert "0.5 for each" in run("inspect", path).stdout


def test_inspect_two_inputs(tmp_path: Path) -> None:
    """Each with its own front end and shape, though the graph has them the other way round."""
    path = tmp_path / "two.onnx"
    path.write_bytes(small.two_inputs_model())
    output = run("inspect", path).stdout
    assert re.search(r"input log_mel +1 s at 22050 Hz -> 1 x 22 x 32\n", output)
    assert re.search(r"input mfcc +1 s at 22050 Hz -> 1 x 22 x 13\n", output)
    assert re.search(rf"front end mfcc +kind mfcc, .*{small.MFCC.hash}", output)
    inputs = json.loads(run("inspect", path, "--json").stdout)["inputs"]
    assert [(each["name"], each["shape"]) for each in inputs] == [
        ("log_mel", [1, 22, 32]),
        ("mfcc", [1, 22, 13]),
    ]
