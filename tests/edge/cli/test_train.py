"""``edge-genre train`` and the protocols, from audio to files that classify."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_genre import Classifier
from edge_genre.models.data.dataset import Data
from edge_genre.models.train.baselines import score_baselines, statistics
from edge_genre.models.train.recipes import RECIPES
from tests.support.command_line import run

SPEC = RECIPES["songnet"].spec
RATE, SECONDS, PER_GENRE = 22_050, 8, 12
GENRES = {"hum": 110.0, "ring": 1760.0}


def _sound(frequency: float, seed: int) -> np.ndarray:
    """A tone with overtones in noise: two such genres are easily told apart."""
    rng = np.random.default_rng(seed)
    time = np.arange(RATE * SECONDS) / RATE
    pitch = frequency * 2 ** rng.uniform(-0.3, 0.3)
    tones = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 5))
    beat = 0.5 + 0.5 * (time * rng.uniform(1, 3) % 1 < 0.5)
    return np.asarray(0.2 * tones * beat + 0.02 * rng.standard_normal(len(time)), np.float32)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "two sounds"
    for genre, frequency in GENRES.items():
        (folder / genre).mkdir(parents=True)
        for seed in range(PER_GENRE):
            samples = _sound(frequency, seed + 100 * len(genre))
            soundfile.write(folder / genre / f"{seed}.flac", samples, RATE)
    return folder


@pytest.fixture(autouse=True)
def _small_and_apart(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any) -> None:
    """A network that trains in seconds, and a cache that is nobody's."""

    options = {"filters": (8, 8, 8, 8), "width": 16, "gru_units": 8}
    monkeypatch.setitem(RECIPES, "songnet", replace(RECIPES["songnet"], options=options))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def test_from_a_folder_of_audio_to_files_that_classify(music, tmp_path):
    arguments = ("train", music, "-o", tmp_path, "--steps", "60", "--evaluate-every", "30")
    values = json.loads(run(*arguments, "--baselines", "--json").stdout)
    assert values["validation"]["tracks_correct"] >= values["validation"]["tracks"] - 1
    assert values["baselines"]["linear SVM"]["tracks_correct"] == values["validation"]["tracks"]
    assert {Path(path).name for path in values["files"]} == {
        "songnet-two-sounds.tflite",
        "songnet-two-sounds.onnx",
    }
    song = tmp_path / "new.wav"
    soundfile.write(song, _sound(GENRES["ring"], 999), RATE)
    for path in values["files"]:
        classifier = Classifier.load(path)
        assert classifier.labels == ("hum", "ring")
        assert classifier.classify_file(song).label == "ring"
        assert "held out" in classifier.info.training["split"]
        units = {row["unit"]: row["n"] for row in classifier.info.accuracy}
        assert units == {key: values["validation"][f"{key}s"] for key in ("window", "track")}
        assert classifier.info.song_temperature == values["calibration"]["song_temperature"]
        text = classifier.info.card
        assert text == (tmp_path / "README.md").read_text()
        assert run("inspect", path, "--card").stdout == text
        found = values["validation"]
        assert f"{found['tracks_correct']:,} of {found['tracks']:,}" in text
        assert "## Classical classifiers on the same parts" in text
        assert "Of the weights: none given" in text


def test_parts_share_no_group(music):
    data = Data.of_folder(music, SPEC, share=0.25, seed=1)
    assert not set(data.tracks.groups) & set(data.held_out.groups)
    assert len(data.tracks) + len(data.held_out) == 2 * PER_GENRE
    assert 4 <= len(data.held_out) <= 8
    other = Data.of_folder(music, SPEC, share=0.25, seed=2)
    assert data.digest() != other.digest()
    assert data.digest() == Data.of_folder(music, SPEC, share=0.25, seed=1).digest()


def test_artists_of_a_table_stay_together(music, tmp_path):
    table = tmp_path / "artists.csv"
    rows = [f"{genre}/{seed}.flac,artist {seed % 4}" for genre in GENRES for seed in range(12)]
    table.write_text("\n".join(["file,artist", *rows]))
    data = Data.of_folder(music, SPEC, share=0.25, seed=0, metadata=table)
    sides = [{Path(name).stem for name in part.names} for part in (data.tracks, data.held_out)]
    numbers = [{int(stem) % 4 for stem in side} for side in sides]
    assert not numbers[0] & numbers[1]


@pytest.mark.slow
def test_a_run_on_other_tracks_is_not_continued(music, tmp_path):
    steps = ("--steps", "2", "--evaluate-every", "1")
    run("train", music, "-o", tmp_path, *steps)
    result = run("train", music, "-o", tmp_path, *steps, "--share", "0.4", code=1)
    assert "holds a run on other tracks" in result.stderr


def test_baselines_know_a_hum_from_a_ring(music):
    data = Data.of_folder(music, SPEC, share=0.25, seed=1)
    scores = score_baselines(data)
    assert set(scores) == {"logistic regression", "nearest neighbours", "linear SVM"}
    for score in scores.values():
        assert score.track_accuracy == 1
    windows, _ = data.held_out.windows()
    assert statistics(windows).shape == (len(windows), 5 * SPEC.n_mels)


@pytest.mark.slow
def test_protocols(music, tmp_path):
    steps = ("--steps", "30", "--json")
    crossed = json.loads(
        run("evaluate", "songnet", music, "--cross-validate", "3", "-o", tmp_path, *steps).stdout
    )
    assert crossed["tracks"] == 2 * PER_GENRE  # every one once
    leaky = json.loads(run("evaluate", "songnet", music, "--leaky", "-o", tmp_path, *steps).stdout)
    assert leaky["tracks"] < 2 * PER_GENRE * (SECONDS // 3)
    assert leaky["windows"] == leaky["tracks"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "cannot be read"),
        (lambda folder: folder.mkdir(), "no audio"),
        (lambda folder: folder.write_bytes(b"not features"), "npz"),
    ],
)
def test_data_that_cannot_be_used(make, message, tmp_path):
    make(tmp_path / "data")
    result = run("train", tmp_path / "data", "-o", tmp_path / "out", code=1)
    assert message in result.stderr
    assert not (tmp_path / "out").exists()
