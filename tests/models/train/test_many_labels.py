"""Training for labels that do not exclude each other: from a table to files that say them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy.special import expit
from sklearn.metrics import average_precision_score, log_loss

from edge_genre import Classifier
from edge_genre.benchmarks.accuracy.evaluation import Track
from edge_genre.benchmarks.accuracy.labels_csv import read_labels
from edge_genre.errors import DataError
from edge_genre.frontend import FrontEndSpec
from edge_genre.models.data.dataset import Data
from edge_genre.models.data.grouping import grouped_split
from edge_genre.models.train.batches import training_batch
from edge_genre.models.train.metrics import LabelMetrics
from edge_genre.models.train.objectives import OBJECTIVES
from edge_genre.models.train.recipes import RECIPES
from edge_genre.models.train.scores import rank
from edge_genre.models.train.temperature import fit_temperature_of_labels, tempered_labels
from edge_genre.task import Task
from tests.support.command_line import run

RATE, SECONDS, N = 22_050, 7, 48
SPEC = FrontEndSpec.preset("songnet-gtzan")
LABELS = ("bright", "deep", "beating")
MOODS = Task(kind="multi_label", noun="mood")


def _holds(number: int) -> tuple[bool, bool, bool]:
    """Which labels a sound has: of eight sounds in turn, every combination."""
    return bool(number & 1), bool(number & 2), bool(number & 4)


def _sound(number: int) -> np.ndarray:
    """Noise, with a high tone, a low one, and a beat, if it has these labels."""
    rng = np.random.default_rng(number)
    bright, deep, beating = _holds(number)
    time = np.arange(RATE * SECONDS) / RATE
    tone = np.zeros_like(time)
    if bright:
        tone += np.sin(2 * np.pi * rng.uniform(3000, 4000) * time)
    if deep:
        tone += np.sin(2 * np.pi * rng.uniform(90, 130) * time)
    noise = rng.standard_normal(len(time))
    if beating:
        noise *= 0.1 + (time * rng.uniform(2, 3) % 1 < 0.3)
    return np.asarray(0.2 * tone + 0.05 * noise, np.float32)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "moods"
    folder.mkdir()
    for number in range(N):
        soundfile.write(folder / f"{number}.flac", _sound(number), RATE)
    return folder


@pytest.fixture(scope="module")
def table(music: Path) -> Path:
    rows = []
    for number in range(N):
        held = [label for label, holds in zip(LABELS, _holds(number), strict=True) if holds]
        rows.append(f"{number}.flac,{';'.join(held)}")
    path = music / "labels.csv"
    path.write_text("\n".join(["path,labels", *rows]) + "\n")
    return path


@pytest.fixture(autouse=True)
def _small_and_apart(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any) -> None:
    """A network that trains in seconds, and a cache that is nobody's."""
    options = {"filters": (8, 8, 8, 8), "width": 16, "gru_units": 8, "dropout": 0.0}
    quick = {"batch": 24, "momentum": 0.9, "mix": 0.1}
    monkeypatch.setitem(RECIPES, "songnet", replace(RECIPES["songnet"], options=options, **quick))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.mark.slow
def test_from_a_table_to_files_that_say_all_labels(
    music: Path, table: Path, tmp_path: Path, report: Callable[[str], None]
) -> None:
    task = ("--task", "multi-label", "--labels-csv", table, "--noun", "mood")
    steps = ("--steps", "150", "--evaluate-every", "50", "--json")
    values = json.loads(run("train", music, "-o", tmp_path, *task, *steps).stdout)
    metrics = LabelMetrics.read(tmp_path)
    assert [*metrics.genres] == sorted(LABELS)
    assert metrics.validation.macro_average_precision > 0.9
    report(f"many labels: {metrics.validation.text} after {metrics.steps} steps")
    assert {Path(path).suffix for path in values["files"]} == {".tflite", ".onnx"}
    chosen = tuple(found.threshold for found in metrics.genres.values())
    for path in values["files"]:
        classifier = Classifier.load(path)
        assert classifier.task == replace(MOODS, thresholds=chosen)
        assert classifier.labels == tuple(sorted(LABELS))
        (row,) = classifier.info.accuracy
        assert row["n"] == metrics.validation.tracks
        assert "--task multi-label --noun mood" in classifier.info.training["recipe"]
        # The file says of the same audio what it was measured to say.
        right = 0
        for number in range(N):
            song = classifier.classify_file(music / f"{number}.flac")
            held = {label for label, holds in zip(LABELS, _holds(number), strict=True) if holds}
            right += set(song.labels) == held
        assert right > 0.7 * N
        card = classifier.info.card
        assert card == (tmp_path / "README.md").read_text()
        assert "| mood | average precision | threshold |" in card
        assert "genre" not in card.replace("edge-genre", "")
    again = json.loads(
        run("evaluate", values["files"][1], music, "--labels-csv", table, "--json").stdout
    )
    assert again["macro_average_precision"]["value"] > 0.9


def test_parts_share_no_group_and_each_label_is_in_both(music: Path, table: Path) -> None:
    labels = read_labels(table, music)
    data = Data.of_labelled(labels, music, SPEC, share=0.25, seed=1)
    assert data.tracks.genres == tuple(sorted(LABELS))
    assert not set(data.tracks.groups) & set(data.held_out.groups)
    assert len(data.tracks) + len(data.held_out) == N
    assert 9 <= len(data.held_out) <= 15
    for part in (data.tracks, data.held_out):
        assert part.labels.dtype == np.bool_
        share = part.labels.mean(axis=0)
        assert (abs(share - 0.5) < 0.2).all()
        for name, row in zip(part.names, part.labels, strict=True):
            held = dict(zip(LABELS, _holds(int(Path(name).stem)), strict=True))
            assert row.tolist() == [held[label] for label in part.genres]


def test_tracks_without_labels_are_shared_out_too() -> None:
    labels = np.zeros((100, 2), bool)
    labels[:20, 0] = labels[10:30, 1] = True
    groups = np.arange(100) // 2  # two tracks each
    out = grouped_split(labels, groups, share=0.2, genres=("a", "b"))
    assert (out[::2] == out[1::2]).all()
    assert 14 <= out.sum() <= 26
    for label in labels.T:
        assert 2 <= (label & out).sum() <= 8
    assert out[30:].sum() >= 8
    with pytest.raises(DataError, match="b: all tracks are of one group"):
        grouped_split(labels, np.where(labels[:, 1], 0, groups + 1), genres=("a", "b"))


def test_targets_are_the_labels_themselves(music: Path, table: Path) -> None:
    data = Data.of_labelled(read_labels(table, music), music, SPEC, share=0.25, seed=1)
    recipe = replace(RECIPES["songnet"].asking(MOODS), mix=0.0)
    x, y = training_batch(data.tracks, recipe, 0)
    assert x.shape == (24, *SPEC.shape)
    assert set(np.unique(y)) == {0, 1}
    assert recipe.smoothing == 0
    assert "task" not in RECIPES["songnet"].to_dict()
    assert recipe.to_dict()["task"]["noun"] == "mood"
    _, mixed = training_batch(data.tracks, replace(recipe, mix=0.5), 0)
    assert ((mixed > 0) & (mixed < 1)).any()
    assert mixed.min() >= 0
    assert mixed.max() <= 1


def _tracks(n: int, seed: int) -> list[Track]:
    rng = np.random.default_rng(seed)
    tracks = []
    for number in range(n):
        truth = rng.random(3) < (0.5, 0.3, 0.1)
        logits = rng.normal(0, 2, (3, 3)) + 4 * truth - 2
        rows = expit(logits).astype(np.float32)
        tracks.append(
            Track(
                str(number),
                frozenset(np.flatnonzero(truth).tolist()),
                rows,
                task=MOODS.of_labels(("a", "b", "c")),
            )
        )
    return tracks


def test_a_step_is_measured_as_scikit_learn_does() -> None:
    tracks = _tracks(60, 0)
    found = rank(tracks)
    truth = np.array([[label in track.truth for label in range(3)] for track in tracks])
    means = np.stack([track.probabilities.mean(axis=0) for track in tracks])
    macro, micro = (average_precision_score(truth, means, average=a) for a in ("macro", "micro"))
    assert found.macro_average_precision == pytest.approx(macro, abs=1e-4)
    assert found.micro_average_precision == pytest.approx(micro, abs=1e-4)
    rows = np.concatenate([track.probabilities for track in tracks]).ravel()
    loss = log_loss(np.repeat(truth, 3, axis=0).ravel(), rows.astype(np.float64))
    assert found.window_loss == pytest.approx(loss, abs=1e-3)
    with pytest.raises(DataError, match="no label that others of them lack"):
        rank([replace(track, truth=frozenset({0})) for track in tracks])


def test_a_temperature_is_found_again() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 3))
    truth = rng.random(logits.shape) < expit(logits)
    assert fit_temperature_of_labels(expit(logits), truth) == pytest.approx(1, abs=0.1)
    overdone = expit(2.5 * logits).astype(np.float32)
    temperature = fit_temperature_of_labels(overdone, truth)
    assert temperature == pytest.approx(2.5, rel=0.1)
    np.testing.assert_allclose(tempered_labels(overdone, 2.5), expit(logits), atol=2e-3)


def test_thresholds_are_of_what_the_file_will_say() -> None:
    """They are chosen on tempered probabilities, which are what the file gives."""
    tracks = _tracks(200, 1)
    fitted = OBJECTIVES["multi_label"].fit(tracks, ("a", "b", "c"))
    genres, confidence = fitted.values["genres"], fitted.values["confidence"]
    truth = np.array([[label in track.truth for label in range(3)] for track in tracks])
    rows = [tempered_labels(track.probabilities, fitted.temperature) for track in tracks]
    said = np.stack([each.mean(axis=0) for each in rows])
    f1 = []
    for label, found in enumerate(genres.values()):
        right = (said[:, label] >= found.threshold) & truth[:, label]
        f1.append(
            2 * right.sum() / ((said[:, label] >= found.threshold).sum() + truth[:, label].sum())
        )
        assert found.f1 == pytest.approx(f1[-1], abs=1e-6)
        half = said[:, label] >= 0.5
        assert f1[-1] >= 2 * (half & truth[:, label]).sum() / (half.sum() + truth[:, label].sum())
    assert confidence.macro_f1 == pytest.approx(np.mean(f1), abs=1e-4)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([f"{n}.flac,bright" for n in range(12)], r"has one label \(bright\), expected two or"),
        (
            [f"{n}.flac,{'bright' if n % 2 else 'deep'}{';rare' * (n < 3)}" for n in range(N)],
            r"too few files have rare \(3\), expected 10 or more of each label",
        ),
        (
            [f"{n}.flac,always;{'bright' if n % 2 else 'deep'}" for n in range(N)],
            r"too few files lack always \(0\), expected 10 or more: nobody learns",
        ),
        (["nowhere.flac,bright"], "line 2: nowhere.flac is no file in"),
    ],
)
def test_tables_that_cannot_be_trained_on(
    music: Path, tmp_path: Path, rows: list[str], message: str
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,labels", *rows]) + "\n")
    with pytest.raises(DataError, match=message) as raised:
        Data.of_labelled(read_labels(table, music), music, SPEC, share=0.2, seed=0)
    assert "\n" not in str(raised.value)


def test_wrong_usage(music: Path, table: Path, tmp_path: Path, noise_corpus: Path) -> None:
    out = ("-o", tmp_path / "run")
    many = ("--task", "multi-label")
    for arguments, message in (
        ((music, *many), "needs --labels-csv"),
        ((music, "--labels-csv", table), "--labels-csv is for --task multi-label"),
        ((noise_corpus, *many, "--labels-csv", table), "--labels-csv is for a folder of audio"),
        ((music, *many, "--labels-csv", table, "--baselines"), "--baselines give one label"),
    ):
        assert message in run("train", *arguments, *out, code=2).stderr
    result = run("train", noise_corpus, *many, *out, code=1)
    assert "the data have one class for each track" in result.stderr
    five = run(
        "train", music, *many, "--labels-csv", table, "--recipe", "five-channel", *out, code=1
    )
    assert "its network has one answer, but the task is multi-label" in five.stderr
    assert not (tmp_path / "run").exists()
