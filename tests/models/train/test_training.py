"""The training loop: interruption, what a run is blind to, what it begins with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge_genre.benchmarks.accuracy.features_file import TRAIN
from edge_genre.cli import main
from edge_genre.models import fma
from edge_genre.models.publish import model_files
from edge_genre.models.train import training
from edge_genre.models.train.keras_trainer import KerasTrainer
from edge_genre.models.train.recipes import RECIPES, Recipe

N_FRAMES, N_MELS = 39, 128
SMALL = {"filters": (4, 4, 4, 4), "width": 8, "gru_units": 8}


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[..., Result]]:
    """The training command for four steps of a network small enough for a test."""

    def command(corpus: Path, output: Path, *options: str) -> Result:
        arguments = ["train", str(corpus), "--output", str(output)]
        steps = ["--steps", "4", "--evaluate-every", "2"]
        return CliRunner().invoke(main, [*arguments, *steps, *options])

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "songnet", replace(RECIPES["songnet"], options=SMALL, batch=8))
        # What becomes of a trained network is another test's.
        patch.setattr(model_files, "write_model_files", lambda *_, **__: [])
        yield command


@pytest.fixture(scope="module")
def whole(
    noise_corpus: Path, run: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The output folder of a run that nothing interrupted."""
    output = tmp_path_factory.mktemp("runs") / "whole"
    result = run(noise_corpus, output)
    assert result.exit_code == 0, result.output
    return output


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_interrupted_run_goes_on_and_agrees_with_an_unbroken_one(
    noise_corpus: Path, whole: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    def interrupted(*arguments: Any) -> Iterator[Any]:
        yield from islice(all_batches(*arguments), 3)
        raise KeyboardInterrupt

    all_batches = training.training_batches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "training_batches", interrupted)
        assert run(noise_corpus, tmp_path).exit_code == 130
    assert not (tmp_path / "metrics.json").exists()
    assert run(noise_corpus, tmp_path).exit_code == 0

    metrics, unbroken = read(tmp_path / "metrics.json"), read(whole / "metrics.json")
    assert metrics["validation"] == pytest.approx(unbroken["validation"], abs=1e-3)
    assert metrics["chosen_step"] == unbroken["chosen_step"]
    assert metrics["training_tracks"] == 7
    assert (metrics["validation"]["tracks"], metrics["validation"]["windows"]) == (3, 6)
    assert [row["step"] for row in read(tmp_path / "history.json")["history"]] == [2, 4]
    assert (tmp_path / "history.png").stat().st_size > 1000
    model = keras.models.load_model(tmp_path / "model.keras")
    assert model.output_shape == (None, 3)


def test_run_of_another_recipe_is_not_continued(
    noise_corpus: Path, whole: Path, run: Callable[..., Result]
) -> None:
    result = run(noise_corpus, whole, "--seed", "1")
    assert result.exit_code == 1
    assert "another recipe" in result.output


def test_a_label_that_no_file_can_have_is_refused_before_training(
    noise_corpus: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    with np.load(noise_corpus) as file:
        arrays = dict(file)
    arrays["genres"] = np.array(["silence", *arrays["genres"][1:]])
    np.savez(tmp_path / "silent.npz", **arrays)
    result = run(tmp_path / "silent.npz", tmp_path / "run")
    assert result.exit_code == 1
    assert "labels must be distinct, not empty and not 'silence', found" in result.output
    assert not (tmp_path / "run").exists()


def test_training_is_blind_to_all_but_the_training_split(
    noise_corpus: Path, whole: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    with np.load(noise_corpus) as file:
        arrays = dict(file)
    arrays["X"] = np.where((arrays["split"] == TRAIN)[:, None, None], arrays["X"], 0)
    np.savez(tmp_path / "blinded.npz", **arrays)
    assert run(tmp_path / "blinded.npz", tmp_path / "run").exit_code == 0
    losses, unblinded = (
        [row["train_loss"] for row in read(output / "history.json")["history"]]
        for output in (tmp_path / "run", whole)
    )
    assert losses == pytest.approx(unblinded, abs=1e-3)


@pytest.fixture(scope="module")
def pretrained(
    run: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result]:
    """A run on FMA's format, with embeddings to learn."""
    folder = tmp_path_factory.mktemp("fma")
    rng = np.random.default_rng(4)
    np.savez(
        folder / "fma.npz",
        X=rng.integers(0, 64, (12, N_MELS, 40)).astype(np.uint8),
        y=np.arange(12) % 8,
        track_id=np.arange(12),
        split=np.array([0] * 9 + [1] * 3),
        genres=np.array([f"genre {i}" for i in range(8)]),
    )
    np.savez(folder / "vggish.npz", embedding=rng.integers(0, 256, (12, 128)).astype(np.float16))
    names = [str(folder / name) for name in ("fma.npz", "moved.npz")]
    moved = CliRunner().invoke(fma.main, names)
    assert "12 tracks of 118 columns" in moved.output
    learned = ("--embeddings", str(folder / "vggish.npz"))
    return folder / "run", run(folder / "moved.npz", folder / "run", *learned)


def test_a_network_that_learned_embeddings_is_begun_with(
    noise_corpus: Path, pretrained: tuple[Path, Result], tmp_path: Path, run: Callable[..., Result]
) -> None:
    folder, result = pretrained
    assert result.exit_code == 0, result.output
    started = keras.models.load_model(folder / "best.keras")
    assert started.output_shape == (None, 8)  # the head for embeddings is not saved
    result = run(noise_corpus, tmp_path / "run", "--initial", str(folder / "best.keras"))
    assert result.exit_code == 0, result.output
    assert read(tmp_path / "run/metrics.json")["initial"]["file"] == "best.keras"
    other = run(noise_corpus, tmp_path / "run")
    assert "holds a run that began otherwise" in other.output
    recipe = Recipe(steps=4, options=SMALL)
    trainer = KerasTrainer(recipe, 3, initial=folder / "best.keras")
    for layer in trainer.model.layers[:-1]:
        for adopted, source in zip(
            layer.get_weights(), started.get_layer(layer.name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(adopted, source)


def test_a_network_of_another_shape_is_refused(
    noise_corpus: Path, pretrained: tuple[Path, Result], tmp_path: Path, run: Callable[..., Result]
) -> None:
    other = RECIPES["songnet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "songnet", replace(other, options={**SMALL, "gru_units": 4}))
        result = run(noise_corpus, tmp_path, "--initial", str(pretrained[0] / "best.keras"))
    assert result.exit_code == 1
    assert "no Keras network of the same shape" in result.output


def test_embeddings_that_do_not_fit_are_refused(
    noise_corpus: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    np.savez(tmp_path / "few.npz", embedding=np.zeros((5, 4), np.float16))
    result = run(noise_corpus, tmp_path / "run", "--embeddings", str(tmp_path / "few.npz"))
    assert "does not fit the embeddings, which are of 5 tracks" in result.output
    np.savez(tmp_path / "none.npz", embedding=np.zeros(5))
    result = run(noise_corpus, tmp_path / "run", "--embeddings", str(tmp_path / "none.npz"))
    assert "has 0 arrays of two dimensions" in result.output
    assert not (tmp_path / "run").exists()


def test_training_on_crops_reads_whole_windows(tmp_path: Path) -> None:
    recipe = Recipe(options=SMALL, crop=20, steps=2)
    trainer = KerasTrainer(recipe, 3, n_embedded=5)
    rng = np.random.default_rng(0)
    y = np.hstack([np.eye(3)[[0, 1]], rng.normal(size=(2, 5))]).astype(np.float32)
    trainer.step(rng.normal(size=(2, 20, N_MELS)).astype(np.float32), y)
    windows = rng.normal(size=(4, N_FRAMES, N_MELS)).astype(np.float32)
    said = trainer.predict(windows)
    assert said.shape == (4, 3)
    trainer.save(tmp_path / "plain.keras")
    trainer.save(tmp_path / "sharp.keras", temperature=0.5)
    plain, sharp = (
        keras.models.load_model(tmp_path / f"{name}.keras").predict(windows, verbose=0)
        for name in ("plain", "sharp")
    )
    np.testing.assert_allclose(plain, said, atol=1e-5)
    squared = said**2 / (said**2).sum(1, keepdims=True)
    np.testing.assert_allclose(sharp, squared, atol=1e-5)
