"""Model cards: what a model is, what it was measured to do, and where it fails.

    python -m edge_genre.models.publish.card models/songnet-gtzan models/bundled/songnet-gtzan.*

writes ``README.md`` in the folder of a run, and the same text into the model files. A folder holds
``metrics.json``, which training writes; it may hold ``measured.json``, which
`edge_genre.models.publish.figures` writes, and ``notes.md``, which only a person can write. The
headings follow Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv:1810.03993).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from edge_genre.benchmarks.markdown import table
from edge_genre.errors import DataError
from edge_genre.model.container import split
from edge_genre.model.file import ModelFile, ModelInfo, read, write
from edge_genre.models.publish import labels_card
from edge_genre.models.publish.measured import Ablation, Cost, Measured, Robustness
from edge_genre.models.train.baselines import ArtistEffect
from edge_genre.models.train.metrics import (
    METRICS_FILE,
    ConfidenceCalibration,
    LabelMetrics,
    Metrics,
    RunMetrics,
)
from edge_genre.models.train.objectives import OBJECTIVES
from edge_genre.models.train.scores import Score

CARD_FILE = "README.md"

_NO_LICENSE = "none given: ask whoever trained it"
_LIMITS = """\
For naming the genre of music that is played to it, one of those below. It has no answer "something
else": any music, speech or noise louder than the silence gate gets one of these names. Genres are
opinions: even people agree with each other's labels only in part. Measure it on music of your own
with `edge-genre evaluate` before you rely on it, and do not use it for decisions about people.
"""


def card(files: Sequence[ModelFile], metrics: RunMetrics, measured: Measured, notes: str) -> str:
    """Return the card of a model in Markdown.

    Parameters
    ----------
    files : its files, which have descriptions
    metrics : of the training run
    measured : figures beyond those
    notes : a person's words on it, with headings of their own
    """
    info = _info(files[0])
    title = f"# {info.name} {info.version}\n\n{info.description}.\n"
    license_ = f"## Licence\nOf the weights: {info.license or _NO_LICENSE}.\n"
    if isinstance(metrics, Metrics):
        found = _of_genres(files, metrics, measured, notes)
    else:
        assert isinstance(metrics, LabelMetrics)
        found = _of_labels(files, metrics, notes)
    return "\n".join([title, *found, license_])


def _of_labels(files: Sequence[ModelFile], metrics: LabelMetrics, notes: str) -> list[str]:
    info = _info(files[0])
    sections = {
        head: f"## {head}\n{text}" for head, text in labels_card.parts(files, metrics).items()
    }
    before, after = (
        [sections[head] for head in heads]
        for heads in (("Files", "Intended use and limits"), ("Data", "Label by label"))
    )
    own = [notes] if notes else []
    end = [_training(info, metrics), sections["Confidence"], _front_end(info)]
    return [*before, *own, *after, *end]


def _of_genres(
    files: Sequence[ModelFile], metrics: Metrics, measured: Measured, notes: str
) -> list[str]:
    info = _info(files[0])
    parts = [_files(files, metrics, measured.cost)]
    parts.append(f"## Intended use and limits\n{_LIMITS}")
    if notes:
        parts.append(notes)
    parts += [_data(metrics), _genres(metrics), _training(info, metrics)]
    parts += [_confidence(metrics.confidence), _front_end(info)]
    baselines = measured.baselines or metrics.baselines
    if baselines:
        parts.append(_baselines(baselines))
    if measured.artists:
        parts.append(_artists(measured.artists))
    if measured.robustness:
        parts.append(_robustness(measured.robustness))
    if measured.ablation:
        parts.append(_ablation(measured.ablation))
    return parts


def write_card(folder: Path, files: Sequence[Path]) -> Path:
    """Write the card of a run into its folder and into its model files.

    Parameters
    ----------
    folder : with ``metrics.json``
    files : TFLite and ONNX files of one model

    Returns
    -------
    The card's path

    Raises
    ------
    DataError
        The folder holds no run, or a file has no description.
    """
    models = [read(path) for path in files]
    for model in models:
        if model.info is None:
            raise DataError(f"{model.path}: says nothing of itself: convert it again")
    if not (folder / METRICS_FILE).exists():
        raise DataError(f"{folder}: holds no {METRICS_FILE}, which edge-genre train writes")
    notes = folder / "notes.md"
    text = card(
        models,
        OBJECTIVES[_info(models[0]).task.kind].metrics.read(folder),
        Measured.read(folder),
        notes.read_text() if notes.exists() else "",
    )
    path = folder / CARD_FILE
    path.write_text(text)
    for model in models:
        graph, _ = split(model.content)
        write(model.path, graph, replace(_info(model), card=text))
    return path


def _files(files: Sequence[ModelFile], metrics: Metrics, cost: Cost | None) -> str:
    """One row a form, with the network as it was trained for comparison."""
    rows = []
    last = metrics.validation_at_last_step
    for file in files:
        graph, _ = split(file.content)
        counts = {row["unit"]: row for row in _info(file).accuracy}
        times = cost and cost.times.get(file.path.suffix[1:])
        rows.append(
            [
                f"`{file.path.name}`",
                _info(file).quantization,
                f"{len(graph) / 1000:.0f} kB",
                *(_interval(counts[unit]) for unit in ("window", "track")),
                f"{counts['track']['calibration_error']:.1%}",
                f"{times.front_end_ms:.2f} + {times.inference_ms:.2f} ms" if times else "",
            ]
        )
    error = f"{metrics.confidence.track_error[1]:.1%}"
    rows.append(
        [
            *("as trained", "fp32", f"{metrics.parameters:,} weights"),
            *_shares(metrics.validation),
            *(error, ""),
        ]
    )
    window = _info(files[0]).front_end
    seconds = f"{window.window_seconds:g} s " if window else ""
    right = [f"{seconds}windows right", "tracks right", "calibration error of tracks"]
    heads = ["file", "weights", "graph", *right, "time a window"]
    text = _table(heads, rows)
    if cost:
        text += f"\nTimes are front end + inference on one thread of {cost.machine}, medians."
        if cost.multiply_accumulates:
            millions = cost.multiply_accumulates / 1e6
            text += f" {millions:.1f} million multiply-accumulates a window."
        text += "\n"
    return (
        f"## Files\n{text}\nAccuracy with 95 % intervals (of windows from resampled tracks, since "
        f"the windows of a track are much alike; of tracks Wilson's), on {metrics.data}'s "
        f"validation part; split: {metrics.split}. A track is named by the mean probability of "
        f"its windows. The step that is published was chosen {metrics.chosen}, so these figures "
        f"flatter a little; the last step, which was not chosen, has {_last(last)}.\n"
    )


def _last(score: Score) -> str:
    return (
        f"{score.windows_correct} windows ({score.window_accuracy:.1%}) and "
        f"{score.tracks_correct} tracks ({score.track_accuracy:.1%})"
    )


def _data(metrics: Metrics) -> str:
    rows = [
        [genre, str(metrics.training_genres[genre]), str(found.tracks)]
        for genre, found in metrics.genres.items()
    ]
    rows.append(["all", str(metrics.training_tracks), str(metrics.validation.tracks)])
    return f"## Data\n{metrics.data}; split: {metrics.split}.\n\n" + _table(
        ["genre", "training tracks", "validation tracks"], rows
    )


def _genres(metrics: Metrics) -> str:
    rows = []
    for genre, found in metrics.genres.items():
        others = {name: n for name, n in found.taken_for.items() if name != genre}
        wrong = sorted(others.items(), key=lambda each: -each[1])[:3]
        rows.append(
            [
                genre,
                f"{found.correct} of {found.tracks}",
                ", ".join(f"{name} {n}" for name, n in wrong),
            ]
        )
    return "## Genre by genre\nValidation tracks, of the network as trained.\n\n" + _table(
        ["genre", "right", "taken for"], rows
    )


def _training(info: ModelInfo, metrics: RunMetrics) -> str:
    lines = [
        f"`{info.training.get('recipe', '')}`: {metrics.steps:,} steps of "
        f"{metrics.recipe['batch']} windows, seed {metrics.seed}, step "
        f"{metrics.chosen_step:,} published, {metrics.wall_seconds / 60:.0f} minutes."
    ]
    initial = metrics.initial
    if initial:
        lines.append(f"It began with `{initial.file}` (SHA-256 {initial.sha256[:16]}...).")
    return "## Training\n" + " ".join(lines) + "\n"


def _confidence(found: ConfidenceCalibration) -> str:
    windows, tracks = found.window_error, found.track_error
    return (
        "## Confidence\n"
        f"The logits are divided by {found.temperature:g}, and those of the mean over a "
        f"song's windows, where it has several, by {found.song_temperature:g}; both numbers "
        "were fitted on the validation part. Expected calibration error there: windows "
        f"{windows[0]:.1%} before "
        f"and {windows[1]:.1%} after, tracks {tracks[0]:.1%} and {tracks[1]:.1%}; of tracks "
        f"{found.cross_fitted_error:.1%} if each half is measured with what was fitted on the "
        f"other. Were confidence perfect, it would come out as {found.chance_error:.1%} with so "
        "few tracks (ten bins).\n"
    )


def _front_end(info: ModelInfo) -> str:
    spec = info.front_end
    if spec is None:
        return "## Front end\nNone: its features are not audio's.\n"
    values = ", ".join(f"{key} {value}" for key, value in spec.to_dict().items())
    return f"## Front end\n{values}; hash {spec.hash}.\n"


def _baselines(scores: dict[str, Score]) -> str:
    return (
        "## Classical classifiers on the same parts\n"
        "On mean, deviation, two percentiles and mean change of each row of a window.\n\n"
        + _table(
            ["classifier", "windows", "tracks"],
            [[name, *_shares(score)] for name, score in scores.items()],
        )
    )


def _robustness(found: Robustness) -> str:
    rows = [
        [name, str(n), f"{100 * (n - found.tracks_correct) / found.tracks:+.1f} points"]
        for name, n in found.conditions.items()
    ]
    return (
        f"## Robustness\n{found.data}: {found.tracks_correct} of {found.tracks} right as they are "
        f"(`edge-genre evaluate --robustness`). They are few: a track is "
        f"{100 / found.tracks:.1f} points.\n\n" + _table(["heard as", "right", "change"], rows)
    )


def _ablation(found: Ablation) -> str:
    rows = []
    for name, runs in found.variants.items():
        windows = [run.window_accuracy for run in runs]
        tracks = [run.track_accuracy for run in runs]
        rows.append([name, str(len(runs)), _mean(windows), _mean(tracks)])
    return f"## What brought what\n{found.text}\n\n" + _table(
        ["recipe", "seeds", "windows right", "tracks right"], rows
    )


def _artists(found: ArtistEffect) -> str:
    rows = [
        [genre, f"{apart:.0%}", f"{mixed:.0%}"]
        for genre, apart, mixed in zip(found.genres, found.apart, found.mixed, strict=True)
    ]
    rows.append(["all tracks", f"{found.all_apart:.1%}", f"{found.all_mixed:.1%}"])
    return f"## How much is recognising the artist\n{found.text}\n\n" + _table(
        ["genre", "artists apart", "artists mixed"], rows
    )


def _interval(row: dict[str, Any]) -> str:
    ends = f"{row['low']:.1%} to {row['high']:.1%}"
    return f"{row['correct'] / row['n']:.1%} ({ends}), {row['correct']:,} of {row['n']:,}"


def _shares(score: Score) -> tuple[str, str]:
    """Of windows and of tracks that are right."""
    return (
        _share(score.windows_correct, score.windows),
        _share(score.tracks_correct, score.tracks),
    )


def _share(correct: int, n: int) -> str:
    return f"{correct / n:.1%}, {correct:,} of {n:,}"


def _mean(values: Sequence[float]) -> str:
    mean = sum(values) / len(values)
    return f"{mean:.1%} ({min(values):.1%} to {max(values):.1%})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table(head, rows) + "\n"


def _info(file: ModelFile) -> ModelInfo:
    assert file.info is not None
    return file.info


@click.command(help="Write the card of a run into its folder and its model files.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def main(folder: Path, files: tuple[Path, ...]) -> None:
    click.echo(write_card(folder, files))


if __name__ == "__main__":
    main()
