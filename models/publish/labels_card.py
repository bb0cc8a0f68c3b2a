"""The card of a model with labels that each hold or not; see `edge_genre.models.publish.card`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_genre.benchmarks.markdown import table
from edge_genre.model.container import split
from edge_genre.model.file import ModelFile
from edge_genre.models.train.metrics import LabelMetrics

_LIMITS = """\
For naming which {nouns} the music has that is played to it: all of those below whose probability
reaches their threshold, perhaps none. It knows no others, and judges any sound louder than the
silence gate. Such labels are opinions: measure it on music of your own with `edge-genre evaluate`
before you rely on it, and do not use it for decisions about people.
"""


def parts(files: Sequence[ModelFile], metrics: LabelMetrics) -> dict[str, str]:
    """The sections that other models' cards have otherwise, by their headings."""
    info = files[0].info
    assert info is not None
    nouns = info.task.nouns
    return {
        "Files": _files(files, metrics),
        "Intended use and limits": _LIMITS.format(nouns=nouns),
        "Data": _data(metrics, info.task.noun),
        "Label by label": _labels(metrics, info.task.noun),
        "Confidence": _confidence(metrics),
    }


def _files(files: Sequence[ModelFile], metrics: LabelMetrics) -> str:
    rows = []
    for file in files:
        assert file.info is not None
        graph, _ = split(file.content)
        (row,) = file.info.accuracy
        rows.append(
            [
                f"`{file.path.name}`",
                file.info.quantization,
                f"{len(graph) / 1000:.0f} kB",
                *(_interval(row[name]) for name in _FIGURES),
                f"{row['correct']:,} of {row['n']:,}",
            ]
        )
    found, last = metrics.validation, metrics.validation_at_last_step
    rows.append(
        [
            *("as trained", "fp32", f"{metrics.parameters:,} weights"),
            f"{found.macro_average_precision:.3f}",
            f"{found.micro_average_precision:.3f}",
            *(f"{metrics.confidence.macro_f1:.3f}", ""),
        ]
    )
    heads = ["file", "weights", "graph", *_FIGURES.values(), "tracks with all labels right"]
    return (
        f"{_table(heads, rows)}\nWith 95 % intervals from resampled tracks, on {metrics.data}'s "
        f"validation part; split: {metrics.split}. The step that is published was chosen "
        f"{metrics.chosen}, and so were the thresholds: these figures flatter. The last step, "
        f"which was not chosen, has {last.text}.\n"
    )


_FIGURES = {
    "macro_average_precision": "average precision, macro",
    "micro_average_precision": "micro",
    "macro_f1": "F1, macro",
}


def _data(metrics: LabelMetrics, noun: str) -> str:
    rows = [
        [label, str(metrics.training_genres[label]), str(found.tracks)]
        for label, found in metrics.genres.items()
    ]
    rows.append(["all", str(metrics.training_tracks), str(metrics.validation.tracks)])
    text = _table([noun, "training tracks", "validation tracks"], rows)
    return f"{metrics.data}; split: {metrics.split}.\n\n{text}"


def _labels(metrics: LabelMetrics, noun: str) -> str:
    rows = [
        [
            label,
            "" if found.average_precision is None else f"{found.average_precision:.3f}",
            f"{found.threshold:g}",
            *(f"{value:.1%}" for value in (found.precision, found.recall, found.f1)),
        ]
        for label, found in metrics.genres.items()
    ]
    heads = [noun, "average precision", "threshold", "precision", "recall", "F1"]
    return "Validation tracks, of the network as trained.\n\n" + _table(heads, rows)


def _confidence(metrics: LabelMetrics) -> str:
    return (
        f"The logits are divided by {metrics.confidence.temperature:g}, of all labels alike, which "
        "was fitted on the validation part. A song's probabilities are the means of its windows'. "
        "The thresholds above give each label its highest F1 there; choose others on music of your "
        "own with `edge-genre evaluate --choose-thresholds`.\n"
    )


def _interval(values: Sequence[float]) -> str:
    value, low, high = values
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return table(heads, rows) + "\n"
