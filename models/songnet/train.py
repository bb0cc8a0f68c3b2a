"""Train SongNet on two processor cores in minutes; `edge-genre train` is the command.

Started again with the same options, a run goes on from where it was stopped. Its folder receives
`songnet.keras` (the best step), `last.keras`, `metrics.json`, `history.json`, `history.png` and a
checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edge_genre.errors import DataError
from edge_genre.models.songnet.architecture import songnet
from edge_genre.models.songnet.augment import Augmentation, mixup
from edge_genre.models.songnet.corpus import Tracks, features
from edge_genre.models.songnet.data import Data

_DIFFERENCES = {
    "recipe": "of another recipe",
    "tracks": "on other tracks",
    "initial": "that began otherwise",
}


@dataclass(frozen=True)
class Recipe:
    """Every number that the trained weights depend on, beside the corpus.

    Parameters
    ----------
    seed : of weights, dropout, crops and augmentations.
    steps : optimizer steps.
    batch : windows in a step.
    n_frames : frames in a window.
    peak_rate : learning rate after the warm-up; from there it follows half a cosine to 0.
    warmup : steps of linear warm-up, at most a tenth of all.
    weight_decay : AdamW's, decoupled.
    smoothing : label smoothing.
    mix : alpha of mixup's beta distribution.
    momentum : of the moving average of the weights, which is what gets evaluated and saved.
    evaluate_every : steps between evaluations and checkpoints.
    augmentation : how far a window may stray.
    """

    seed: int = 0
    steps: int = 2400
    batch: int = 64
    n_frames: int = 39
    peak_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.05
    smoothing: float = 0.1
    mix: float = 0.3
    momentum: float = 0.998
    evaluate_every: int = 100
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "n_frames", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")


def training_batch(tracks: Tracks, recipe: Recipe, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The batch of one step: features (batch, n_frames, bands), targets (batch, classes), float32.

    It depends on the seed and the step alone, so a resumed run sees what an unbroken one sees.
    """
    rng = np.random.default_rng([recipe.seed, step])
    # A permutation rather than free draws: no track is left out for long.
    chosen = np.resize(rng.permutation(len(tracks)), recipe.batch)
    x = features(recipe.augmentation.windows(tracks, chosen, recipe.n_frames, rng))
    n_classes = len(tracks.genres)
    y = np.full((recipe.batch, n_classes), recipe.smoothing / n_classes, np.float32)
    y[np.arange(recipe.batch), tracks.labels[chosen]] += 1 - recipe.smoothing
    return mixup(x, y, recipe.mix, rng)


def training_batches(
    tracks: Tracks, recipe: Recipe, first: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches of steps `first` .. `recipe.steps` - 1, each made while the one before trains."""
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(training_batch, tracks, recipe, first)
        for step in range(first, recipe.steps):
            batch = ahead.result()
            if step + 1 < recipe.steps:
                ahead = pool.submit(training_batch, tracks, recipe, step + 1)
            yield batch


class Trainer:
    """A network, its moving average and the optimizer, and the compiled step that moves them.

    Parameters
    ----------
    recipe : for seed, rates and momentum.
    build : makes the network; it is called twice.
    loss : of the network's outputs and what they should be.
    """

    def __init__(
        self,
        recipe: Recipe,
        build: Callable[[], keras.Model],
        loss: Callable[..., tf.Tensor] = keras.losses.categorical_crossentropy,
    ) -> None:
        keras.utils.set_random_seed(recipe.seed)
        self.model, self.average = build(), build()
        self.average.set_weights(self.model.get_weights())
        warmup = min(recipe.warmup, recipe.steps // 10)
        self.optimizer = keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                recipe.peak_rate / 100,
                max(recipe.steps - warmup, 1),
                warmup_target=recipe.peak_rate,
                warmup_steps=warmup,
            ),
            weight_decay=recipe.weight_decay,
        )
        # Decay pulls on kernels; gains and biases have nothing to lose by being large.
        self.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self.optimizer.build(self.model.trainable_variables)
        self.checkpoint = tf.train.Checkpoint(
            model=self.model, average=self.average, optimizer=self.optimizer
        )
        self.momentum = recipe.momentum
        self._loss = loss
        self.step = tf.function(self._step, reduce_retracing=True)
        self.predict = tf.function(lambda x: self.average(x, training=False), reduce_retracing=True)

    def adopt(self, source: keras.Model) -> None:
        """Begin with another network's weights, but for the last layer's."""
        for model in (self.model, self.average):
            for layer in model.layers[:-1]:
                layer.set_weights(source.get_layer(layer.name).get_weights())

    def _step(self, x: tf.Tensor, *wanted: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(self._loss(*wanted, self.model(x, training=True)))
        gradients = tape.gradient(loss, self.model.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        # Early on the average follows closely: it must not keep the random start for long.
        steps = tf.cast(self.optimizer.iterations, tf.float32)
        keep = tf.minimum(self.momentum, (1 + steps) / (10 + steps))
        for slow, fast in zip(self.average.weights, self.model.weights, strict=True):
            slow.assign(keep * slow + (1 - keep) * fast)
        return loss


def evaluate(trainer: Trainer, windows: np.ndarray) -> np.ndarray:
    """Probabilities (windows, classes) of windows (windows, n_frames, bands)."""
    parts = [trainer.predict(windows[i : i + 256]).numpy() for i in range(0, len(windows), 256)]
    return np.concatenate(parts)


def score(probabilities: np.ndarray, owner: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Count what is right: single windows, and tracks by the mean probability of their windows.

    Parameters
    ----------
    probabilities : (windows, classes).
    owner : the track that each window is of, (windows,).
    labels : (tracks,).
    """
    truth = labels[owner]
    right = probabilities.argmax(1) == truth
    said = _tracks(probabilities, owner, len(labels)).argmax(1)
    likelihood = probabilities[np.arange(len(truth)), truth]
    return {
        "windows": len(right),
        "windows_correct": int(right.sum()),
        "window_accuracy": round(float(right.mean()), 4),
        "tracks": len(labels),
        "tracks_correct": int((said == labels).sum()),
        "track_accuracy": round(float((said == labels).mean()), 4),
        "window_loss": round(float(-np.log(np.maximum(likelihood, 1e-7)).mean()), 4),
    }


def genre_table(
    probabilities: np.ndarray, owner: np.ndarray, labels: np.ndarray, genres: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """For each genre: its tracks, how many were recognised, and what its tracks were taken for."""
    said = _tracks(probabilities, owner, len(labels)).argmax(1)
    table = {}
    for label, genre in enumerate(genres):
        counts = np.bincount(said[labels == label], minlength=len(genres))
        table[genre] = {
            "tracks": int(counts.sum()),
            "correct": int(counts[label]),
            "taken_for": {genres[i]: int(n) for i, n in enumerate(counts) if n},
        }
    return table


def _tracks(probabilities: np.ndarray, owner: np.ndarray, n_tracks: int) -> np.ndarray:
    """Sum of the probabilities of each track's windows, (tracks, classes)."""
    sums = np.zeros((n_tracks, probabilities.shape[1]))
    np.add.at(sums, owner, probabilities)
    return sums


def plot_history(history: list[dict[str, Any]], path: Path) -> None:
    """Draw loss and validation accuracy over the steps."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    steps = [row["step"] for row in history]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(steps, [row["train_loss"] for row in history], label="training, mixed and smoothed")
    left.plot(steps, [row["window_loss"] for row in history], label="validation windows")
    left.set(xlabel="step", ylabel="cross-entropy")
    right.plot(steps, [row["window_accuracy"] for row in history], label="validation windows")
    right.plot(steps, [row["track_accuracy"] for row in history], label="validation tracks")
    right.set(xlabel="step", ylabel="accuracy", ylim=(0, 1))
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def train(
    data: Data, output: Path, recipe: Recipe, console: Console, initial: Path | None = None
) -> dict[str, Any]:
    """Train, or go on training, and return the metrics that were written.

    Parameters
    ----------
    initial : network to begin with, such as one that `edge_genre.models.songnet.pretrain` made;
        its last layer is not taken over.

    Raises
    ------
    DataError
        the folder holds a run of another recipe or of other tracks.
    """
    started = time.perf_counter()
    tracks, held_out = data.tracks, data.held_out
    windows, owner = held_out.windows(recipe.n_frames)

    output.mkdir(parents=True, exist_ok=True)
    history_file, model_file = output / "history.json", output / "songnet.keras"
    plan = json.loads(json.dumps(asdict(recipe)))
    begun = hashlib.sha256(initial.read_bytes()).hexdigest() if initial else None
    run: dict[str, Any] = {"recipe": plan, "tracks": data.digest(), "initial": begun}
    run |= {"seconds": 0.0, "history": []}
    shape = {"n_mels": tracks.frames.shape[1], "n_classes": len(tracks.genres)}
    trainer = Trainer(recipe, lambda: songnet(n_frames=recipe.n_frames, **shape))
    manager = tf.train.CheckpointManager(trainer.checkpoint, output / "checkpoint", max_to_keep=1)
    if manager.latest_checkpoint and history_file.exists():
        previous = json.loads(history_file.read_text())
        for key, what in _DIFFERENCES.items():
            if previous[key] != run[key]:
                raise DataError(
                    f"{output}: holds a run {what}; choose another output folder or remove it"
                )
        run = previous
        trainer.checkpoint.restore(manager.latest_checkpoint).assert_consumed()
    elif initial:
        trainer.adopt(keras.models.load_model(initial))
    first, spent = int(trainer.optimizer.iterations.numpy()), run["seconds"]
    # Rows after the checkpoint belong to steps that are about to be repeated.
    history = [row for row in run["history"] if row["step"] <= first]

    console.print(
        f"{len(tracks)} training tracks, {len(held_out)} validation tracks of {len(windows)} "
        f"windows, {trainer.model.count_params():,} parameters, steps {first} to {recipe.steps}"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("training", total=recipe.steps, completed=first)
        losses = []
        batches = training_batches(tracks, recipe, first)
        for step, (x, y) in enumerate(batches, start=first + 1):
            losses.append(float(trainer.step(x, y)))
            progress.advance(bar)
            if step % recipe.evaluate_every and step != recipe.steps:
                continue
            row = {"step": step, "train_loss": round(float(np.mean(losses)), 4)}
            row |= score(evaluate(trainer, windows), owner, held_out.labels)
            losses = []
            if not history or rank(row) > max(map(rank, history)):
                trainer.average.save(model_file)
            history.append(row)
            run |= {"seconds": round(spent + time.perf_counter() - started, 1), "history": history}
            history_file.write_text(json.dumps(run, indent=1) + "\n")
            manager.save()
            progress.console.print(
                f"step {step}: loss {row['train_loss']:.3f}, "
                f"windows {row['window_accuracy']:.1%}, tracks {row['track_accuracy']:.1%}"
            )

    trainer.average.save(output / "last.keras")
    trainer.average = keras.models.load_model(model_file)
    trainer.predict = tf.function(lambda x: trainer.average(x, training=False))
    probabilities = evaluate(trainer, windows)
    metrics = {
        "data": data.name,
        "split": data.split,
        "chosen": "by windows correct on the validation tracks that the figures are for",
        "chosen_step": max(history, key=rank)["step"],
        "validation": score(probabilities, owner, held_out.labels),
        "validation_at_last_step": history[-1],
        "genres": genre_table(probabilities, owner, held_out.labels, held_out.genres),
        "training_tracks": len(tracks),
        "parameters": trainer.average.count_params(),
        "seed": recipe.seed,
        "steps": recipe.steps,
        "initial": None if initial is None else {"file": initial.name, "sha256": begun},
        "wall_seconds": run["seconds"],
        "recipe": plan,
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
    }
    (output / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    plot_history(history, output / "history.png")
    return metrics


def rank(row: dict[str, Any]) -> int:
    """What the saved step is chosen by: windows, being many, are less subject to chance."""
    return row["windows_correct"]
