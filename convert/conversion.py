"""One model on its way to files: what its formats share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_genre.convert.description import Description
from edge_genre.convert.isolation import Children
from edge_genre.convert.options import ConversionOptions
from edge_genre.convert.original import Original
from edge_genre.task import Task


@dataclass(frozen=True)
class Conversion:
    """What each step of a conversion may need.

    Parameters
    ----------
    options : what is asked for
    description : what the files will say of themselves
    original : the model, and what it answers
    folder : for graphs and arrays on the way
    children : run the steps
    """

    options: ConversionOptions
    description: Description
    original: Original
    folder: Path
    children: Children

    @property
    def task(self) -> Task:
        """What the outputs mean."""
        return self.description.info.task

    def output_of(self, suffix: str) -> str:
        """What a format gives: TFLite made here probabilities, of which 8 bits keep most."""
        made_here = suffix == "tflite" and not self.original.facts.quantization
        return "probabilities" if made_here else self.original.output
