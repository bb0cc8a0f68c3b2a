"""The five-channel CNN in training, in PyTorch; see `keras_trainer` for its twin."""

from __future__ import annotations

import copy
import io
import math
from pathlib import Path

import numpy as np
import torch

from edge_genre.errors import DataError
from edge_genre.host.files import write_whole
from edge_genre.models.networks.five_channel import FiveChannelCNN
from edge_genre.models.train.recipes import Recipe


class TorchTrainer:
    """The network, its moving average and its optimizer; methods as those of `KerasTrainer`.

    Files are as published ones are: a dict with ``model_state_dict``.

    Parameters
    ----------
    recipe : for seed, rates and momentum.
    n_classes : genres.
    initial : file with a network to begin with; its last layer is not taken over.

    Raises
    ------
    DataError
        `initial` holds no such network.
    """

    suffix = ".ckpt"

    def __init__(self, recipe: Recipe, n_classes: int, *, initial: Path | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self._recipe = recipe
        self.steps = 0
        self.model = FiveChannelCNN(n_classes=n_classes)
        if initial:
            self._begin_with(initial)
        self.average = copy.deepcopy(self.model).eval()
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.peak_rate, weight_decay=recipe.weight_decay
        )

    @property
    def parameters(self) -> int:
        return sum(each.numel() for each in self.model.parameters())

    @property
    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}

    def step(self, x: np.ndarray, y: np.ndarray) -> float:
        # Dropout depends on the seed and the step alone, so that a resumed run is an unbroken one.
        torch.manual_seed((self._recipe.seed << 32) + self.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        self.model.train()
        loss = -(torch.from_numpy(y) * self.model(torch.from_numpy(x))).sum(dim=1).mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self.steps += 1
        keep = min(self._recipe.momentum, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            fast = self.model.state_dict()
            for name, slow in self.average.state_dict().items():
                if slow.is_floating_point():
                    slow.mul_(keep).add_(fast[name], alpha=1 - keep)
                else:
                    slow.copy_(fast[name])
        return float(loss.detach())

    def predict(self, windows: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            parts = [self.average(torch.from_numpy(part)) for part in _parts(windows, 256)]
        return torch.cat(parts).exp().numpy()

    def save(self, path: Path, *, temperature: float = 1.0) -> None:
        network = copy.deepcopy(self.average)
        with torch.no_grad():
            network.out.weight.div_(temperature)
            network.out.bias.div_(temperature)
        torch.save({"model_state_dict": network.state_dict()}, path)

    def load(self, path: Path) -> None:
        self.average.load_state_dict(torch.load(path, weights_only=True)["model_state_dict"])

    def keep(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "steps": self.steps,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        content = io.BytesIO()
        torch.save(state, content)
        write_whole(folder / "state.ckpt", content.getvalue())

    def resume(self, folder: Path) -> bool:
        path = folder / "state.ckpt"
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]
        return True

    def _begin_with(self, initial: Path) -> None:
        try:
            weights = torch.load(initial, weights_only=True)["model_state_dict"]
            body = {name: each for name, each in weights.items() if not name.startswith("out.")}
            missing = self.model.load_state_dict(body, strict=False)
        except Exception as error:  # a pickle may hold anything
            raise DataError(f"{initial}: is no checkpoint of the five-channel CNN") from error
        if missing.missing_keys != ["out.weight", "out.bias"] or missing.unexpected_keys:
            raise DataError(f"{initial}: is no checkpoint of the five-channel CNN")

    def _rate(self) -> float:
        """Linear warm-up, then half a cosine to 0."""
        recipe = self._recipe
        warmup = min(recipe.warmup, recipe.steps // 10)
        if self.steps < warmup:
            return recipe.peak_rate * (self.steps + 1) / warmup
        done = (self.steps - warmup) / max(recipe.steps - warmup, 1)
        return recipe.peak_rate * (1 + math.cos(math.pi * done)) / 2


def _parts(windows: np.ndarray, size: int) -> list[np.ndarray]:
    return [windows[i : i + size] for i in range(0, len(windows), size)]
