"""SongNet: any length, its feature contract, its augmentations and its training recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training needs the convert extra")
pytest.importorskip("tensorflow", reason="training needs the convert extra")
pytest.importorskip("matplotlib", reason="the history plot needs the dev extra")

from click.testing import CliRunner, Result  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from edge_genre.cli import main  # noqa: E402
from edge_genre.models.songnet import export as export_module  # noqa: E402
from edge_genre.models.songnet import pretrain, songnet  # noqa: E402
from edge_genre.models.songnet import train as recipe_module  # noqa: E402
from edge_genre.models.songnet.architecture import TemporalAttention  # noqa: E402
from edge_genre.models.songnet.augment import (  # noqa: E402
    Augmentation,
    add_noise_floor,
    equalise,
    limit_band,
    mask,
    mixup,
    shift_pitch,
    stretched_crops,
)
from edge_genre.models.songnet.corpus import (  # noqa: E402
    TRAIN,
    VALIDATION,
    Tracks,
    decibels,
    features,
)

N_FRAMES, N_MELS = 39, 128
GENRES = ("blues", "jazz", "metal")
N_TRACKS, N_COLUMNS = 12, 90


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


# Architecture


def test_same_weights_read_any_length() -> None:
    short, long = songnet(n_frames=39), songnet(n_frames=129)
    free = songnet(n_frames=None)
    for model in (long, free):
        model.set_weights(short.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 129, N_MELS)).astype(np.float32)
    np.testing.assert_allclose(free(x).numpy(), long(x).numpy(), atol=1e-6)
    np.testing.assert_allclose(free(x[:, :39]).numpy(), short(x[:, :39]).numpy(), atol=1e-6)
    assert np.abs(long(x).numpy().sum(1) - 1).max() < 1e-5


def test_unrolled_model_gives_the_same_output() -> None:
    looped, unrolled = songnet(), songnet(unroll=True)
    unrolled.set_weights(looped.get_weights())
    x = np.random.default_rng(0).normal(size=(2, N_FRAMES, N_MELS)).astype(np.float32)
    np.testing.assert_allclose(unrolled(x).numpy(), looped(x).numpy(), atol=1e-6)


def test_attention_equals_a_hand_calculation() -> None:
    layer = TemporalAttention(5)
    x = np.random.default_rng(0).normal(size=(2, 7, 4)).astype(np.float32)
    out = layer(x).numpy()
    kernel, bias, v = layer.get_weights()
    for i in range(len(x)):
        scores = np.array([np.tanh(step @ kernel + bias) @ v[:, 0] for step in x[i]])
        weights = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(out[i], weights @ x[i], atol=1e-6)


def test_first_channel_sees_equalisation_and_second_does_not() -> None:
    layer = songnet().get_layer("contrast")
    x = np.random.default_rng(0).normal(size=(1, N_FRAMES, N_MELS, 1)).astype(np.float32)
    equalised = x + np.linspace(-1, 1, N_MELS, dtype=np.float32)[:, None]
    before, after = layer(x).numpy(), layer(equalised).numpy()
    assert np.abs(before[..., 0] - after[..., 0]).max() > 0.9
    np.testing.assert_allclose(before[..., 1], after[..., 1], atol=1e-5)


def test_model_is_small() -> None:
    assert songnet().count_params() < 200_000


def test_saved_model_loads_without_custom_objects(tmp_path: Path) -> None:
    model = songnet(filters=(4, 4, 4, 4), width=8, gru_units=8)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(3, N_FRAMES, N_MELS)).astype(np.float32)
    np.testing.assert_allclose(loaded(x).numpy(), model(x).numpy(), atol=1e-6)


def test_converts_to_builtin_operators_with_equal_output() -> None:
    tf = pytest.importorskip("tensorflow")
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model = songnet(filters=(4, 4, 4, 4), width=8, gru_units=8)
    inputs = keras.Input((N_FRAMES, N_MELS), batch_size=1)
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(inputs, model(inputs)))
    # Flex operators would fail here: this interpreter has none.
    interpreter = litert.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    x = np.random.default_rng(0).normal(size=(1, N_FRAMES, N_MELS)).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(output, model(x).numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n_mels": 100}, "n_mels is 100"), ({"n_frames": None, "unroll": True}, "fixed n_frames")],
)
def test_impossible_shapes_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        songnet(**options)


# Features


def test_bytes_become_decibels() -> None:
    levels = decibels(np.array([0, 51, 255], np.uint8))
    np.testing.assert_allclose(levels, [-80, -64, 0], atol=1e-5)
    assert levels.dtype == np.float32


def test_features_follow_the_contract() -> None:
    db = np.random.default_rng(0).uniform(-130, -20, (3, N_FRAMES, N_MELS)).astype(np.float32)
    got = features(db)
    for window, x in zip(db.astype(np.float64), got, strict=True):
        clipped = np.maximum(window - window.max(), -80)
        np.testing.assert_allclose(
            x, (clipped - clipped.mean()) / (clipped.std() + 1e-6), atol=1e-4
        )
    assert got.dtype == np.float32


def test_features_forget_the_level() -> None:
    db = np.random.default_rng(0).uniform(-90, 0, (N_FRAMES, N_MELS)).astype(np.float32)
    np.testing.assert_allclose(features(db - 17), features(db), atol=1e-4)


def test_features_of_a_constant_window_are_zero() -> None:
    assert not features(np.full((N_FRAMES, N_MELS), -80, np.float32)).any()


# Augmentation


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    stretch=st.floats(0, 0.9),
    shift=st.floats(0, 200),
    gain=st.floats(0, 60),
    masks=st.integers(0, 5),
    longest=st.integers(0, 300),
    quiet=st.booleans(),
)
def test_augmentation_is_seeded_and_keeps_shape_and_finiteness(
    seed: int, stretch: float, shift: float, gain: float, masks: int, longest: int, quiet: bool
) -> None:
    augmentation = Augmentation(
        stretch=stretch,
        shift=shift,
        equalise_db=gain,
        masks=masks,
        mask_frames=longest,
        mask_bands=longest,
    )
    levels = np.random.default_rng(1).uniform(-80, 0, (3, 45, 16)).astype(np.float32)
    if quiet:
        levels[:] = -80
    tracks = tracks_of(*levels)
    chosen = np.array([2, 0, 1, 2])
    first, again = (
        augmentation.windows(tracks, chosen, 40, np.random.default_rng(seed)) for _ in range(2)
    )
    assert first.shape == (4, 40, 16)
    assert first.dtype == np.float32
    assert np.isfinite(features(first)).all()
    np.testing.assert_array_equal(first, again)


def test_augmentation_of_nothing_is_a_plain_crop() -> None:
    levels = np.random.default_rng(1).uniform(-80, 0, (2, N_FRAMES, 16)).astype(np.float32)
    none = Augmentation(stretch=0, shift=0, equalise_db=0, floor_db=0, masks=0)
    crops = stretched_crops(
        tracks_of(*levels), np.array([1, 0]), N_FRAMES, 0, np.random.default_rng(0)
    )
    np.testing.assert_allclose(crops, levels[[1, 0]], atol=1e-4)
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(equalise(shift_pitch(crops, none.shift, rng), 0, rng), crops)
    np.testing.assert_array_equal(mask(crops, 1, 0, 9, rng), crops)


def test_stretched_ramp_stays_a_ramp_within_the_track() -> None:
    # Of three tracks of different lengths, the second: 100 frames between those of its neighbours.
    ramp = np.broadcast_to(np.arange(100, dtype=np.float32)[:, None], (100, 4))
    outside = np.full((50, 4), 1e6, np.float32)
    chosen = np.ones(200, np.int64)
    crops = stretched_crops(
        tracks_of(outside, ramp, outside), chosen, 39, 0.2, np.random.default_rng(0)
    )[:, :, 0]
    steps = np.diff(crops, axis=1)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1], steps.shape), atol=1e-3)
    assert 0.79 < steps.min() < 0.85
    assert 1.15 < steps.max() < 1.21
    assert crops.min() >= 0
    assert crops.max() <= 99


def test_pitch_shift_moves_a_peak_no_further_than_asked() -> None:
    x = np.full((300, 2, 32), -60, np.float32)
    x[:, :, 16] = 0
    centre = (10 ** (shift_pitch(x, 3, np.random.default_rng(0))[:, 0] / 10)).argmax(1)
    assert set(centre) == {13, 14, 15, 16, 17, 18, 19}


def test_equaliser_is_one_curve_for_all_frames() -> None:
    x = np.random.default_rng(1).uniform(-80, 0, (5, 9, 32)).astype(np.float32)
    gain = equalise(x, 6, np.random.default_rng(0)) - x
    np.testing.assert_allclose(gain, np.broadcast_to(gain[:, :1], gain.shape), atol=1e-4)
    assert np.abs(gain).max() <= 6.001
    assert gain.std() > 1


def test_a_limited_band_falls_off_at_both_ends_of_some_windows() -> None:
    x = np.zeros((400, 2, 128), np.float32)
    limited = limit_band(x, 0.5, np.random.default_rng(0))
    changed = limited.any((1, 2))
    assert 0.4 < changed.mean() < 0.6
    assert not limited[:, :, 17:70].any()
    assert (np.diff(limited[:, 0, :17], axis=1) >= 0).all()
    assert (np.diff(limited[:, 0, 70:], axis=1) <= 0).all()
    assert -60 < limited.min() < -20
    np.testing.assert_array_equal(limited[:, 0], limited[:, 1])


def test_noise_floor_adds_power() -> None:
    x = np.array([[[0.0, -20.0, -80.0]]], np.float32)
    got = add_noise_floor(x, -20, np.random.default_rng(0), lowest_db=-20)
    want = 10 * np.log10(10 ** (x.astype(np.float64) / 10) + 10**-2)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_masks_hide_whole_frames_or_bands_with_the_mean() -> None:
    x = np.random.default_rng(1).uniform(-80, 0, (50, 9, 32)).astype(np.float32)
    for axis, other in ((1, 2), (2, 1)):
        hidden = mask(x, axis, 2, 3, np.random.default_rng(0)) != x
        lines = hidden.any(other)
        np.testing.assert_array_equal(lines, hidden.all(other))
        assert 0 < lines.sum(1).max() <= 6


def test_mixup_keeps_targets_a_distribution() -> None:
    x = np.arange(8, dtype=np.float32).repeat(6).reshape(8, 2, 3)
    y = np.eye(8, dtype=np.float32)
    mixed, targets = mixup(x, y, 0.3, np.random.default_rng(0))
    np.testing.assert_allclose(targets.sum(1), 1, atol=1e-6)
    # Features and targets are mixed in the same shares.
    np.testing.assert_allclose(mixed[:, 0, 0], targets @ np.arange(8), atol=1e-5)
    assert (targets.max(1) < 0.999).any()


@pytest.mark.parametrize("wrong", [{"stretch": 1.0}, {"shift": -1.0}, {"floor_db": 3.0}])
def test_impossible_augmentations_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augmentation(**wrong)


# Recipe


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
    recipe = recipe_module.Recipe(seed=3, steps=4, batch=10)
    run = list(recipe_module.training_batches(tracks, recipe, 0))
    rest = list(recipe_module.training_batches(tracks, recipe, 2))
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
    result = recipe_module.score(probabilities, owner, labels)
    assert (result["windows_correct"], result["windows"]) == (2, 6)
    assert (result["tracks_correct"], result["tracks"]) == (1, 2)
    table = recipe_module.genre_table(probabilities, owner, labels, ("a", "b"))
    assert table["b"] == {"tracks": 1, "correct": 0, "taken_for": {"a": 1}}


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[..., Result]]:
    """The training command for four steps of a network small enough for a test."""

    def small(**shape: int) -> keras.Model:
        return songnet(**shape, filters=(4, 4, 4, 4), width=8, gru_units=8)

    def command(corpus: Path, output: Path, *options: str) -> Result:
        arguments = ["train", str(corpus), "--output", str(output)]
        steps = ["--steps", "4", "--evaluate-every", "2"]
        return CliRunner().invoke(main, [*arguments, *steps, *options])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe_module, "songnet", small)
        # What becomes of a trained network is another test's.
        patch.setattr(export_module, "export", lambda *_, **__: [])
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

    all_batches = recipe_module.training_batches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe_module, "training_batches", interrupted)
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
    model = keras.models.load_model(tmp_path / "songnet.keras")
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


# Pre-training


def test_bands_of_another_rate_are_met_at_their_centres() -> None:
    """A tone at 4 kHz stands in another band where bands reach up to 22 kHz."""
    theirs, ours = (pretrain._centres(top) for top in (22_050.0, 11_025.0))
    levels = np.full((3, N_MELS), -60, np.float32)
    levels[:, np.abs(theirs - 4000).argmin()] = 0
    moved = pretrain.on_our_bands(levels)
    assert moved.shape == levels.shape
    assert ours[moved[0].argmax()] == pytest.approx(4000, rel=0.03)
    np.testing.assert_allclose(pretrain.on_our_bands(np.full((2, N_MELS), -7.0)), -7, atol=1e-5)


def test_pre_training_goes_on_and_its_network_is_adopted(
    corpus: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    rng = np.random.default_rng(4)
    part = np.array([0] * 9 + [1] * 3)
    np.savez(
        tmp_path / "fma.npz",
        X=rng.integers(0, 64, (12, N_MELS, 40)).astype(np.uint8),
        y=np.arange(12) % 8,
        track_id=np.arange(12),
        split=part,
        genres=np.array([f"genre {i}" for i in range(8)]),
    )
    np.savez(tmp_path / "vggish.npz", embedding=rng.integers(0, 256, (12, 128)).astype(np.float16))
    output = tmp_path / "pretrained"
    for steps in ("2", "4"):
        names = ("--corpus", tmp_path / "fma.npz", "--targets", tmp_path / "vggish.npz")
        arguments = [*map(str, names), "--output", str(output), "--steps", steps]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pretrain, "songnet", recipe_module.songnet)
            done = CliRunner().invoke(pretrain.main, [*arguments, "--evaluate-every", "2"])
        assert done.exit_code == 0, done.output
    assert [row["step"] for row in read(output / "history.json")] == [2, 4]
    result = run(corpus, tmp_path / "run", "--initial", str(output / "pretrained.keras"))
    assert result.exit_code == 0, result.output
    assert read(tmp_path / "run/metrics.json")["initial"]["file"] == "pretrained.keras"
    other = run(corpus, tmp_path / "run")
    assert "holds a run that began otherwise" in other.output
    started = keras.models.load_model(output / "pretrained.keras")
    trainer = recipe_module.Trainer(
        recipe_module.Recipe(steps=4), lambda: recipe_module.songnet(n_frames=39, n_classes=3)
    )
    trainer.adopt(started)
    for layer in trainer.model.layers[:-1]:
        for adopted, source in zip(
            layer.get_weights(), started.get_layer(layer.name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(adopted, source)
