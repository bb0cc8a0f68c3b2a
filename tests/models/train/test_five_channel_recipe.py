"""The five-channel recipe: from a folder of audio to files, its augmentation, its checkpoints."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.requirements import require_package

torch = require_package("torch")

from edge_genre import Classifier  # noqa: E402
from edge_genre.errors import DataError  # noqa: E402
from edge_genre.frontend import FrontEnd  # noqa: E402
from edge_genre.models.train.cepstral_augment import CepstralAugmentation  # noqa: E402
from edge_genre.models.train.recipes import RECIPES  # noqa: E402
from edge_genre.models.train.torch_trainer import TorchTrainer  # noqa: E402
from tests.support.command_line import run  # noqa: E402
from tests.support.tracks import tracks_of_windows  # noqa: E402

RECIPE = replace(RECIPES["five-channel"], steps=6)
RATE, SECONDS = 22_050, 7


def _sound(frequency: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(RATE * SECONDS) / RATE
    tone = np.sin(2 * np.pi * frequency * 2 ** rng.uniform(-0.3, 0.3) * time)
    beat = time * rng.uniform(1, 3) % 1 < 0.5
    return np.asarray(0.3 * tone * beat + 0.02 * rng.standard_normal(len(time)), np.float32)


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for genre, frequency in {"hum": 110.0, "ring": 1760.0}.items():
        (tmp_path / "music" / genre).mkdir(parents=True)
        for seed in range(10):
            path = tmp_path / "music" / genre / f"{seed}.flac"
            soundfile.write(path, _sound(frequency, seed + 50 * len(genre)), RATE)
    return tmp_path / "music"


@pytest.mark.slow
def test_from_a_folder_of_audio_to_files_that_classify(music, tmp_path):
    output = tmp_path / "run"
    steps = ("--steps", "60", "--evaluate-every", "30", "--json", "--baselines")
    values = json.loads(
        run("train", music, "-o", output, "--recipe", "five-channel", *steps).stdout
    )
    assert values["validation"]["tracks_correct"] == values["validation"]["tracks"]
    assert values["validation"]["windows"] == 2 * values["validation"]["tracks"]
    assert values["baselines"]["linear SVM"]["track_accuracy"] > 0.5
    assert {Path(path).suffix for path in values["files"]} == {".tflite", ".onnx"}
    song = tmp_path / "new.wav"
    soundfile.write(song, _sound(1760.0, 999), RATE)
    for path in values["files"]:
        classifier = Classifier.load(path)
        assert classifier.spec.kind == "five_channel"
        assert classifier.classify_file(song).label == "ring"
    assert "edge-genre train --recipe five-channel" in (output / "README.md").read_text()


def test_a_features_file_is_refused(tmp_path):
    features = tmp_path / "features.npz"
    features.write_bytes(b"")
    result = run("train", features, "-o", tmp_path / "run", "--recipe", "five-channel", code=1)
    assert "nor an npz file of features" in result.stderr


def test_a_gain_moves_what_it_moves_in_audio():
    """Augmented features are those of louder audio, where nothing is masked."""
    rng = np.random.default_rng(3)
    # Loud in all bands, so that neither amin nor top_db cuts anything off.
    samples = rng.normal(0, 0.05, RECIPE.spec.window_samples).astype(np.float32)
    front_end = FrontEnd(RECIPE.spec)
    plain, louder = front_end(samples).copy(), front_end(2 * samples).copy()
    tracks = tracks_of_windows(plain[None], RECIPE.spec)

    class Fixed(np.random.Generator):
        def uniform(self, low, high, size):
            return np.full(size, 20 * np.log10(2))

    fixed = Fixed(np.random.PCG64(0))
    got = CepstralAugmentation(mask_frames=0).windows(tracks, np.array([0]), 1, fixed)
    np.testing.assert_allclose(got[0], louder, atol=2e-3)
    assert np.array_equal(tracks.sounds[0].windows[0], plain)


def test_masks_hide_frames_of_all_channels():
    frames = np.random.default_rng(0).normal(size=(4, 5, 40, 130)).astype(np.float32)
    tracks = tracks_of_windows(frames, RECIPE.spec)
    got = CepstralAugmentation(gain_db=0).windows(tracks, np.arange(4), 1, np.random.default_rng(0))
    changed = (got != frames).any((1, 2))
    assert 0 < changed.sum(1).max() <= 20
    assert ((got != frames).all((1, 2)) == changed).all()


def test_an_interrupted_run_is_an_unbroken_one(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 8, 5, 40, 130)).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[rng.integers(0, 3, (6, 8))]
    whole, first = (TorchTrainer(RECIPE, 3) for _ in range(2))
    for step in range(6):
        whole.step(x[step], y[step])
    for step in range(3):
        first.step(x[step], y[step])
    first.keep(tmp_path)
    second = TorchTrainer(replace(RECIPE, seed=5), 3)
    second._recipe = RECIPE
    assert second.resume(tmp_path)
    assert second.steps == 3
    for step in range(3, 6):
        second.step(x[step], y[step])
    np.testing.assert_allclose(second.predict(x[0]), whole.predict(x[0]), atol=1e-5)
    assert not TorchTrainer(RECIPE, 3).resume(tmp_path / "nothing")


def test_saved_networks(tmp_path):
    trainer = TorchTrainer(RECIPE, 3)
    windows = np.random.default_rng(0).normal(size=(4, 5, 40, 130)).astype(np.float32)
    said = trainer.predict(windows)
    trainer.save(tmp_path / "sharp.ckpt", temperature=0.5)
    trainer.load(tmp_path / "sharp.ckpt")
    squared = said**2 / (said**2).sum(1, keepdims=True)
    np.testing.assert_allclose(trainer.predict(windows), squared, atol=1e-5)
    begun = TorchTrainer(replace(RECIPE, seed=9), 4, initial=tmp_path / "sharp.ckpt")
    assert torch.equal(begun.model.fc1.weight, trainer.average.fc1.weight)
    (tmp_path / "other.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match="no checkpoint of the five-channel CNN"):
        TorchTrainer(RECIPE, 3, initial=tmp_path / "other.ckpt")
