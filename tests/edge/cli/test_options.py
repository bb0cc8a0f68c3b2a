"""Options that several commands share, and wrong values of all of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge_genre import AudioFile, Classifier, FrontEnd, FrontEndSpec
from edge_genre.cli.options import read_front_ends
from tests.support import models_on_the_fly as small
from tests.support.command_line import lines, run


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", "x.wav"),
        ("inspect",),
        ("listen", "--input", "x.wav"),
    ],
)
def test_bad_model(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(bytes(1000))
    option = () if arguments == ("inspect",) else ("--model",)
    for path, message in ((broken, "no TFLite or ONNX"), (tmp_path / "none", "no such model")):
        result = run(*arguments, *option, path, code=1)
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"edge-genre: {path}: ")
        assert message in line


def test_model_from_the_environment(
    folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_GENRE_MODEL", str(model))
    (song,) = lines(run("classify", folder / "a.wav", "--json").stdout)
    assert set(song["probabilities"]) == set(small.LABELS)


def test_foreign_model_with_preset_and_labels(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "plain.onnx").write_bytes(small.onnx_graph(output="logits"))
    (tmp_path / "labels.txt").write_text("blues\njazz\nrock\n")
    (tmp_path / "spec.json").write_text(json.dumps(small.SPEC.to_dict()))
    described = ("--frontend", tmp_path / "spec.json", "--labels", tmp_path / "labels.txt")
    (song,) = lines(
        run(
            *("classify", folder / "a.wav", "--json", "--model", tmp_path / "plain.onnx"),
            *(*described, "--outputs", "logits"),
        ).stdout
    )
    (tmp_path / "whole.onnx").write_bytes(small.onnx_model())
    expected = Classifier.load(tmp_path / "whole.onnx").classify_file(folder / "a.wav")
    assert song["probabilities"] == pytest.approx(expected.probabilities, abs=1e-3)
    assert "--frontend" in run("classify", folder, "-m", tmp_path / "plain.onnx", code=1).stderr
    inspected = run("inspect", tmp_path / "plain.onnx", *described, "--json")
    assert json.loads(inspected.stdout)["self_test_deviation"] is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nothing", "preset 'nothing' is unknown"),
        ("missing.json", "cannot be read"),
        ('{"n_mel": 3}', "unknown key 'n_mel'"),
        ("[1]", "expected a JSON object"),
        ("{", "is not JSON"),
    ],
)
def test_bad_front_end(tmp_path: Path, spec: str, message: str) -> None:
    (tmp_path / "plain.onnx").write_bytes(small.onnx_graph())
    (tmp_path / "labels.txt").write_text("blues\njazz\nrock\n")
    if not spec[0].isalpha():
        (tmp_path / "spec.json").write_text(spec)
        spec = str(tmp_path / "spec.json")
    result = run(
        *("inspect", tmp_path / "plain.onnx", "--frontend", spec),
        *("--labels", tmp_path / "labels.txt"),
        code=1,
    )
    assert message in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify",),
        ("classify", "a.wav", "--hop", "0"),
        ("classify", "a.wav", "--hop", "nan"),
        ("classify", "a.wav", "--hop", "1e9"),
        ("classify", ""),
        ("classify", "a.wav", "--model", ""),
        ("classify", "a.wav", "--silence", "nan"),
        ("classify", "-", "--channels", "0"),
        ("classify", "-", "--rate", "99999999999999999999"),
        ("classify", "a.wav", "--threads", "100000"),
        ("classify", "a.wav", "--json", "--csv"),
        ("classify", "a.wav", "--threads", "0"),
        ("classify", "a.wav", "--vote", "median"),
        ("listen", "--seconds", "-1"),
        ("listen", "--input", "a.wav", "--device", "x"),
        ("nothing",),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    run(*arguments, code=2)


def test_names_too_long(model: Path) -> None:
    for arguments in (("classify", "x" * 5000, "-m", model), ("inspect", "x" * 5000)):
        assert "cannot be read" in run(*arguments, code=1).stderr


def test_front_ends_by_name(tmp_path: Path) -> None:
    spec = tmp_path / "a=b.json"
    spec.write_text(json.dumps(small.SPEC.to_dict()))
    assert read_front_ends(["mfcc-13"]) == FrontEndSpec.preset("mfcc-13")
    assert read_front_ends([str(spec)]) == small.SPEC
    named = {"log_mel": small.SPEC, "mfcc": FrontEndSpec.preset("mfcc-13")}
    assert read_front_ends([f"log_mel={spec}", "mfcc=mfcc-13"]) == named


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (("log-mel", "mfcc-13"), "log-mel"),
        (("a=log-mel", "mfcc-13"), "mfcc-13"),
        (("a=log-mel", "a=mfcc-13"), "a=mfcc-13"),
        (("=log-mel",), "=log-mel"),
    ],
)
def test_front_ends_without_names_of_their_own(texts: tuple[str, ...], named: str) -> None:
    options = (word for text in texts for word in ("--frontend", text))
    result = run("inspect", "x.onnx", *options, code=2)
    assert f"{named!r} is not NAME=SPEC with the name of another input." in result.stderr


def test_foreign_model_with_two_inputs_and_many_labels(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "plain.onnx").write_bytes(small.two_inputs_graph(many=True))
    (tmp_path / "labels.txt").write_text("blues\njazz\nrock\n")
    words: list[object] = ["--labels", tmp_path / "labels.txt", "--task", "multi-label"]
    for each in small.TWO_INPUTS:
        path = tmp_path / f"{each.name}.json"
        path.write_text(json.dumps(each.front_end.to_dict()))
        words += ["--frontend", f"{each.name}={path}"]
    answer = run("classify", folder / "a.wav", "--json", "-m", tmp_path / "plain.onnx", *words)
    (song,) = lines(answer.stdout)
    with AudioFile(folder / "a.wav") as source:
        samples = np.concatenate(list(source.blocks()))
    rate, ends = small.SPEC.sample_rate, [*range(1, 8)]
    rows = [
        small.expected(
            *(
                FrontEnd(each.front_end)(samples[(s - 1) * rate : s * rate])
                for each in small.TWO_INPUTS
            ),
            many=True,
        )
        for s in ends
    ]
    expected = dict(zip(small.LABELS, np.mean(rows, axis=0), strict=True))
    assert song["probabilities"] == pytest.approx(expected, abs=1e-3)
    assert sorted(song["labels"]) == [label for label, p in expected.items() if p >= 0.5]
