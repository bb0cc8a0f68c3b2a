"""Recipes: every number that a trained network depends on, beside the music.

This module loads no framework, so that commands can name the recipes before they need one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from edge_genre.errors import DataError
from edge_genre.frontend import FrontEndSpec
from edge_genre.models.train.augment import Augmentation
from edge_genre.models.train.cepstral_augment import CepstralAugmentation
from edge_genre.models.train.objectives import OBJECTIVES
from edge_genre.task import GENRES, KINDS, Task


@dataclass(frozen=True)
class _Wanted:
    """Features that a network can take, and in words; and kinds of tasks that it can be for."""

    takes: Callable[[FrontEndSpec], bool]
    text: str
    tasks: tuple[str, ...] = tuple(KINDS)


_PICTURES = _Wanted(
    lambda spec: spec.made_of_levels and len(spec.shape) == 2, "frames of log-mel, MFCC or PCEN"
)
_WANTED = {
    "songnet": _PICTURES,
    "tiny": _PICTURES,
    "five_channel": _Wanted(
        lambda spec: spec.shape == (5, 40, 130),
        "stacks of shape (5, 40, 130), as five-channel-first gives them",
        ("single_label",),  # as its published checkpoints
    ),
}


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained.

    Parameters
    ----------
    name : of the recipe.
    network : a module of `edge_genre.models.networks`: ``"songnet"``, ``"tiny"`` or
        ``"five_channel"``.
    options : of the network's shape; see its module.
    front_end : what computes its features; a preset's name, or a spec.
    crop : frames of a training window; those of the front end's where left out.
    seed : of weights, dropout, crops and augmentations.
    steps : optimizer steps.
    batch : windows in a step.
    peak_rate : learning rate after the warm-up; from there it follows half a cosine to 0.
    warmup : steps of linear warm-up, at most a tenth of all.
    weight_decay : AdamW's, decoupled.
    smoothing : label smoothing.
    mix : alpha of mixup's beta distribution.
    momentum : of the moving average of the weights, which is what gets evaluated and saved.
    embedding : weight of the teacher embeddings' loss, where there are any, beside the genres'.
    evaluate_every : steps between evaluations and checkpoints.
    augmentation : how far a window may stray.
    task : what the labels are; its thresholds are none of a recipe's.
    """

    name: str = "songnet"
    network: str = "songnet"
    options: dict[str, Any] = field(default_factory=dict)
    front_end: str | FrontEndSpec = "songnet-gtzan"
    crop: int | None = None
    seed: int = 0
    steps: int = 2400
    batch: int = 64
    peak_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.05
    smoothing: float = 0.1
    mix: float = 0.3
    momentum: float = 0.998
    embedding: float = 3.0
    evaluate_every: int = 100
    augmentation: Augmentation | CepstralAugmentation = field(default_factory=Augmentation)
    task: Task = GENRES

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.crop is not None and not 2 <= self.crop <= self.spec.n_frames:
            raise ValueError(f"crop is {self.crop}; it must lie in 2..{self.spec.n_frames}")

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON has them: two recipes are one if these are equal."""
        values = asdict(self)
        if isinstance(self.front_end, FrontEndSpec):
            values["front_end"] = self.front_end.to_dict()
        del values["task"]
        if self.task != GENRES:
            values["task"] = self.task.to_dict()
        read: dict[str, Any] = json.loads(json.dumps(values))
        return read

    @property
    def spec(self) -> FrontEndSpec:
        """The front end."""
        given = self.front_end
        return given if isinstance(given, FrontEndSpec) else FrontEndSpec.preset(given)

    def asking(self, task: Task) -> Self:
        """The same recipe for another task.

        Raises
        ------
        DataError
            The network is not for such tasks.
        """
        if task.kind not in _WANTED[self.network].tasks:
            raise DataError(
                f"recipe {self.name}: its network has one answer, but the task is {task.option}: "
                "choose another recipe"
            )
        smoothing = self.smoothing if OBJECTIVES[task.kind].smoothed else 0.0
        return replace(self, task=task, smoothing=smoothing)

    def hearing(self, front_end: str | FrontEndSpec) -> Self:
        """The same recipe with another front end.

        What is counted in frames or bands stays the same share of a window.

        Raises
        ------
        SpecError
            There is no such preset.
        DataError
            The network cannot take its features, or the augmentation not its frames.
        """
        before, plain = self.spec, replace(self, front_end=front_end, crop=None)
        spec = plain.spec
        wanted = _WANTED[self.network]
        if not wanted.takes(spec):
            raise DataError(
                f"recipe {self.name}: its network takes {wanted.text}, but the front end gives "
                f"{spec.kind} of shape {spec.shape}: choose another recipe or front end"
            )
        if not isinstance(self.augmentation, Augmentation):
            return plain

        def share(count: int, of: int, now: int) -> int:
            return round(count * now / of)

        frames, bands = (before.n_frames, spec.n_frames), (before.n_mels, spec.n_mels)
        augmentation = replace(
            self.augmentation,
            mask_frames=share(self.augmentation.mask_frames, *frames),
            mask_bands=share(self.augmentation.mask_bands, *bands),
        )
        crop = None if self.crop is None else max(2, share(self.crop, *frames))
        return replace(plain, crop=crop, augmentation=augmentation)

    @property
    def formats(self) -> dict[str, tuple[str, ...]]:
        """Files to make, and in which forms: the first that is kept and recognises most.

        8 bits for TFLite; for ONNX floats, where they cost neither time nor a browser's patience.
        A microcontroller takes nothing but int8.
        """
        return {
            "tflite": ("int8",) if self.target == "micro" else ("dynamic", "int8"),
            "onnx": ("fp32",),
        }

    @property
    def target(self) -> str:
        """The engine that has to run the TFLite file."""
        return "micro" if self.network == "tiny" else "litert"

    @property
    def architecture(self) -> str | None:
        """What `edge_genre.convert` has to be told of a network that PyTorch saved."""
        return "five-channel-cnn" if self.network == "five_channel" else None

    @property
    def description(self) -> str:
        """The network and its input in a few words, for the model files."""
        networks = {
            "songnet": "CNN + GRU + attention",
            "tiny": "separable CNN",
            "five_channel": "CNN",
        }
        spec = self.spec
        return f"{networks[self.network]} on {spec.window_seconds:g} s of {spec.description}"


RECIPES = {
    "songnet": Recipe(),
    # FMA's columns lie 234 ms apart: half of a song trains, all of it is classified, and what a
    # quaver does is not to be seen, so that time is halved twice.
    "songnet-30s": Recipe(
        name="songnet-30s",
        options={
            "filters": (24, 40, 64, 80),
            "width": 128,
            "gru_units": 80,
            "dense": 128,
            "halvings": 2,
        },
        front_end="songnet-fma",
        crop=64,
        batch=48,
        steps=4000,
        mix=0.2,
        embedding=2.0,
        evaluate_every=200,
        augmentation=Augmentation(
            blend=False,
            band_limited=0.2,
            coded=0.0,
            overdriven=0.0,
            reverberant=0.0,
            jitter_db=0.0,
            mask_frames=8,
        ),
    ),
    "tiny": Recipe(name="tiny", network="tiny"),
    "five-channel": Recipe(
        name="five-channel",
        network="five_channel",
        front_end="five-channel-first",
        steps=1500,
        peak_rate=2e-3,
        augmentation=CepstralAugmentation(),
    ),
}
