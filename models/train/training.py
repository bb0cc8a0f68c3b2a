"""Train a recipe's network on two processor cores; `edge-genre train` is the command.

Started again with the same options, a run goes on from where it was stopped. Its folder receives
`model.keras` (`model.ckpt` from PyTorch), which is the best step with calibrated confidence; `best`
and `last` with the same suffix as they were trained; `metrics.json`, `history.json`, `history.png`
and a checkpoint.
"""

from __future__ import annotations

import hashlib
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edge_genre.benchmarks.accuracy.evaluation import Track, tracks_of_windows
from edge_genre.errors import DataError
from edge_genre.host.files import writing
from edge_genre.model.file import require_labels
from edge_genre.models.data.dataset import Data
from edge_genre.models.train.batches import training_batches
from edge_genre.models.train.history import History
from edge_genre.models.train.metrics import Initial, RunMetrics
from edge_genre.models.train.objectives import OBJECTIVES, Fitted
from edge_genre.models.train.plots import plot_history
from edge_genre.models.train.recipes import Recipe
from edge_genre.models.train.records import read_json, write_json
from edge_genre.models.train.scores import RankingStep, Step


@dataclass(frozen=True)
class Run:
    """A finished run.

    Parameters
    ----------
    metrics : what `metrics.json` holds.
    last : the held-out tracks, as the network at the last step classifies them.
    """

    metrics: RunMetrics
    last: list[Track]


class Trainer(Protocol):
    """A network in training; `keras_trainer.KerasTrainer` says what each does."""

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


def make_trainer(recipe: Recipe, data: Data, initial: Path | None = None) -> Trainer:
    """The recipe's network, untrained, with the framework that it needs."""
    n_classes = len(data.tracks.genres)
    if recipe.network == "five_channel":
        from edge_genre.models.train.torch_trainer import TorchTrainer

        return TorchTrainer(recipe, n_classes, initial=initial)
    from edge_genre.models.train.keras_trainer import KerasTrainer

    embeddings = data.tracks.embeddings
    return KerasTrainer(
        recipe,
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
    ModelError
        No model file can have a label of the music, such as "silence".
    """
    require_labels(data.tracks.genres, recipe.task)
    OBJECTIVES[recipe.task.kind].require(data.tracks)
    begun = None if initial is None else Initial(initial.name, _digest(initial))
    training = _Training(data, output, recipe, make_trainer(recipe, data, initial))
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    plan = History(recipe.to_dict(), data.digest(), begun.sha256 if begun else None)
    history = training.run(training.continued(plan), console)
    return training.finish(history, begun)


class _Training:
    """A network in training: what it is trained and measured on, and the folder that keeps it."""

    def __init__(self, data: Data, output: Path, recipe: Recipe, trainer: Trainer) -> None:
        self._started = time.perf_counter()
        self._data = data
        self._recipe = recipe
        self._trainer = trainer
        self._objective = OBJECTIVES[recipe.task.kind]
        self._task = recipe.task.of_labels(data.tracks.genres)
        self._windows, self._owner = data.held_out.windows()
        self._output = output
        self._history_file = output / "history.json"
        self._checkpoint = output / "checkpoint"
        self._best, self._last, self._model = (
            output / f"{name}{trainer.suffix}" for name in ("best", "last", "model")
        )

    def continued(self, plan: History) -> History:
        """Resume the run that the folder holds, or begin a new one."""
        if not self._history_file.exists():
            return plan
        previous = read_json(self._history_file, History)
        difference = previous.difference(plan)
        if difference:
            raise DataError(
                f"{self._output}: holds a run {difference}; choose another output folder or remove "
                "it"
            )
        if not self._trainer.resume(self._checkpoint):
            return plan
        # Rows after the checkpoint belong to steps that are about to be repeated.
        return previous.until(self._trainer.steps)

    def run(self, history: History, console: Console) -> History:
        """Take the steps that are left; on the way keep the best weights and a checkpoint."""
        tracks, recipe, trainer = self._data.tracks, self._recipe, self._trainer
        first, spent, losses = trainer.steps, history.seconds, []
        console.print(
            f"{len(tracks)} training tracks, {len(self._data.held_out)} validation tracks of "
            f"{len(self._windows)} windows, {trainer.parameters:,} parameters, steps {first} to "
            f"{recipe.steps}"
        )
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
            bar = progress.add_task("training", total=recipe.steps, completed=first)
            batches = training_batches(tracks, recipe, first)
            for number, (x, y) in enumerate(batches, start=first + 1):
                losses.append(trainer.step(x, y))
                progress.advance(bar)
                if number % recipe.evaluate_every and number != recipe.steps:
                    continue
                step = self._evaluated(number, losses)
                losses = []
                seconds = round(spent + time.perf_counter() - self._started, 1)
                history = replace(history, seconds=seconds, steps=(*history.steps, step))
                if history.best is step:
                    trainer.save(self._best)
                write_json(self._history_file, history.to_dict())
                trainer.keep(self._checkpoint)
                progress.console.print(f"step {number}: loss {step.train_loss:.3f}, {step.text}")
        return history

    def finish(self, history: History, initial: Initial | None) -> Run:
        """Calibrate the best weights' confidence, and write what the run has to show."""
        self._trainer.save(self._last)
        last = self._classified()
        self._trainer.load(self._best)
        fitted = self._objective.fit(self._classified(), self._data.tracks.genres)
        self._trainer.save(self._model, temperature=fitted.temperature)
        metrics = self._metrics(history, fitted, initial)
        metrics.write(self._output)
        plot_history(history.steps, self._output / "history.png")
        return Run(metrics, last)

    def _classified(self) -> list[Track]:
        """The held-out tracks as the averaged weights classify them."""
        held_out, rows = self._data.held_out, self._trainer.predict(self._windows)
        return tracks_of_windows(
            rows, self._owner, held_out.labels, names=held_out.names, task=self._task
        )

    def _evaluated(self, number: int, losses: list[float]) -> Step | RankingStep:
        loss = round(float(np.mean(losses)), 4)
        return self._objective.step(number, loss, self._classified())

    def _metrics(self, history: History, fitted: Fitted, initial: Initial | None) -> RunMetrics:
        tracks = self._data.tracks
        per_genre = self._objective.counts(tracks.labels, len(tracks.genres))
        return self._objective.metrics(
            **fitted.values,
            data=self._data.name,
            split=self._data.split,
            chosen=self._objective.chosen,
            chosen_step=history.best.step,
            validation_at_last_step=history.steps[-1],
            training_tracks=len(tracks),
            training_genres=dict(zip(tracks.genres, per_genre, strict=True)),
            parameters=self._trainer.parameters,
            seed=self._recipe.seed,
            steps=self._recipe.steps,
            initial=initial,
            wall_seconds=history.seconds,
            recipe=history.recipe,
            versions={
                "python": platform.python_version(),
                "numpy": np.__version__,
                **self._trainer.versions,
            },
        )


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
