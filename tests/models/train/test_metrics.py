"""Figures of a training run: what is counted, and that files give back what was written."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge_genre.benchmarks.accuracy.evaluation import tracks_of_windows
from edge_genre.errors import DataError
from edge_genre.models.train.history import History
from edge_genre.models.train.metrics import Metrics, Recognised, recognised
from edge_genre.models.train.scores import Score, Step, score

MODELS = Path(__file__).parents[3] / "models"


def test_score_counts_windows_and_tracks() -> None:
    # The first track has one of three windows right and yet the right mean; the second is wrong.
    probabilities = np.array(
        [[0.98, 0.02], [0.45, 0.55], [0.45, 0.55], [0.6, 0.4], [0.6, 0.4], [0.4, 0.6]]
    )
    owner, labels = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1])
    tracks = tracks_of_windows(probabilities, owner, labels)
    result = score(tracks)
    assert (result.windows_correct, result.windows) == (2, 6)
    assert (result.tracks_correct, result.tracks) == (1, 2)
    assert (result.window_accuracy, result.track_accuracy) == (0.3333, 0.5)
    loss = -np.log([0.98, 0.45, 0.45, 0.4, 0.4, 0.6]).mean()
    assert result.window_loss == pytest.approx(loss, abs=1e-4)
    table = recognised(tracks, ("a", "b"))
    assert table["b"] == Recognised(tracks=1, correct=0, taken_for={"a": 1})


@pytest.mark.parametrize("name", ["songnet-gtzan", "songnet-fma", "tiny-gtzan"])
def test_metrics_that_were_released_are_written_again_byte_for_byte(
    name: str, tmp_path: Path
) -> None:
    Metrics.read(MODELS / name).write(tmp_path)
    content = (MODELS / name / "metrics.json").read_bytes()
    assert (tmp_path / "metrics.json").read_bytes() == content


def test_baselines_are_read_again(tmp_path: Path) -> None:
    values = json.loads((MODELS / "tiny-gtzan/metrics.json").read_text())
    row = Score(tracks=4, tracks_correct=1, windows=8, windows_correct=3)
    values["baselines"] = {"linear SVM": row.to_dict()}
    assert "window_loss" not in row.to_dict()
    found = Metrics.from_dict(values)
    assert found.baselines == {"linear SVM": row}
    assert found.to_dict() == Metrics.from_dict(json.loads(json.dumps(found.to_dict()))).to_dict()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"data": "GTZAN"}', "\xff"])
def test_other_files_are_no_metrics(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=r"metrics\.json: is not what edge-genre writes"):
        Metrics.read(tmp_path)


def _history(*steps: Step) -> History:
    return History({"steps": 4}, "digest", None, 1.5, steps)


def _step(number: int, right: int) -> Step:
    counts = {"tracks": 3, "tracks_correct": 1, "windows": 9, "windows_correct": right}
    return Step(step=number, train_loss=2.0, window_loss=1.2, **counts)


def test_a_history_is_read_again_and_knows_its_best_step() -> None:
    history = _history(_step(2, 5), _step(4, 7), _step(6, 7))
    assert History.from_dict(json.loads(json.dumps(history.to_dict()))) == history
    assert history.best.step == 4  # the first of equals
    assert history.until(4) == _history(_step(2, 5), _step(4, 7))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (History({"steps": 5}, "digest", None), "of another recipe"),
        (History({"steps": 4}, "other", None), "on other tracks"),
        (History({"steps": 4}, "digest", "hash"), "that began otherwise"),
        (History({"steps": 4}, "digest", None), None),
    ],
)
def test_another_run_is_told_in_words(other: History, words: str | None) -> None:
    assert _history(_step(2, 5)).difference(other) == words
