"""What a task asks of training: the loss, the figure that chooses a step, what is fitted at last.

One object a kind of task, in `OBJECTIVES`; nothing else in training tells kinds apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.accuracy.evaluation import Track
from edge_genre.benchmarks.accuracy.multi_label import evaluate_labels, targets
from edge_genre.benchmarks.accuracy.thresholds import with_best_thresholds
from edge_genre.benchmarks.text import some
from edge_genre.errors import DataError
from edge_genre.models.data.corpus import Tracks
from edge_genre.models.train.metrics import (
    FoundLabel,
    LabelMetrics,
    Metrics,
    RunMetrics,
    Thresholds,
    recognised,
)
from edge_genre.models.train.scores import RankingStep, Step, rank, score
from edge_genre.models.train.temperature import (
    calibrate_confidence,
    fit_temperature_of_labels,
    tempered_labels,
)


@dataclass(frozen=True)
class Fitted:
    """What is found out about the best weights on the validation part.

    Parameters
    ----------
    temperature : that the logits are divided by
    values : fields of the run's metrics
    """

    temperature: float
    values: dict[str, Any]


class Objective(Protocol):
    """What training asks of a kind of task."""

    @property
    def activation(self) -> str:
        """Of the network's outputs, by its name in Keras."""

    @property
    def loss(self) -> str:
        """The loss, by its name in Keras."""

    @property
    def smoothed(self) -> bool:
        """Whether a recipe's label smoothing counts."""

    @property
    def chosen(self) -> str:
        """How the step whose weights are kept is chosen, for the card."""

    @property
    def metrics(self) -> type[RunMetrics]:
        """What a finished run says of itself."""

    def require(self, tracks: Tracks) -> None:
        """Refuse tracks that cannot be trained on for such a task.

        Raises
        ------
        DataError
            They have labels of another kind, or none of one of them.
        """

    def targets(self, labels: NDArray[Any], n: int, smoothing: float) -> NDArray[np.float32]:
        """Targets of tracks [shape=(tracks, n)], by their `Tracks.labels`."""

    def counts(self, labels: NDArray[Any], n: int) -> list[int]:
        """How many tracks have each label."""

    def step(self, number: int, loss: float, tracks: Sequence[Track]) -> Step | RankingStep:
        """A step's number, training loss, and how the validation tracks are classified."""

    def fit(self, tracks: Sequence[Track], labels: Sequence[str]) -> Fitted:
        """Fit to validation tracks, as the best weights classify them."""


class SingleLabel:
    """One label a track."""

    activation = "softmax"
    loss = "categorical_crossentropy"
    smoothed = True
    chosen = "by windows correct on the validation tracks that the figures are for"
    metrics = Metrics

    def require(self, tracks: Tracks) -> None:
        if tracks.labels.ndim != 1:
            raise DataError(
                "the data have a row of 0 and 1 for each track, but the task has one label: train "
                "with --task multi-label"
            )

    def targets(self, labels: NDArray[Any], n: int, smoothing: float) -> NDArray[np.float32]:
        y = np.full((len(labels), n), smoothing / n, np.float32)
        y[np.arange(len(labels)), labels] += 1 - smoothing
        return y

    def counts(self, labels: NDArray[Any], n: int) -> list[int]:
        return np.bincount(labels, minlength=n).tolist()

    def step(self, number: int, loss: float, tracks: Sequence[Track]) -> Step:
        return Step(step=number, train_loss=loss, **asdict(score(tracks)))

    def fit(self, tracks: Sequence[Track], labels: Sequence[str]) -> Fitted:
        confidence = calibrate_confidence(tracks)
        return Fitted(
            confidence.temperature,
            {
                "validation": score(tracks),
                "confidence": confidence,
                "genres": recognised(tracks, labels),
            },
        )


class MultiLabel:
    """Any number of labels a track.

    Targets are not smoothed: most labels are rare, and a target of 0.05 where there is none would
    be more than all of those that are there.
    """

    activation = "sigmoid"
    loss = "binary_crossentropy"
    smoothed = False
    chosen = "by macro average precision on the validation tracks that the figures are for"
    metrics = LabelMetrics

    def require(self, tracks: Tracks) -> None:
        if tracks.labels.ndim != 2:
            raise DataError(
                "the data have one class for each track, but the task has any number of labels: "
                "give a table of labels (--labels-csv), or a row of 0 and 1 for each track"
            )
        have = tracks.labels.sum(axis=0)
        for count, what in ((have, "has"), (len(tracks) - have, "lacks")):
            if not count.all():
                names = [tracks.genres[number] for number in np.flatnonzero(count == 0)]
                raise DataError(
                    f"no training track {what} {some(names)}, which cannot be learned then: add "
                    "music, or leave the label out"
                )

    def targets(self, labels: NDArray[Any], n: int, smoothing: float) -> NDArray[np.float32]:
        return labels.astype(np.float32)

    def counts(self, labels: NDArray[Any], n: int) -> list[int]:
        return labels.sum(axis=0).tolist()

    def step(self, number: int, loss: float, tracks: Sequence[Track]) -> RankingStep:
        return RankingStep(step=number, train_loss=loss, **asdict(rank(tracks)))

    def fit(self, tracks: Sequence[Track], labels: Sequence[str]) -> Fitted:
        truth = targets(tracks, len(labels))
        of_windows = np.repeat(truth, [len(track.probabilities) for track in tracks], axis=0)
        windows = np.concatenate([track.probabilities for track in tracks])
        temperature = fit_temperature_of_labels(windows, of_windows)
        tracks = [
            replace(track, probabilities=tempered_labels(track.probabilities, temperature))
            for track in tracks
        ]
        task = with_best_thresholds(tracks, tracks[0].task)
        found = evaluate_labels(tracks, labels, task)
        return Fitted(
            temperature,
            {
                "validation": rank(tracks),
                "confidence": Thresholds(
                    temperature, round(found.macro_f1.value, 4), round(found.micro_f1.value, 4)
                ),
                "genres": {
                    each.label: FoundLabel(
                        tracks=each.tracks,
                        average_precision=each.average_precision,
                        threshold=each.threshold,
                        recall=each.recall,
                        precision=each.precision,
                        f1=each.f1,
                    )
                    for each in found.labels
                },
            },
        )


OBJECTIVES: dict[str, Objective] = {"single_label": SingleLabel(), "multi_label": MultiLabel()}
