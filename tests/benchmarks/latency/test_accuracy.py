"""Accuracy in a benchmark, of both kinds of tasks."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn import metrics

from edge_genre import Classifier
from edge_genre.benchmarks.accuracy.evaluation import Track
from edge_genre.benchmarks.latency.accuracy import accuracy_of
from edge_genre.benchmarks.latency.result import Accuracy, LabelAccuracy
from edge_genre.demo import clip
from edge_genre.model.file import attach
from edge_genre.task import GENRES, Task
from tests.support import models_on_the_fly as small
from tests.support.command_line import run
from tests.support.signals import music

RATE = 22_050
MOODS = Task(kind="multi_label", noun="mood", thresholds=(0.5, 0.5, 0.5))


def test_by_task():
    rng = np.random.default_rng(0)
    scores, truth = rng.random((30, 3)).astype(np.float32), rng.integers(3, size=30)
    tracks = [
        Track(str(n), frozenset({int(label)}), row[None])
        for n, (row, label) in enumerate(zip(scores, truth, strict=True))
    ]
    right = accuracy_of(tracks, small.LABELS, GENRES, "music")
    assert isinstance(right, Accuracy)
    assert right.tracks_correct == (scores.argmax(axis=1) == truth).sum()
    ranked = accuracy_of(tracks, small.LABELS, MOODS, "music")
    assert isinstance(ranked, LabelAccuracy)
    expected = metrics.average_precision_score(np.eye(3)[truth], scores, average="macro")
    assert ranked.average_precision == pytest.approx(expected)
    assert (ranked.tracks, ranked.labels, ranked.data) == (30, 3, "music")


def test_a_benchmark_of_a_model_of_many_labels(tmp_path: Path):
    """In its own process, beside the fp32 file of its name, as a table and as a page."""
    for name, weights in (("moods.onnx", "fp16"), ("moods.fp32.onnx", "fp32")):
        described = small.info(task=MOODS, output="logits", quantization=weights)
        (tmp_path / name).write_bytes(attach(small.onnx_graph(output="logits"), described))
    model, data = tmp_path / "moods.onnx", tmp_path / "music"
    for seed in range(6):
        path = data / small.LABELS[seed % 3] / f"{seed}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, music(2 * RATE, RATE, seed=seed), RATE, subtype="FLOAT")
    figures, page = tmp_path / "figures.json", tmp_path / "page.html"
    arguments = ("--seconds", "0.05", "--corpus", data, "--report", page, "--json")
    printed = run("benchmark", model, *arguments).stdout
    figures.write_text(printed)
    (found,) = json.loads(printed)["runs"]
    evaluated = json.loads(run("evaluate", model, data, "--json").stdout)
    accuracy, precision = found["accuracy"], evaluated["macro_average_precision"]
    assert accuracy["average_precision"] == pytest.approx(precision["value"])
    assert (accuracy["low"], accuracy["high"]) == (precision["low"], precision["high"])
    # The same graph gives each window the same labels.
    assert accuracy["agreement"] == {"with": "moods.fp32.onnx", "windows": 12, "same": 12}
    assert found["noun"] == "mood"
    assert found["result"]["labels"] == [*Classifier.load(model).classify_file(clip()).labels]
    for text in (run("benchmark", "--from", figures).stdout, page.read_text()):
        assert "average precision" in text
        assert "first mood" in text
        assert "genre" not in text.replace("edge-genre", "")
    assert json.loads(run("benchmark", "--from", figures, "--json").stdout) == json.loads(printed)
    # Of a table any number of labels a file.
    table = tmp_path / "labels.csv"
    table.write_text("path,labels\nblues/0.wav,blues;rock\njazz/1.wav,rock\nrock/2.wav,\n")
    listed = ("--labels-csv", table)
    found = json.loads(
        run("benchmark", model, "--seconds", "0.05", "--corpus", data, *listed, "--json").stdout
    )["runs"][0]["accuracy"]
    evaluated = json.loads(run("evaluate", model, data, *listed, "--json").stdout)
    assert (found["tracks"], found["labels"]) == (3, 2)
    precision = evaluated["macro_average_precision"]["value"]
    assert found["average_precision"] == pytest.approx(precision)
    assert "is for --corpus" in run("benchmark", model, *listed, code=2).stderr
