"""What a model's outputs mean, and how they decide: one label, or all that hold.

A kind of task is a class in this module and an entry in `KINDS`. Whoever has to know what outputs
mean asks the model's `Task`; nobody else tells kinds apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_genre.errors import ModelError
from edge_genre.softmax import sigmoid, softmax

THRESHOLD = 0.5  # of a label where nobody chose another one

Numbers = NDArray[Any]


class TaskKind(Protocol):
    """What tells one kind of tasks from another.

    Labels are numbers here: their places among the model's.
    """

    # Whether exactly one label holds, and the probabilities of all add up to 1; else each label
    # has a threshold of its own.
    exclusive: bool
    # From rows of a graph's outputs [shape=(..., labels)] to probabilities, by what they are.
    activations: Mapping[str, Callable[[Numbers], Numbers]]
    # The operator that does so at the end of a graph; none for probabilities.
    operators: Mapping[str, str]

    def decide(self, probabilities: Numbers, thresholds: Numbers) -> list[int]:
        """The labels that hold, most probable first, by probabilities [shape=(labels,)]."""

    def of_song(self, windows: Numbers, temperature: float) -> Numbers:
        """Probabilities of a song [shape=(labels,)] by those of its windows, two or more."""

    def of_majority(self, shares: Numbers, probabilities: Numbers) -> list[int]:
        """The labels that hold by the shares of windows in which they do [shape=(labels,)].

        ``probabilities`` of the song order those with equal shares.
        """


def _adding_up(outputs: Numbers) -> Numbers:
    # Quantized outputs add up to 1 only roughly.
    total = outputs.sum(axis=-1, keepdims=True)
    total[total == 0] = 1
    return np.asarray(outputs / total, np.float32)


def _within_bounds(outputs: Numbers) -> Numbers:
    # Dequantized outputs may be half a step below 0 or above 1.
    return np.asarray(np.clip(outputs, 0, 1), np.float32)


class SingleLabel:
    """Labels exclude each other: their probabilities add up to 1, and the greatest decides."""

    exclusive = True

    def __init__(self) -> None:
        # The softmax of log-probabilities is the probabilities.
        self.activations: Mapping[str, Callable[[Numbers], Numbers]] = {
            "probabilities": _adding_up,
            "logits": softmax,
            "log_probabilities": softmax,
        }
        self.operators: Mapping[str, str] = {"logits": "softmax", "log_probabilities": "softmax"}

    def decide(self, probabilities: Numbers, thresholds: Numbers) -> list[int]:
        return [int(probabilities.argmax())]

    def of_song(self, windows: Numbers, temperature: float) -> Numbers:
        return tempered(windows.mean(axis=0), temperature)

    def of_majority(self, shares: Numbers, probabilities: Numbers) -> list[int]:
        return [int(np.lexsort((probabilities, shares))[-1])]


class MultiLabel:
    """Each label holds or not, whatever the others do: where it reaches its threshold."""

    exclusive = False

    def __init__(self) -> None:
        self.activations: Mapping[str, Callable[[Numbers], Numbers]] = {
            "probabilities": _within_bounds,
            "logits": sigmoid,
            "log_probabilities": np.exp,
        }
        self.operators: Mapping[str, str] = {
            "logits": "sigmoid",
            "log_probabilities": "exponential",
        }

    def decide(self, probabilities: Numbers, thresholds: Numbers) -> list[int]:
        held = np.flatnonzero(probabilities >= thresholds)
        if len(held) > 1:
            held = held[np.argsort(-probabilities[held], kind="stable")]
        return held.tolist()

    def of_song(self, windows: Numbers, temperature: float) -> Numbers:
        mean: Numbers = windows.mean(axis=0)  # a tag of half a song is no surer for its length
        return mean

    def of_majority(self, shares: Numbers, probabilities: Numbers) -> list[int]:
        order = np.lexsort((probabilities, shares))[::-1]
        return [int(label) for label in order if shares[label] >= 0.5]


KINDS: dict[str, TaskKind] = {"single_label": SingleLabel(), "multi_label": MultiLabel()}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a model's outputs mean.

    Parameters
    ----------
    kind : ``"single_label"`` (softmax; one label) or ``"multi_label"`` (sigmoids; all labels that
        reach their thresholds)
    noun : what a label is, for people and for names of sensors: ``"genre"``, ``"mood"``, ``"tag"``
    background : the label that is no answer, such as ``"no music"``; None without one
    thresholds : of many labels: the probability from which on each holds, above 0 and up to 1, in
        the order of the labels; a model description without any takes `THRESHOLD` for all
    explanations : names of further outputs of the graph that explain the answer, such as attention
        over time: as many numbers as there are steps of equal length in the window

    Raises
    ------
    ModelError
        A value is impossible.
    """

    kind: str = "single_label"
    noun: str = "genre"
    background: str | None = None
    thresholds: tuple[float, ...] = ()
    explanations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            raise ModelError(f"task is {self.kind!r}, expected one of {', '.join(KINDS)}")
        for key in ("noun", "background"):
            value = getattr(self, key)
            if not (value is None and key == "background") and not _is_name(value):
                raise ModelError(f"{key} is {value!r}, expected a word or a few")
        for key in ("thresholds", "explanations"):
            value = getattr(self, key)
            if not isinstance(value, list | tuple):
                raise ModelError(f"{key} are {value!r}, expected a list")
            object.__setattr__(self, key, tuple(value))
        if self.thresholds and self.exclusive:
            raise ModelError(f"a task of kind {self.kind} decides without thresholds")
        for threshold in self.thresholds:
            number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
            if not (number and 0 < threshold <= 1):
                raise ModelError(f"a threshold is {threshold!r}, expected above 0 and up to 1")
        names = self.explanations
        if not all(map(_is_name, names)) or len(set(names)) != len(names):
            raise ModelError(f"explanations are {list(names)}, expected different names")

    @property
    def exclusive(self) -> bool:
        """Whether labels exclude each other: exactly one holds, and probabilities add up to 1.

        Of others each has a threshold of its own.
        """
        return self._kind.exclusive

    @property
    def option(self) -> str:
        """Its kind as ``--task`` has it, one of `edge_genre.choices.TASKS`."""
        return self.kind.replace("_", "-")

    def operator(self, meaning: str) -> str | None:
        """What makes probabilities of a graph's outputs: its operator's name; None for nothing.

        Parameters
        ----------
        meaning : what the outputs are, one of `edge_genre.choices.OUTPUTS`

        Returns
        -------
        ``"softmax"`` over all labels, or ``"sigmoid"`` or ``"exponential"`` of each
        """
        return self._kind.operators.get(meaning)

    @property
    def nouns(self) -> str:
        """More than one of the noun."""
        return plural(self.noun)

    def of_labels(self, labels: tuple[str, ...]) -> Task:
        """The same for a model's labels, with a threshold for each.

        Raises
        ------
        ModelError
            The background is none of the labels, or there are more or fewer thresholds.
        """
        if self.background is not None and self.background not in labels:
            raise ModelError(
                f"the background {self.background!r} is none of the labels {', '.join(labels)}"
            )
        if not self.exclusive and not self.thresholds:
            return replace(self, thresholds=(THRESHOLD,) * len(labels))
        if not self.exclusive and len(self.thresholds) != len(labels):
            raise ModelError(
                f"there are {len(self.thresholds)} thresholds, but {len(labels)} labels"
            )
        return self

    def probabilities(self, outputs: Numbers, meaning: str) -> Numbers:
        """Probabilities from rows of a graph's outputs, both [shape=(..., labels)].

        Parameters
        ----------
        meaning : what the outputs are, one of `edge_genre.choices.OUTPUTS`
        """
        return self.activation(meaning)(outputs)

    def activation(self, meaning: str) -> Callable[[Numbers], Numbers]:
        """What `probabilities` does to outputs of one meaning, for who does it often."""
        return self._kind.activations[meaning]

    def decide(self, probabilities: Numbers) -> list[int]:
        """Numbers of the labels that hold, most probable first.

        Parameters
        ----------
        probabilities : of one window or song [shape=(labels,)]
        """
        return self._kind.decide(probabilities, self._thresholds)

    def reached(self, probabilities: Numbers) -> NDArray[np.bool_]:
        """Which labels reach their thresholds, where they have some, both [shape=(..., labels)]."""
        return np.asarray(probabilities >= self._thresholds)

    def of_song(self, windows: Numbers, temperature: float = 1.0) -> Numbers:
        """Probabilities of a song [shape=(labels,)] from those of its windows.

        Parameters
        ----------
        windows : [shape=(windows, labels)], one or more
        temperature : of the mean of two and more, where one label is sought; see `tempered`
        """
        if len(windows) == 1:
            return np.asarray(windows[0])
        return self._kind.of_song(windows, temperature)

    def of_majority(self, shares: Numbers, probabilities: Numbers) -> list[int]:
        """Numbers of a song's labels by the shares of its windows that have them.

        Parameters
        ----------
        shares, probabilities : of the song [shape=(labels,)]; the latter decide between labels
            with equal shares
        """
        return self._kind.of_majority(shares, probabilities)

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Task:
        """Build from JSON values.

        Raises
        ------
        ModelError
            A value is impossible.
        KeyError
            One is missing.
        """
        if not isinstance(values, Mapping):
            raise ModelError(f"task is {values!r}, expected an object")
        return cls(
            kind=values["kind"],
            noun=values["noun"],
            background=values["background"],
            thresholds=values["thresholds"],
            explanations=values["explanations"],
        )

    @cached_property
    def _kind(self) -> TaskKind:
        return KINDS[self.kind]

    @cached_property
    def _thresholds(self) -> Numbers:
        return np.array(self.thresholds, np.float32)


def tempered(probabilities: Numbers, temperature: float) -> Numbers:
    """What dividing the logits by a temperature makes of probabilities [shape=(..., labels)].

    Softmax of log(p) / T (Guo et al. 2017, equation 9): above 1 less sure, below 1 surer.
    """
    if temperature == 1:
        return probabilities
    return softmax(np.log(np.maximum(probabilities, 1e-12)) / temperature)


def noun_of_all(nouns: Iterable[str]) -> str:
    """The noun of several models, or ``"label"`` where they have different ones."""
    different = set(nouns)
    return different.pop() if len(different) == 1 else "label"


def plural(noun: str) -> str:
    """More than one of a noun, by the rule that nearly all English nouns follow."""
    return f"{noun}es" if noun.endswith(("s", "x", "z", "ch", "sh")) else f"{noun}s"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


GENRES = Task()  # what every model was before there were tasks
