"""Train a recipe's network on two processor cores; `edge-genre train` is the command.

Started again with the same options, a run goes on from where it was stopped. Its folder receives
`model.keras` (`model.ckpt` from PyTorch), which is the best step, calibrated; `best` and `last`
with the same suffix as they were trained; `metrics.json`, `history.json`, `history.png` and a
checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edge_genre.errors import DataError
from edge_genre.models.data.corpus import Tracks
from edge_genre.models.data.dataset import Data
from edge_genre.models.train.augment import mixup
from edge_genre.models.train.recipes import Recipe
from edge_genre.models.train.temperature import calibrate

_DIFFERENCES = {
    "recipe": "of another recipe",
    "tracks": "on other tracks",
    "initial": "that began otherwise",
}


@dataclass(frozen=True)
class Run:
    """A finished run.

    Parameters
    ----------
    metrics : what `metrics.json` holds.
    last : probabilities of the held-out windows at the last step, (windows, classes).
    """

    metrics: dict[str, Any]
    last: np.ndarray


class Learner(Protocol):
    """A network in training; `keras_learner.KerasLearner` says what each does."""

    suffix: str

    @property
    def steps(self) -> int: ...
    @property
    def parameters(self) -> int: ...
    @property
    def versions(self) -> dict[str, str]: ...
    def step(self, x: np.ndarray, y: np.ndarray) -> float: ...
    def predict(self, windows: np.ndarray) -> np.ndarray: ...
    def save(self, path: Path, *, temperature: float = 1.0) -> None: ...
    def load(self, path: Path) -> None: ...
    def keep(self, folder: Path) -> None: ...
    def resume(self, folder: Path) -> bool: ...


def training_batch(tracks: Tracks, recipe: Recipe, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The batch of one step, float32: features (batch, ...), targets (batch, classes + embedding).

    It depends on the seed and the step alone, so a resumed run sees what an unbroken one sees.
    """
    rng = np.random.default_rng([recipe.seed, step])
    # A permutation rather than free draws: no track is left out for long.
    chosen = np.resize(rng.permutation(len(tracks)), recipe.batch)
    x = recipe.augmentation.windows(tracks, chosen, recipe.crop or recipe.n_frames, rng)
    n_classes = len(tracks.genres)
    y = np.full((recipe.batch, n_classes), recipe.smoothing / n_classes, np.float32)
    y[np.arange(recipe.batch), tracks.labels[chosen]] += 1 - recipe.smoothing
    if tracks.embeddings is not None:
        y = np.hstack([y, tracks.embeddings[chosen]])
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


def learner_of(recipe: Recipe, data: Data, initial: Path | None = None) -> Learner:
    """The recipe's network, untrained, with the framework that it needs."""
    n_classes = len(data.tracks.genres)
    if recipe.network == "five_channel":
        from edge_genre.models.train.torch_learner import TorchLearner

        return TorchLearner(recipe, n_classes, initial=initial)
    from edge_genre.models.train.keras_learner import KerasLearner

    embeddings = data.tracks.embeddings
    return KerasLearner(
        recipe,
        data.tracks.frames.shape[1],
        n_classes,
        n_embedded=0 if embeddings is None else embeddings.shape[1],
        initial=initial,
    )


def train(
    data: Data, output: Path, recipe: Recipe, console: Console, initial: Path | None = None
) -> Run:
    """Train, or go on training.

    Parameters
    ----------
    initial : network to begin with, one that this recipe made before of other music; its last
        layer is not taken over.

    Raises
    ------
    DataError
        The folder holds a run of another recipe or of other tracks, or `initial` does not fit.
    """
    started = time.perf_counter()
    tracks, held_out = data.tracks, data.held_out
    windows, owner = held_out.windows(recipe.n_frames)
    begun = _digest_of(initial)
    plan = json.loads(json.dumps(asdict(recipe)))
    learner = learner_of(recipe, data, initial)

    output.mkdir(parents=True, exist_ok=True)
    history_file, checkpoint = output / "history.json", output / "checkpoint"
    best, last, final = (output / f"{name}{learner.suffix}" for name in ("best", "last", "model"))
    run: dict[str, Any] = {"recipe": plan, "tracks": data.digest(), "initial": begun}
    run |= {"seconds": 0.0, "history": []}
    if history_file.exists():
        previous = json.loads(history_file.read_text())
        for key, what in _DIFFERENCES.items():
            if previous[key] != run[key]:
                raise DataError(
                    f"{output}: holds a run {what}; choose another output folder or remove it"
                )
        if learner.resume(checkpoint):
            run = previous
    first, spent = learner.steps, run["seconds"]
    # Rows after the checkpoint belong to steps that are about to be repeated.
    history = [row for row in run["history"] if row["step"] <= first]

    console.print(
        f"{len(tracks)} training tracks, {len(held_out)} validation tracks of {len(windows)} "
        f"windows, {learner.parameters:,} parameters, steps {first} to {recipe.steps}"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("training", total=recipe.steps, completed=first)
        losses = []
        batches = training_batches(tracks, recipe, first)
        for step, (x, y) in enumerate(batches, start=first + 1):
            losses.append(learner.step(x, y))
            progress.advance(bar)
            if step % recipe.evaluate_every and step != recipe.steps:
                continue
            row = {"step": step, "train_loss": round(float(np.mean(losses)), 4)}
            row |= score(learner.predict(windows), owner, held_out.labels)
            losses = []
            if not history or rank(row) > max(map(rank, history)):
                learner.save(best)
            history.append(row)
            run |= {"seconds": round(spent + time.perf_counter() - started, 1), "history": history}
            history_file.write_text(json.dumps(run, indent=1) + "\n")
            learner.keep(checkpoint)
            progress.console.print(
                f"step {step}: loss {row['train_loss']:.3f}, "
                f"windows {row['window_accuracy']:.1%}, tracks {row['track_accuracy']:.1%}"
            )

    learner.save(last)
    at_last_step = learner.predict(windows)
    learner.load(best)
    probabilities = learner.predict(windows)
    calibration = calibrate(probabilities, owner, held_out.labels)
    learner.save(final, temperature=calibration["temperature"])
    metrics = {
        "data": data.name,
        "split": data.split,
        "chosen": "by windows correct on the validation tracks that the figures are for",
        "chosen_step": max(history, key=rank)["step"],
        "validation": score(probabilities, owner, held_out.labels),
        "validation_at_last_step": history[-1],
        "calibration": calibration,
        "genres": genre_table(probabilities, owner, held_out.labels, held_out.genres),
        "training_tracks": len(tracks),
        "training_genres": {
            genre: int((tracks.labels == label).sum()) for label, genre in enumerate(tracks.genres)
        },
        "parameters": learner.parameters,
        "seed": recipe.seed,
        "steps": recipe.steps,
        "initial": None if initial is None else {"file": initial.name, "sha256": begun},
        "wall_seconds": run["seconds"],
        "recipe": plan,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            **learner.versions,
        },
    }
    (output / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    plot_history(history, output / "history.png")
    return Run(metrics, at_last_step)


def rank(row: dict[str, Any]) -> int:
    """What the saved step is chosen by: windows, being many, are less subject to chance."""
    return int(row["windows_correct"])


def _digest_of(file: Path | None) -> str | None:
    return None if file is None else hashlib.sha256(file.read_bytes()).hexdigest()
