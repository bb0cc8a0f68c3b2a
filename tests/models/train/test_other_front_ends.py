"""Recipes with other front ends than their own: what was trained on is what the device hears."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import soundfile

from edge_genre import Classifier
from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import resampled
from edge_genre.demo.compose import RATE, compose
from edge_genre.errors import DataError, SpecError
from edge_genre.frontend import PRESETS, FrontEnd, FrontEndSpec
from edge_genre.models.data.dataset import Data
from edge_genre.models.train.recipes import RECIPES, Recipe
from tests.support.command_line import run

SMALL = {"filters": (4, 8, 8, 8), "width": 16, "gru_units": 8, "dropout": 0.0}
SECONDS = 31


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Composed music at twenty speeds, each a recording of its own; half of it without basses."""
    folder = tmp_path_factory.mktemp("data") / "composed"
    pieces = [compose(seed).mean(axis=1) for seed in (1, 2)]
    for number in range(20):
        genre = ("full", "thin")[number % 2]
        (folder / genre).mkdir(parents=True, exist_ok=True)
        piece, speed = pieces[number // 2 % 2], 0.7 + 0.03 * number
        places = np.arange(SECONDS * RATE) * speed
        samples = np.interp(places, np.arange(2 * len(piece)), np.tile(piece, 2), period=len(piece))
        if genre == "thin":
            samples = np.diff(samples, 2)
        soundfile.write(folder / genre / f"{number}.flac", 0.5 * samples[::2], RATE // 2)
    return folder


@pytest.fixture(autouse=True)
def _small_and_apart(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any) -> None:
    """A small network in floats, which say the same as it does, and a cache that is nobody's."""
    quick = {"batch": 12, "mix": 0.0, "smoothing": 0.0, "momentum": 0.9}
    monkeypatch.setitem(RECIPES, "songnet", replace(RECIPES["songnet"], options=SMALL, **quick))
    forms = {"tflite": ("fp32",), "onnx": ("fp32",)}
    monkeypatch.setattr(Recipe, "formats", property(lambda recipe: forms))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["songnet", "log-mel", "mfcc-13"])
def test_files_hear_what_training_saw(
    name: str, music: Path, tmp_path: Path, report: Callable[[str], None]
) -> None:
    steps = ("--steps", "20", "--evaluate-every", "20", "--json")
    values = json.loads(run("train", music, "-o", tmp_path, "--frontend", name, *steps).stdout)
    spec = PRESETS[name]
    data = Data.of_folder(music, spec, share=0.2, seed=0)
    network = keras.models.load_model(tmp_path / "model.keras")
    classifiers = [Classifier.load(path) for path in values["files"]]
    assert {Path(path).suffix for path in values["files"]} == {".tflite", ".onnx"}
    worst, compared, said = 0.0, 0, []
    for part in (data.tracks, data.held_out):
        seen, owner = part.windows()
        answers = network.predict(seen, verbose=0)
        for number, path in enumerate(part.names):
            with AudioFile(path) as source:
                samples = resampled(source, spec.sample_rate)
            size, windows = spec.window_samples, seen[owner == number]
            heard = np.stack(
                [FrontEnd(spec)(samples[k * size : (k + 1) * size]) for k in range(len(windows))]
            )
            scale = max(1, np.abs(heard).max())
            worst = max(worst, np.abs(heard - windows).max() / scale)
            for classifier in classifiers:
                assert classifier.spec == spec
                song = classifier.classify_file(path)
                for window, answer in zip(song.windows, answers[owner == number], strict=False):
                    assert window.label == classifier.labels[answer.argmax()]
                    found = [*(window.probabilities or {}).values()]
                    np.testing.assert_allclose(found, answer, atol=1e-4)
                    compared += 1
        said.append(answers)
    report(f"{name}: {compared} windows' genres equal, features within {worst:.1e} of the largest")
    assert worst < 1e-5
    assert np.ptp(np.concatenate(said)[:, 0]) > 1e-3  # ten times what files may differ by
    recipe = json.loads((tmp_path / "metrics.json").read_text())["recipe"]
    assert recipe["front_end"] == name
    assert f"--frontend {name}" in classifiers[0].info.training["recipe"]


def test_a_spec_of_ones_own() -> None:
    spec = FrontEndSpec(hop_length=300, n_mels=64)
    recipe = RECIPES["songnet-30s"].hearing(spec)
    assert recipe.spec == spec
    assert recipe.to_dict()["front_end"] == spec.to_dict()
    assert json.loads(json.dumps(recipe.to_dict())) == recipe.to_dict()
    # Half a window is trained on at once; masks hide the same shares of it.
    assert recipe.crop == round(64 * spec.n_frames / 128)
    assert recipe.augmentation.mask_frames == round(8 * spec.n_frames / 128)
    assert recipe.augmentation.mask_bands == 8
    assert RECIPES["songnet"].hearing("songnet-gtzan") == RECIPES["songnet"]


@pytest.mark.parametrize(
    ("recipe", "front_end", "message"),
    [
        (
            "songnet",
            "five-channel",
            "takes frames of log-mel, MFCC or PCEN, .* five_channel of shape",
        ),
        ("tiny", "three-channel", r"gives mfcc_deltas of shape \(40, 130, 3\): choose another"),
        ("five-channel", "log-mel", r"takes stacks of shape \(5, 40, 130\), .*, but the"),
    ],
)
def test_features_that_a_network_cannot_take(recipe: str, front_end: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        RECIPES[recipe].hearing(front_end)


def test_a_preset_that_is_none() -> None:
    with pytest.raises(SpecError, match="'smell' is unknown"):
        RECIPES["songnet"].hearing("smell")


def test_a_features_file_of_other_frames_is_refused(noise_corpus: Path, tmp_path: Path) -> None:
    """Its shape would fit: as many bands, and more columns than a window has frames."""
    with np.load(noise_corpus) as file:
        arrays = dict(file)
    path = tmp_path / "features.npz"
    np.savez(path, **arrays | {"X": np.tile(arrays["X"], 2)})
    result = run("train", path, "-o", tmp_path / "run", "--frontend", "log-mel", code=1)
    assert "holds frames of hop_length 1711, but the front end's are of hop_length 512" in (
        result.stderr
    )
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
    del arrays["front_end"]
    np.savez(path, **arrays)
    result = run("train", path, "-o", tmp_path / "run", code=1)
    assert "does not say whose frames it holds" in result.stderr
