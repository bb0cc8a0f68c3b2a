"""Every kind of task has its place wherever something goes by it."""

from collections.abc import Collection

import pytest

from edge_genre.benchmarks.accuracy.by_task import EVALUATIONS
from edge_genre.benchmarks.latency.accuracy import _FIGURES
from edge_genre.choices import TASKS
from edge_genre.listening.playing import _HOLDERS
from edge_genre.models.train.objectives import OBJECTIVES
from edge_genre.task import KINDS


@pytest.mark.parametrize(
    "table",
    [_HOLDERS, OBJECTIVES, EVALUATIONS, _FIGURES, [name.replace("-", "_") for name in TASKS]],
    ids=["smoothing", "training", "evaluation", "benchmark", "options"],
)
def test_a_table_has_them_all(table: Collection[str]) -> None:
    assert set(table) == set(KINDS)
