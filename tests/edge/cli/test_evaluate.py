"""``edge-genre evaluate`` on audio and on features, from the outside."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_genre import Classifier
from edge_genre.model.bundled import find_model
from edge_genre.model.file import read
from tests.support import models_on_the_fly as small
from tests.support.command_line import run
from tests.support.signals import music

RATE = 22_050


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    path.write_bytes(small.onnx_model())
    return path


@pytest.fixture(scope="module")
def folder(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four songs, three of them in the folder of the genre that the model hears in them."""
    folder, classifier = tmp_path_factory.mktemp("music"), Classifier.load(model)
    for seed in range(4):
        path = folder / f"{seed}.wav"
        soundfile.write(path, music(4 * RATE, RATE, seed=seed), RATE, subtype="FLOAT")
        heard = classifier.classify_file(path).label
        other = next(label for label in small.LABELS if label != heard)
        genre = folder / (other if seed == 0 else heard.upper())
        genre.mkdir(exist_ok=True)
        path.rename(genre / path.name)
    return folder


def _features(folder: Path, classifier: Classifier, **changes: Any) -> Path:
    """Two tracks of two windows in each part, of which the model recognises the first."""
    rng, spec = np.random.default_rng(0), classifier.spec
    n = 2 * spec.n_frames + 5
    levels = rng.integers(0, 256, (4, spec.n_mels, n), np.uint8)
    labels = []
    for index, track in enumerate(levels):
        decibels = track.T.astype(np.float32) * 80 / 255 - 80
        windows = [decibels[: spec.n_frames], decibels[spec.n_frames : 2 * spec.n_frames]]
        mean = np.mean([small.expected(_normalized(window)) for window in windows], axis=0)
        labels.append((int(mean.argmax()) + index % 2) % 3)
    arrays = {
        "X": levels,
        "y": np.array(labels),
        "genres": np.array(small.LABELS),
        "split": np.array([0, 0, 1, 1]),
    }
    path = folder / "features.npz"
    changed = (arrays | changes).items()
    np.savez(path, **{name: array for name, array in changed if array is not None})
    return path


def _normalized(decibels: np.ndarray) -> np.ndarray:
    levels = np.maximum(decibels - decibels.max(), -80)
    return ((levels - levels.mean()) / (levels.std() + 1e-6)).astype(np.float32)


def test_a_folder_of_audio(model, folder, tmp_path):
    values = json.loads(run("evaluate", model, folder, "--json", "-o", tmp_path / "out").stdout)
    assert (values["tracks"], values["tracks_correct"], values["windows"]) == (4, 3, 16)
    assert values["left_out"] == 0
    low, high = (values["track_accuracy"][each] for each in ("low", "high"))
    assert low < 0.75 < high
    assert json.loads((tmp_path / "out/evaluation.json").read_text()) == values
    for name in ("confusion.png", "reliability.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_for_people(model, folder):
    printed = run("evaluate", model, folder).stdout
    assert "75.0% (30.1% to 95.4%), 3 of 4" in printed
    assert "calibration error" in printed
    assert "recall" in printed


def test_more_windows_with_a_hop(model, folder):
    values = json.loads(run("evaluate", model, folder, "--json", "--hop", "0.5").stdout)
    assert values["windows"] > 16


@pytest.mark.parametrize(
    ("split", "tracks"), [(None, 2), ("validation", 2), ("train", 2), ("all", 4)]
)
def test_a_features_file(model, tmp_path, split, tracks):
    path = _features(tmp_path, Classifier.load(model))
    options = () if split is None else ("--split", split)
    values = json.loads(run("evaluate", model, path, "--json", *options).stdout)
    assert (values["tracks"], values["windows"]) == (tracks, 2 * tracks)
    assert values["tracks_correct"] == tracks // 2


def test_a_features_file_without_parts_is_taken_whole(model, tmp_path):
    path = _features(tmp_path, Classifier.load(model), split=None)
    assert json.loads(run("evaluate", model, path, "--json").stdout)["tracks"] == 4


def test_what_cannot_be_used_is_named_and_left_out(model, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "music")
    (tmp_path / "music/rock").mkdir(exist_ok=True)
    (tmp_path / "music/rock/broken.wav").write_bytes(b"RIFF, or nearly")
    soundfile.write(tmp_path / "music/rock/silent.wav", np.zeros(RATE), RATE)
    (tmp_path / "music/polka").mkdir()
    soundfile.write(tmp_path / "music/polka/one.wav", music(RATE, RATE), RATE)
    result = run("evaluate", model, tmp_path / "music", "--json", code=1)
    assert json.loads(result.stdout)["tracks"] == 4
    for words in ("broken.wav", "silent.wav: all of it is silent", "polka/one.wav: neither"):
        assert words in result.stderr
    assert "3 files left out" in result.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": None}, "has no array X"),
        ({"X": np.zeros((4, 7, 99), np.uint8)}, "expected uint8 of shape"),
        ({"X": np.zeros((4, 32, 9), np.uint8)}, "has 9 columns"),
        ({"y": np.array([0, 1, 2])}, "a class of each track"),
        ({"y": np.array([0, 1, 2, 9])}, "y goes from 0 to 9"),
        ({"genres": np.array(["blues", "polka", "rock"])}, "genre polka is none"),
        ({"split": np.zeros(4, int)}, "holds no tracks of split 1"),
    ],
)
def test_features_that_do_not_fit(model, tmp_path, changes, message):
    path = _features(tmp_path, Classifier.load(model), **changes)
    result = run("evaluate", model, path, code=1)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_under_conditions(model, folder):
    values = json.loads(run("evaluate", model, folder, "--robustness", "--json").stdout)
    assert (values["tracks"], values["tracks_correct"]) == (4, 3)
    assert values["robustness"]["30 dB quieter"] == 3  # the front end does not hear the level
    assert len(values["robustness"]) == 7
    printed = run("evaluate", model, folder, "--robustness").stdout
    assert "room of 0.5 s" in printed
    assert "points" in printed


def test_wrong_usage(model, folder, tmp_path):
    path = _features(tmp_path, Classifier.load(model))
    assert "--split is for" in run("evaluate", model, folder, "--split", "all", code=2).stderr
    assert "--hop is for" in run("evaluate", model, path, "--hop", "1", code=2).stderr
    assert "--robustness is for" in run("evaluate", model, path, "--robustness", code=2).stderr
    wrong = ("evaluate", model, folder, "--leaky")
    assert "is no recipe" in run(*wrong, code=2).stderr
    assert "exclude each other" in run(*wrong, "--cross-validate", "3", code=2).stderr
    assert "needs --output" in run("evaluate", "songnet", folder, "--leaky", code=2).stderr
    assert "no such file" in run("evaluate", model, tmp_path / "nothing", code=1).stderr
    (tmp_path / "empty").mkdir()
    assert "holds no audio" in run("evaluate", model, tmp_path / "empty", code=1).stderr
    (tmp_path / "text.npz").write_text("no features")
    assert "neither a folder" in run("evaluate", model, tmp_path / "text.npz", code=1).stderr
    whole = _features(tmp_path, Classifier.load(model), split=None)
    assert "no array split" in run("evaluate", model, whole, "--split", "train", code=1).stderr


def test_the_card_of_the_bundled_model(corpus):
    for name in ("songnet-gtzan.tflite", "songnet-gtzan.onnx"):
        path = find_model(name)
        values = json.loads(run("evaluate", path, corpus / "gtzan_logmel.npz", "--json").stdout)
        card = {row["unit"]: row["correct"] for row in read(path).info.accuracy}
        assert values["tracks_correct"] == card["track"]
        # Features that were normalised by other sums are rounded to 8 bits another way.
        assert abs(values["windows_correct"] - card["window"]) <= 0.003 * values["windows"]
