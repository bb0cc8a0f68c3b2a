"""The training loop: parts, batches, scores, interruption, what a run begins with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training needs the train extra")
pytest.importorskip("tensorflow", reason="training needs the train extra")
pytest.importorskip("matplotlib", reason="the history plot needs the dev extra")

from click.testing import CliRunner, Result  # noqa: E402

from edge_genre.cli import main  # noqa: E402
from edge_genre.models import fma  # noqa: E402
from edge_genre.models.data.corpus import TRAIN, VALIDATION, Tracks, features  # noqa: E402
from edge_genre.models.publish import model_files  # noqa: E402
from edge_genre.models.train import training  # noqa: E402
from edge_genre.models.train.keras_learner import KerasLearner  # noqa: E402
from edge_genre.models.train.recipes import RECIPES, Recipe  # noqa: E402

N_FRAMES, N_MELS = 39, 128
GENRES = ("blues", "jazz", "metal")
N_TRACKS, N_COLUMNS = 12, 90
SMALL = {"filters": (4, 4, 4, 4), "width": 8, "gru_units": 8}


def tracks_of(*levels: np.ndarray) -> Tracks:
    """Tracks of these frames, one genre, each a group of its own."""
    names = np.array([str(number) for number in range(len(levels))])
    lengths = np.array([len(each) for each in levels])
    labels = np.zeros(len(levels), np.int64)
    return Tracks(np.concatenate(levels), lengths, labels, names, names, ("a",))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of noise in the real one's format whose levels tell a track's split: 0, 1 or 3."""
    rng = np.random.default_rng(0)
    split = np.array([0, 0, 1, 0, 1, 3, 0, 0, 1, 0, 3, 0], np.uint8)
    # Bytes of training tracks are even, those of all others odd.
    levels = rng.integers(0, 128, (N_TRACKS, N_MELS, N_COLUMNS)) * 2 + (split != 0)[:, None, None]
    path = tmp_path_factory.mktemp("corpus") / "corpus.npz"
    np.savez(
        path,
        X=levels.astype(np.uint8),
        y=(np.arange(N_TRACKS) % len(GENRES)).astype(np.uint8),
        name=np.array([f"track{i}" for i in range(N_TRACKS)]),
        split=split,
        genres=np.array(GENRES),
    )
    return path


def test_no_track_of_another_split_reaches_training(corpus: Path) -> None:
    with np.load(corpus) as file:
        split, names = file["split"], file["name"]
    tracks, held_out = Tracks.load(corpus, TRAIN), Tracks.load(corpus, VALIDATION)
    assert set(tracks.names) == set(names[split == 0])
    assert set(held_out.names) == set(names[split == 1])
    # The fixture marks training tracks by even bytes, all others by odd ones.
    bytes_of = [np.rint((part.frames + 80) / 80 * 255) % 2 for part in (tracks, held_out)]
    assert not bytes_of[0].any()
    assert bytes_of[1].all()


def test_validation_windows_lie_side_by_side(corpus: Path) -> None:
    held_out = Tracks.load(corpus, VALIDATION)
    windows, owner = held_out.windows(39)
    assert windows.shape == (6, 39, N_MELS)
    assert owner.tolist() == [0, 0, 1, 1, 2, 2]
    second = held_out.frames[N_COLUMNS : 2 * N_COLUMNS]
    np.testing.assert_allclose(windows[3], features(second[39:78]), atol=1e-6)


def test_tracks_of_any_lengths() -> None:
    levels = [np.full((length, 4), -length, np.float32) for length in (5, 9, 4)]
    tracks = tracks_of(*levels)
    assert tracks.windows(4)[1].tolist() == [0, 1, 1, 2]
    chunks = tracks.chunks(4)
    assert chunks.lengths.tolist() == [4] * 4
    assert chunks.frames[:, 0].tolist() == [-5] * 4 + [-9] * 8 + [-4] * 4
    assert chunks.names.tolist() == ["0", "1", "1", "2"]
    rest = tracks.chosen(np.array([True, False, True]))
    assert rest.frames[:, 0].tolist() == [-5] * 5 + [-4] * 4
    assert rest.starts.tolist() == [0, 5]
    with pytest.raises(ValueError, match="4 frames, a window needs 5"):
        tracks.windows(5)


def test_batches_depend_on_seed_and_step_alone(corpus: Path) -> None:
    tracks = Tracks.load(corpus, TRAIN)
    recipe = Recipe(seed=3, steps=4, batch=10)
    run = list(training.training_batches(tracks, recipe, 0))
    rest = list(training.training_batches(tracks, recipe, 2))
    assert [len(run), len(rest)] == [4, 2]
    for (x, y), (again_x, again_y) in zip(run[2:], rest, strict=True):
        np.testing.assert_array_equal(x, again_x)
        np.testing.assert_array_equal(y, again_y)
    assert run[0][0].shape == (10, N_FRAMES, N_MELS)
    np.testing.assert_allclose(run[0][1].sum(1), 1, atol=1e-6)
    assert not np.array_equal(run[0][0], run[1][0])


def test_score_counts_windows_and_tracks() -> None:
    # The first track has one of three windows right and yet the right mean; the second is wrong.
    probabilities = np.array(
        [[0.98, 0.02], [0.45, 0.55], [0.45, 0.55], [0.6, 0.4], [0.6, 0.4], [0.4, 0.6]]
    )
    owner, labels = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1])
    result = training.score(probabilities, owner, labels)
    assert (result["windows_correct"], result["windows"]) == (2, 6)
    assert (result["tracks_correct"], result["tracks"]) == (1, 2)
    table = training.genre_table(probabilities, owner, labels, ("a", "b"))
    assert table["b"] == {"tracks": 1, "correct": 0, "taken_for": {"a": 1}}


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[..., Result]]:
    """The training command for four steps of a network small enough for a test."""

    def command(corpus: Path, output: Path, *options: str) -> Result:
        arguments = ["train", str(corpus), "--output", str(output)]
        steps = ["--steps", "4", "--evaluate-every", "2"]
        return CliRunner().invoke(main, [*arguments, *steps, *options])

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "songnet", replace(RECIPES["songnet"], options=SMALL))
        # What becomes of a trained network is another test's.
        patch.setattr(model_files, "export", lambda *_, **__: [])
        yield command


@pytest.fixture(scope="module")
def whole(
    corpus: Path, run: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The output folder of a run that nothing interrupted."""
    output = tmp_path_factory.mktemp("runs") / "whole"
    result = run(corpus, output)
    assert result.exit_code == 0, result.output
    return output


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_interrupted_run_goes_on_and_agrees_with_an_unbroken_one(
    corpus: Path, whole: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    def interrupted(*arguments: Any) -> Iterator[Any]:
        yield from islice(all_batches(*arguments), 3)
        raise KeyboardInterrupt

    all_batches = training.training_batches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "training_batches", interrupted)
        assert run(corpus, tmp_path).exit_code == 130
    assert not (tmp_path / "metrics.json").exists()
    assert run(corpus, tmp_path).exit_code == 0

    metrics, unbroken = read(tmp_path / "metrics.json"), read(whole / "metrics.json")
    assert metrics["validation"] == pytest.approx(unbroken["validation"], abs=1e-3)
    assert metrics["chosen_step"] == unbroken["chosen_step"]
    assert metrics["training_tracks"] == 7
    assert (metrics["validation"]["tracks"], metrics["validation"]["windows"]) == (3, 6)
    assert [row["step"] for row in read(tmp_path / "history.json")["history"]] == [2, 4]
    assert (tmp_path / "history.png").stat().st_size > 1000
    model = keras.models.load_model(tmp_path / "model.keras")
    assert model.output_shape == (None, len(GENRES))


def test_run_of_another_recipe_is_not_continued(
    corpus: Path, whole: Path, run: Callable[..., Result]
) -> None:
    result = run(corpus, whole, "--seed", "1")
    assert result.exit_code == 1
    assert "another recipe" in result.output


def test_training_is_blind_to_all_but_the_training_split(
    corpus: Path, whole: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    with np.load(corpus) as file:
        arrays = dict(file)
    arrays["X"] = np.where((arrays["split"] == TRAIN)[:, None, None], arrays["X"], 0)
    np.savez(tmp_path / "blinded.npz", **arrays)
    assert run(tmp_path / "blinded.npz", tmp_path / "run").exit_code == 0
    losses, unblinded = (
        [row["train_loss"] for row in read(output / "history.json")["history"]]
        for output in (tmp_path / "run", whole)
    )
    assert losses == pytest.approx(unblinded, abs=1e-3)


def test_bands_of_another_rate_are_met_at_their_centres() -> None:
    """A tone at 4 kHz stands in another band where bands reach up to 22 kHz."""
    theirs, ours = (fma._centres(spec) for spec in (fma._THEIRS, fma._OURS))
    levels = np.full((3, N_MELS), -60, np.float32)
    levels[:, np.abs(theirs - 4000).argmin()] = 0
    moved = fma.on_our_bands(levels)
    assert moved.shape == levels.shape
    assert ours[moved[0].argmax()] == pytest.approx(4000, rel=0.03)
    np.testing.assert_allclose(fma.on_our_bands(np.full((2, N_MELS), -7.0)), -7, atol=1e-5)


def test_columns_of_another_rate_are_met_in_time() -> None:
    """A ramp over 30 s stays one, in three times as many columns."""
    moved = fma.in_our_time(np.arange(128, dtype=np.float32)[None])
    assert moved.shape == (1, 384)
    np.testing.assert_allclose(np.diff(moved), fma.SPEED, atol=1e-3)


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
    corpus: Path, pretrained: tuple[Path, Result], tmp_path: Path, run: Callable[..., Result]
) -> None:
    folder, result = pretrained
    assert result.exit_code == 0, result.output
    started = keras.models.load_model(folder / "best.keras")
    assert started.output_shape == (None, 8)  # the head for embeddings is not saved
    result = run(corpus, tmp_path / "run", "--initial", str(folder / "best.keras"))
    assert result.exit_code == 0, result.output
    assert read(tmp_path / "run/metrics.json")["initial"]["file"] == "best.keras"
    other = run(corpus, tmp_path / "run")
    assert "holds a run that began otherwise" in other.output
    recipe = Recipe(steps=4, options=SMALL)
    learner = KerasLearner(recipe, N_MELS, 3, initial=folder / "best.keras")
    for layer in learner.model.layers[:-1]:
        for adopted, source in zip(
            layer.get_weights(), started.get_layer(layer.name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(adopted, source)


def test_a_network_of_another_shape_is_refused(
    corpus: Path, pretrained: tuple[Path, Result], tmp_path: Path, run: Callable[..., Result]
) -> None:
    other = RECIPES["songnet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "songnet", replace(other, options={**SMALL, "gru_units": 4}))
        result = run(corpus, tmp_path, "--initial", str(pretrained[0] / "best.keras"))
    assert result.exit_code == 1
    assert "no Keras network of the same shape" in result.output


def test_embeddings_that_do_not_fit_are_refused(
    corpus: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    np.savez(tmp_path / "few.npz", embedding=np.zeros((5, 4), np.float16))
    result = run(corpus, tmp_path / "run", "--embeddings", str(tmp_path / "few.npz"))
    assert "does not fit the embeddings, which are of 5 tracks" in result.output
    np.savez(tmp_path / "none.npz", embedding=np.zeros(5))
    result = run(corpus, tmp_path / "run", "--embeddings", str(tmp_path / "none.npz"))
    assert "has 0 arrays of two dimensions" in result.output
    assert not (tmp_path / "run").exists()


def test_training_on_crops_reads_whole_windows(tmp_path: Path) -> None:
    recipe = Recipe(options=SMALL, crop=20, steps=2)
    learner = KerasLearner(recipe, N_MELS, 3, n_embedded=5)
    rng = np.random.default_rng(0)
    y = np.hstack([np.eye(3)[[0, 1]], rng.normal(size=(2, 5))]).astype(np.float32)
    learner.step(rng.normal(size=(2, 20, N_MELS)).astype(np.float32), y)
    windows = rng.normal(size=(4, N_FRAMES, N_MELS)).astype(np.float32)
    said = learner.predict(windows)
    assert said.shape == (4, 3)
    learner.save(tmp_path / "plain.keras")
    learner.save(tmp_path / "sharp.keras", temperature=0.5)
    plain, sharp = (
        keras.models.load_model(tmp_path / f"{name}.keras").predict(windows, verbose=0)
        for name in ("plain", "sharp")
    )
    np.testing.assert_allclose(plain, said, atol=1e-5)
    squared = said**2 / (said**2).sum(1, keepdims=True)
    np.testing.assert_allclose(sharp, squared, atol=1e-5)
