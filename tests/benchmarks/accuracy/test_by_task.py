"""Every kind of task has an evaluation, a figure in benchmarks, a table and pictures."""

import re

import numpy as np
import pytest

from edge_genre.benchmarks.accuracy.by_task import EVALUATIONS, evaluate_task
from edge_genre.benchmarks.accuracy.evaluation import Track
from edge_genre.benchmarks.accuracy.plots import plot
from edge_genre.benchmarks.latency.accuracy import accuracy_of
from edge_genre.benchmarks.report.accuracy import words_of
from edge_genre.cli.evaluation_table import headline, print_evaluation
from edge_genre.task import KINDS, Task

LABELS = (r"$\blues^$", "[jazz]")  # neither a formula nor markup


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_measured_and_shown(kind, tmp_path, capsys):
    assert EVALUATIONS.keys() == KINDS.keys()
    task = Task(kind=kind, noun="style").of_labels(LABELS)
    rows = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], np.float32)
    tracks = [
        Track(str(number), frozenset({number % 2}), row[None], task=task)
        for number, row in enumerate(rows)
    ]
    evaluation = evaluate_task(tracks, LABELS, task)
    print_evaluation(evaluation, task)
    printed = capsys.readouterr().out
    assert "style" in printed
    assert re.search(r"\[jazz\] +\S* *\d", printed)  # its row in the table
    assert "genre" not in printed
    assert 0 < headline(evaluation).share <= 1
    plot(evaluation, LABELS, task, tmp_path)
    assert [*tmp_path.glob("*.png")]
    accuracy = accuracy_of(tracks, LABELS, task, "music")
    assert words_of(accuracy).estimate(accuracy).value == pytest.approx(headline(evaluation).share)
