"""Figures of a model's card that training does not give: time, robustness, other classifiers.

    python -m edge_genre.models.publish.figures models/songnet-gtzan \\
        models/bundled/songnet-gtzan.* --corpus gtzan_logmel.npz --clips gtzan_clips

writes ``measured.json``; `edge_genre.models.publish.card` reads it. What is measured again replaces
what was there, all else stays.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import numpy as np

from edge_genre.benchmarks.accuracy.evaluation import count
from edge_genre.benchmarks.accuracy.robustness import CONDITIONS, tracks_under_conditions
from edge_genre.classifier import Classifier
from edge_genre.convert.verify.graph_facts import multiply_accumulates
from edge_genre.frontend import FrontEnd
from edge_genre.host.machine import this_machine
from edge_genre.host.timing import medians
from edge_genre.model.container import split
from edge_genre.models.data.dataset import Data
from edge_genre.models.publish.measured import Cost, Measured, Robustness, Times
from edge_genre.models.train.baselines import artist_effect, score_baselines

_RUNS = 200


def cost(files: tuple[Path, ...]) -> Cost:
    """Measure a window of each file on one thread, and count the TFLite graph's operations."""
    found: dict[str, Times] = {}
    operations = None
    for path in files:
        classifier = Classifier.load(path)
        front_end = FrontEnd(classifier.spec)
        samples = np.random.default_rng(0).normal(0, 0.1, classifier.spec.window_samples)
        samples = samples.astype(np.float32)
        features = front_end(samples).copy()
        times = medians(
            {
                "front_end_ms": partial(front_end, samples),
                "inference_ms": partial(classifier.run, features),
            },
            rounds=_RUNS,
        )
        found[path.suffix[1:]] = Times(**{name: round(1e3 * t, 3) for name, t in times.items()})
        if path.suffix == ".tflite":
            graph, _ = split(classifier.model.content)
            operations = multiply_accumulates(graph)
    return Cost(this_machine().cpu, found, operations)


def robustness(model: Path, clips: Path) -> Robustness:
    """Count the validation clips that are right as they are, and under each condition."""
    classifier = Classifier.load(model)
    with _validation(clips) as folder:
        found = [*tracks_under_conditions(classifier, folder, left_out=_refuse)]
    right = {
        name: count([tracks[name] for tracks in found]).tracks_correct for name in ("", *CONDITIONS)
    }
    return Robustness(
        data="The validation clips' audio",
        tracks=len(found),
        tracks_correct=right.pop(""),
        conditions=right,
    )


@contextmanager
def _validation(clips: Path) -> Iterator[Path]:
    """A folder of the validation part alone."""
    with tempfile.TemporaryDirectory() as name, (clips / "index.csv").open() as table:
        for row in csv.DictReader(table):
            if row["split"] == "valid":
                (Path(name) / row["file"]).symlink_to((clips / row["file"]).resolve())
        yield Path(name)


def _refuse(line: str, files: int = 1) -> None:
    raise click.ClickException(line)


@click.command(help="Measure what a model's card says beyond training.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--corpus", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--clips", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path, files: tuple[Path, ...], corpus: Path | None, clips: Path | None) -> None:
    found = Measured(cost=cost(files))
    if corpus:
        data = Data.of_file(corpus, Classifier.load(files[0]).spec)
        found = replace(found, baselines=score_baselines(data), artists=artist_effect(data))
    if clips:
        (model,) = (file for file in files if file.suffix == ".tflite")
        found = replace(found, robustness=robustness(model, clips))
    click.echo(found.write(folder))


if __name__ == "__main__":
    main()
