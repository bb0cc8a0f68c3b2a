"""Figures of a model's card that training does not give: time, robustness, other classifiers.

    python -m edge_genre.models.publish.figures models/songnet-gtzan \\
        models/bundled/songnet-gtzan.* --corpus gtzan_logmel.npz --clips gtzan_clips

writes ``measured.json``; `edge_genre.models.publish.card` reads it. What is measured again replaces
what was there, all else stays.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from edge_genre.benchmarks.accuracy.robustness import CONDITIONS, tracks_under_conditions
from edge_genre.classifier import Classifier
from edge_genre.convert.verify.graph_facts import multiply_accumulates
from edge_genre.frontend import FrontEnd
from edge_genre.host.machine import this_machine
from edge_genre.host.timing import medians
from edge_genre.model.container import split
from edge_genre.models.data.dataset import Data
from edge_genre.models.train.baselines import artist_effect, measure
from edge_genre.results import song_probabilities

MEASURED_FILE = "measured.json"
_RUNS = 200

_ARTISTS = """\
A linear SVM on statistics of windows, trained twice: with artists apart, and on parts of the same
sizes drawn by lot from the same tracks, so that artists stand on both sides (mean of five draws).
The difference is knowledge of artists and albums, which is of no use for a new song. Genres that
lose most have few artists in the training part; no network can learn from them what all artists of
the genre have in common."""


def cost(files: tuple[Path, ...]) -> dict[str, Any]:
    """Median times of one window on one thread, by the kind of file, and multiply-accumulates."""
    found: dict[str, Any] = {"machine": this_machine().cpu}
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
        found[path.suffix[1:]] = {name: round(1e3 * time, 3) for name, time in times.items()}
        if path.suffix == ".tflite":
            graph, _ = split(classifier.model.content)
            found["multiply_accumulates"] = multiply_accumulates(graph)
    return found


def robustness(model: Path, clips: Path) -> dict[str, Any]:
    """Validation clips right as they are, and under each condition."""
    classifier = Classifier.load(model)
    right = dict.fromkeys(("", *CONDITIONS), 0)
    count = 0
    with _validation(clips) as folder:
        for tracks in tracks_under_conditions(classifier, folder, left_out=_refuse):
            count += 1
            for name, track in tracks.items():
                said = song_probabilities(track.probabilities, track.temperature).argmax()
                right[name] += int(said == track.genre)
    return {
        "data": "The validation clips' audio",
        "tracks": count,
        "tracks_correct": right.pop(""),
        "conditions": right,
    }


@contextmanager
def _validation(clips: Path) -> Iterator[Path]:
    """A folder of the validation part alone."""
    with tempfile.TemporaryDirectory() as name, (clips / "index.csv").open() as table:
        for row in csv.DictReader(table):
            if row["split"] == "valid":
                (Path(name) / row["file"]).symlink_to((clips / row["file"]).resolve())
        yield Path(name)


def _refuse(line: str) -> None:
    raise click.ClickException(line)


@click.command(help="Measure what a model's card says beyond training.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--corpus", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--clips", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path, files: tuple[Path, ...], corpus: Path | None, clips: Path | None) -> None:
    path = folder / MEASURED_FILE
    values = json.loads(path.read_text()) if path.exists() else {}
    values["cost"] = cost(files)
    if corpus:
        data = Data.of_file(corpus, Classifier.load(files[0]).spec)
        values["baselines"] = measure(data)
        values["artists"] = {"text": _ARTISTS, **artist_effect(data)}
    if clips:
        (model,) = (file for file in files if file.suffix == ".tflite")
        values["robustness"] = robustness(model, clips)
    path.write_text(json.dumps(values, indent=1) + "\n")
    click.echo(path)


if __name__ == "__main__":
    main()
