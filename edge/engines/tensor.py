"""What an engine says of a graph's inputs and outputs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

# TensorFlow's names of the inputs and outputs of a signature: serving_default_mfcc:0.
_DECORATED = re.compile(r"(?:serving_default_)?(.+?)(?::\d+)?")


@dataclass(frozen=True)
class Tensor:
    """An input or an output: its bare name, and its shape, in which None is any size."""

    name: str
    shape: tuple[int | None, ...]

    @property
    def size(self) -> int | None:
        """Numbers in one batch of one; None where that is not known."""
        sizes = self.shape[1:] if self.shape[:1] == (None,) else self.shape
        known = [size for size in sizes if size is not None]
        return math.prod(known) if len(known) == len(sizes) else None


def bare_name(name: str) -> str:
    """A tensor's name without what TensorFlow puts around it."""
    found = _DECORATED.fullmatch(name)
    return found[1] if found else name
