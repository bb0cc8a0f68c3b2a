"""``edge-genre evaluate`` of models of many labels, from the outside."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from sklearn import metrics

from edge_genre import Classifier
from edge_genre.frontend import FrontEnd
from edge_genre.model.bundled import find_model
from edge_genre.model.file import attach, read
from edge_genre.model.self_test import signal
from edge_genre.task import Task
from tests.support import models_on_the_fly as small
from tests.support.command_line import run, terminal
from tests.support.signals import music

RATE = 22_050
MOODS = ("happy", "sad", "[slow]")
FILES = 12


def model_file(path: Path, **changes: Any) -> Path:
    """A model of three sigmoids, whose thresholds nobody chose."""
    features = FrontEnd(small.SPEC)(signal(5, n_samples=RATE, rate=RATE))
    logits = features.reshape(-1) @ small.weights(features.shape)
    probabilities = tuple((1 / (1 + np.exp(-logits))).tolist())
    values = {
        "labels": MOODS,
        "task": Task(kind="multi_label", noun="mood"),
        "output": "logits",
        "self_test": replace(small.self_test(), probabilities=probabilities),
        "card": "A card.\n",
    }
    path.write_bytes(attach(small.onnx_graph(output="logits"), small.info(**values | changes)))
    return path


@pytest.fixture(scope="module")
def shared_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_file(tmp_path_factory.mktemp("model") / "moods.onnx")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """One that a test may change."""
    return model_file(tmp_path / "moods.onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    for seed in range(FILES):
        samples = music(2 * RATE, RATE, seed=seed)
        soundfile.write(folder / f"{seed:02}.wav", samples, RATE, subtype="FLOAT")
    return folder


@pytest.fixture(scope="module")
def heard(shared_model: Path, folder: Path) -> np.ndarray:
    """The probabilities that files have [shape=(files, moods)]."""
    classifier = Classifier.load(shared_model)
    songs = [classifier.classify_file(path) for path in sorted(folder.glob("*.wav"))]
    return np.array([[*(song.probabilities or {}).values()] for song in songs], np.float32)


@pytest.fixture(scope="module")
def truth(heard: np.ndarray) -> np.ndarray:
    """A mood holds in the half of the files that sounds most like it, and in one that does not."""
    found = heard > np.median(heard, axis=0)
    found[heard.argmin(axis=0), range(3)] = True
    return found


@pytest.fixture(scope="module")
def table(folder: Path, truth: np.ndarray) -> Path:
    rows = [f"{number:02}.wav,{';'.join(np.array(MOODS)[row])}" for number, row in enumerate(truth)]
    path = folder / "moods.csv"
    path.write_text("\n".join(["path,labels", *rows]) + "\n")
    return path


def test_figures_are_scikit_learns(shared_model, folder, table, heard, truth):
    done = run("evaluate", shared_model, folder, "--labels-csv", table, "--json")
    values = json.loads(done.stdout)
    assert not done.stderr
    assert (values["tracks"], values["windows"], values["left_out"]) == (FILES, 2 * FILES, 0)
    for average in ("macro", "micro"):
        expected = metrics.average_precision_score(truth, heard, average=average)
        assert values[f"{average}_average_precision"]["value"] == pytest.approx(expected)
        expected = metrics.roc_auc_score(truth, heard, average=average)
        assert values[f"{average}_roc_auc"]["value"] == pytest.approx(expected)
        expected = metrics.f1_score(truth, heard >= 0.5, average=average)
        assert values[f"{average}_f1"]["value"] == pytest.approx(expected)
    assert [label["label"] for label in values["labels"]] == [*MOODS]


def test_both_forms_of_the_table_give_the_same(shared_model, folder, table, truth, tmp_path):
    rows = [f"{n:02}.wav,{','.join(map(str, row))}" for n, row in enumerate(truth.astype(int))]
    wide = tmp_path / "wide.csv"
    wide.write_text("\n".join([f"path,{','.join(MOODS)}", *rows]))
    first, second = (
        json.loads(run("evaluate", shared_model, folder, "--labels-csv", path, "--json").stdout)
        for path in (table, wide)
    )
    assert first == second


def test_for_people(shared_model, folder, table):
    shown = terminal("evaluate", shared_model, folder, "--labels-csv", table, columns=80)
    for words in ("macro average precision", "micro ROC AUC", "mood", "[slow]", "precision"):
        assert words in shown
    assert "genre" not in shown.replace("edge-genre", "")
    assert max(map(len, shown.splitlines())) <= 80


def test_a_picture_and_all_figures_in_a_folder(shared_model, folder, table, tmp_path):
    output = tmp_path / "out"
    done = run(
        "evaluate", shared_model, folder, "--labels-csv", table, "--json", "--output", output
    )
    assert json.loads((output / "evaluation.json").read_text()) == json.loads(done.stdout)
    assert {path.name for path in output.iterdir()} == {"evaluation.json", "precision_recall.png"}
    assert (output / "precision_recall.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_for_each_label(shared_model, folder, tmp_path):
    for number, path in enumerate(sorted(folder.glob("*.wav"))):
        place = tmp_path / ("happy", "SAD")[number % 2]
        place.mkdir(exist_ok=True)
        (place / path.name).symlink_to(path)
    values = json.loads(run("evaluate", shared_model, tmp_path, "--json").stdout)
    assert [label["tracks"] for label in values["labels"]] == [FILES // 2, FILES // 2, 0]
    assert values["without_positive"] == ["[slow]"]
    assert values["labels_measured"] == 2


def test_labels_and_files_that_do_not_count_are_named(shared_model, folder, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("path,labels\n00.wav,happy;polka\n01.wav,ska\n02.wav,polka;sad\n")
    done = run("evaluate", shared_model, folder, "--labels-csv", table, "--json")
    values = json.loads(done.stdout)
    assert values["tracks"] == 3
    assert values["unknown_labels"] == ["polka", "ska"]
    assert "has no mood polka (line 2), ska (line 3): not counted" in done.stderr
    assert "03.wav, " in done.stderr  # and others, which the table does not name
    assert "and 6 more" in done.stderr
    shown = run("evaluate", shared_model, folder, "--labels-csv", table).stdout
    assert "of no track" in shown


def features(folder: Path, model: Path, **changes: Any) -> tuple[Path, np.ndarray]:
    """A features file of twenty tracks of one window, and what the model gives them."""
    classifier, rng = Classifier.load(model), np.random.default_rng(3)
    spec = classifier.spec
    levels = rng.integers(0, 256, (20, spec.n_mels, spec.n_frames), np.uint8)
    decibels = levels.transpose(0, 2, 1).astype(np.float32) * 80 / 255 - 80
    computation = spec.computation(np.float32)
    scores = np.stack([classifier.run(computation.finish([window])) for window in decibels])
    arrays = {
        "X": levels,
        "y": (rng.random((20, 3)) < scores).astype(int),
        "genres": np.array(MOODS),
        "split": np.arange(20) % 2,
    } | changes
    path = folder / "features.npz"
    np.savez(path, **arrays)
    return path, scores


@pytest.mark.parametrize(("split", "rows"), [("all", slice(None)), (None, slice(1, None, 2))])
def test_a_features_file(model, tmp_path, split, rows):
    path, scores = features(tmp_path, model)
    options = () if split is None else ("--split", split)
    values = json.loads(run("evaluate", model, path, *options, "--json").stdout)
    with np.load(path) as file:
        truth = file["y"][rows]
    expected = metrics.average_precision_score(truth, scores[rows], average="macro")
    assert values["macro_average_precision"]["value"] == pytest.approx(expected)
    chosen = run("evaluate", model, path, *options, "--json", "--choose-thresholds").stdout
    assert json.loads(chosen)["thresholds"]["tracks"] == len(truth)
    best = [label["threshold"] for label in json.loads(chosen)["labels"]]
    assert read(model).info.task.thresholds == tuple(best)


def test_a_features_file_of_other_labels(model, tmp_path):
    path, _ = features(tmp_path, model, genres=np.array(["sad", "polka", "happy"]))
    done = run("evaluate", model, path, "--json")
    values = json.loads(done.stdout)
    assert (values["unknown_labels"], values["without_positive"]) == (["polka"], ["[slow]"])
    assert "has no mood polka: not counted" in done.stderr
    path, _ = features(tmp_path, model, genres=np.array(["x", "y", "z"]))
    assert "mood x, y, z is none of the model's" in run("evaluate", model, path, code=1).stderr
    single = tmp_path / "single.onnx"
    single.write_bytes(small.onnx_model(labels=MOODS))
    path, _ = features(tmp_path, model)
    assert "gives one genre" in run("evaluate", single, path, code=1).stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,labels\n00.wav,polka\n", "polka are no moods of the model, which are happy, sad"),
        ("path,labels\n00.wav,happy\n99.wav,sad\n", "line 3: 99.wav is no file"),
        ("path,labels\n00.wav,happy\n01.wav,happy\n", "no label that others of them lack"),
        ("file,labels\n00.wav,happy\n", "line 1: the header is"),
    ],
)
def test_tables_that_cannot_be_used(shared_model, folder, tmp_path, text, message):
    table = tmp_path / "labels.csv"
    table.write_text(text)
    done = run("evaluate", shared_model, folder, "--labels-csv", table, code=1)
    assert message in done.stderr.splitlines()[-1]


def test_chosen_thresholds_are_in_the_file_and_nothing_else_changes(model, folder, table, truth):
    model.chmod(0o640)
    before = read(model)
    done = run("evaluate", model, folder, "--labels-csv", table, "--choose-thresholds", "--json")
    values = json.loads(done.stdout)
    chosen = values["thresholds"]
    after = read(model)  # which checks the digest
    assert after.info.task.thresholds != before.info.task.thresholds
    assert replace(after.info, task=before.info.task) == before.info
    assert stat.S_IMODE(model.stat().st_mode) == 0o640
    assert {label: pair[1] for label, pair in chosen["changed"].items()} == {
        label: threshold
        for label, threshold in zip(MOODS, after.info.task.thresholds, strict=True)
        if threshold != 0.5
    }
    assert chosen["macro_f1_after"] > chosen["macro_f1_before"]
    # Six of seven are above all others, and of the seventh twelve of twelve would be given.
    assert chosen["macro_f1_after"] == pytest.approx(2 * 6 / (6 + 7))
    # The file gives the same figures, now of itself, and passes its self-test.
    again = json.loads(run("evaluate", model, folder, "--labels-csv", table, "--json").stdout)
    assert again["macro_f1"]["value"] == chosen["macro_f1_after"]
    assert again == {key: value for key, value in values.items() if key != "thresholds"}


def test_a_second_choice_changes_nothing(model, folder, table):
    arguments = ("evaluate", model, folder, "--labels-csv", table, "--choose-thresholds")
    shown = run(*arguments).stdout
    assert "of other music expect less" in shown
    content = model.read_bytes()
    assert json.loads(run(*arguments, "--json").stdout)["thresholds"]["changed"] == {}
    assert model.read_bytes() == content


def test_a_link_stays_a_link(model, folder, table, tmp_path):
    link = tmp_path / "link.onnx"
    link.symlink_to(model)
    run("evaluate", link, folder, "--labels-csv", table, "--choose-thresholds")
    assert link.is_symlink()
    assert read(model).info.task.thresholds != (0.5, 0.5, 0.5)


def test_models_whose_thresholds_cannot_be_chosen(model, folder, table, tmp_path):
    choose = (folder, "--labels-csv", table, "--choose-thresholds")
    single = tmp_path / "single.onnx"
    single.write_bytes(small.onnx_model())
    done = run("evaluate", single, *choose, code=1)
    assert "gives the most probable genre, and has no thresholds" in done.stderr
    model.chmod(0o440)
    content = model.read_bytes()
    assert "is read-only" in run("evaluate", model, *choose, code=1).stderr
    assert model.read_bytes() == content
    bundled = run("evaluate", find_model("tiny-gtzan"), *choose, code=1)
    assert "no thresholds to choose" in bundled.stderr


def test_bundled_models_stay_as_they_are(model, folder, table, monkeypatch):
    monkeypatch.setattr("edge_genre.model.bundled.bundled_models", lambda: [model])
    choose = ("--labels-csv", table, "--choose-thresholds")
    assert "comes with edge-genre" in run("evaluate", model, folder, *choose, code=1).stderr


def test_a_table_for_a_model_of_one_label(folder, tmp_path):
    single = tmp_path / "single.onnx"
    single.write_bytes(small.onnx_model())
    table = tmp_path / "genres.csv"
    table.write_text("path,labels\n00.wav,jazz\n01.wav,rock;jazz\n02.wav,\n03.wav,polka\n")
    done = run("evaluate", single, folder, "--labels-csv", table, "--json", code=1)
    assert json.loads(done.stdout)["tracks"] == 1
    assert "02.wav" in done.stderr
    assert "have not one genre of the model" in done.stderr
    assert "3 files left out" in done.stderr


def test_under_conditions(shared_model, folder, table):
    arguments = ("evaluate", shared_model, folder, "--labels-csv", table, "--robustness")
    values = json.loads(run(*arguments, "--json").stdout)
    same = values["macro_average_precision"]["value"]
    assert values["robustness"]["30 dB quieter"] == pytest.approx(same, abs=1e-3)
    assert len(values["robustness"]) == 7
    assert "macro average precision" in run(*arguments).stdout


def test_wrong_usage(model, folder, table, tmp_path):
    features = tmp_path / "features.npz"
    np.savez(features, X=np.zeros((1, 32, 40), np.uint8), y=np.zeros(1, int), genres=["happy"])
    for arguments, message in (
        ((model, features, "--labels-csv", table), "--labels-csv is for a folder of audio"),
        (
            (model, folder, "--robustness", "--choose-thresholds"),
            "--robustness and --choose-thresholds exclude each other",
        ),
        ((model, folder, "--steps", "3"), "--steps is to train a recipe"),
        ((model, folder, "--seed", "0"), "--seed is to train a recipe"),
        ((model, folder, "--metadata", table), "--metadata is to train a recipe"),
        (("songnet", folder, "--leaky", "--hop", "1"), "--hop is for a model that is there"),
        (("songnet", folder, "--leaky", "--threads", "2"), "--threads is for a model"),
        (("songnet", folder, "--leaky", "--task", "multi-label"), "--task is for a model"),
    ):
        assert message in run("evaluate", *arguments, code=2).stderr
