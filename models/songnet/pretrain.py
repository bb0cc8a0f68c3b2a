"""Pre-train SongNet on more music than has GTZAN's labels, with a large network's view as target.

    python -m edge_genre.models.songnet.pretrain --corpus fma_small_logmel.npz \\
        --targets fma_small_vggish.npz --output runs/pretrained

Each window of a track should give the track's mean VGGish embedding, and its FMA genre beside it:
what a network of 70 million parameters hears, learned by one of 0.14. Half an hour on one core.
Give the result to ``edge-genre train --initial``. Run it again to go on from where it was stopped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import track

from edge_genre.frontend.mel import hz_to_mel, mel_to_hz
from edge_genre.models.songnet.architecture import songnet
from edge_genre.models.songnet.augment import Augmentation, stretched_crops
from edge_genre.models.songnet.corpus import Tracks, features
from edge_genre.models.songnet.data import SPEC
from edge_genre.models.songnet.train import Recipe, Trainer

N_EMBEDDED, N_GENRES = 128, 8
_LABELS = 0.3  # weight of the genres beside the embedding
# FMA's corpus: full scale 63 for 80 dB, mel bands up to 22,050 Hz, a column for three of ours.
_FULL_SCALE, _TOP_HZ, _COLUMN_SECONDS = 63, 22_050.0, 10_336 / 44_100


@dataclass(frozen=True)
class Lessons:
    """Tracks and what a window of each should give.

    Parameters
    ----------
    tracks : on SPEC's mel bands, but with columns of 0.23 s.
    embeddings : standardized over the tracks, float32 (tracks, 128).
    """

    tracks: Tracks
    embeddings: np.ndarray

    @classmethod
    def load(cls, corpus: Path, targets: Path, part: int) -> Lessons:
        """Read one part of the corpus, with the embeddings of the same tracks."""
        with np.load(corpus) as file, np.load(targets) as teacher:
            chosen = file["split"] == part
            (embedded,) = (teacher[key] for key in teacher.files if teacher[key].ndim == 2)
            embedded = embedded.astype(np.float32)
            embedded = (embedded - embedded.mean(0)) / (embedded.std(0) + 1e-6)
            levels = file["X"][chosen].transpose(0, 2, 1).astype(np.float32)
            frames = on_our_bands(levels * (80 / _FULL_SCALE) - 80)
            names = file["track_id"][chosen].astype(str)
            tracks = Tracks(
                frames=frames.reshape(-1, SPEC.n_mels),
                lengths=np.full(len(levels), levels.shape[1]),
                labels=file["y"][chosen].astype(np.int64),
                names=names,
                groups=names,
                genres=tuple(str(genre) for genre in file["genres"]),
            )
        return cls(tracks, embedded[chosen])


def on_our_bands(levels: np.ndarray) -> np.ndarray:
    """Mel bands up to 22,050 Hz as SPEC's up to 11,025 Hz, interpolated at the centres."""
    theirs, ours = (_centres(top) for top in (_TOP_HZ, SPEC.sample_rate / 2))
    place = np.interp(ours, theirs, np.arange(SPEC.n_mels))
    below = place.astype(int)
    share = (place - below).astype(np.float32)
    above = np.minimum(below + 1, SPEC.n_mels - 1)
    return levels[..., below] * (1 - share) + levels[..., above] * share


def _centres(top: float) -> np.ndarray:
    low, high = hz_to_mel(np.array([0.0, top]), "slaney")
    return mel_to_hz(np.linspace(low, high, SPEC.n_mels + 2), "slaney")[1:-1]


def network(n_frames: int) -> keras.Model:
    """SongNet with two heads in the place of its last layer: embedding and logits of genres."""
    body = songnet(n_frames=n_frames)
    heard = body.get_layer("dense_dropout").output
    heads = [
        keras.layers.Dense(N_EMBEDDED, name="embedding")(heard),
        keras.layers.Dense(N_GENRES, name="fma")(heard),
    ]
    return keras.Model(body.inputs, keras.layers.Concatenate(name="heads")(heads))


def loss(embeddings: tf.Tensor, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Mean squared error of the embedding, and a share of the cross-entropy of the genre."""
    said, logits = outputs[:, :N_EMBEDDED], outputs[:, N_EMBEDDED:]
    wrong = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return tf.reduce_mean(tf.square(said - embeddings), axis=1) + _LABELS * wrong


def batch(lessons: Lessons, recipe: Recipe, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, embeddings and genres of one step; they depend on the seed and the step alone."""
    rng = np.random.default_rng([recipe.seed, step])
    chosen = rng.permutation(len(lessons.tracks))[: recipe.batch]
    x = recipe.augmentation.windows(lessons.tracks, chosen, recipe.n_frames, rng, speed=speed())
    return features(x), lessons.embeddings[chosen], lessons.tracks.labels[chosen]


def speed() -> float:
    """Columns of FMA's corpus to a frame of ours."""
    return SPEC.hop_length / SPEC.sample_rate / _COLUMN_SECONDS


def recognised(trainer: Trainer, lessons: Lessons, recipe: Recipe) -> float:
    """Share of tracks whose FMA genre a single window tells."""
    rng, every = np.random.default_rng(1), np.arange(len(lessons.tracks))
    x = features(stretched_crops(lessons.tracks, every, recipe.n_frames, 0, rng, speed=speed()))
    said = np.concatenate(
        [trainer.predict(x[i : i + 200])[:, N_EMBEDDED:].numpy() for i in range(0, len(x), 200)]
    )
    return float((said.argmax(1) == lessons.tracks.labels).mean())


@click.command(help=__doc__.partition("\n\n")[0])
@click.option("--corpus", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--targets", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", default=0, show_default=True)
@click.option("--steps", default=3000, show_default=True)
@click.option("--evaluate-every", default=200, show_default=True)
def main(
    corpus: Path, targets: Path, output: Path, seed: int, steps: int, evaluate_every: int
) -> None:
    # The bands' ends tell what a full-range teacher heard.
    whole = Augmentation(band_limited=0)
    recipe = Recipe(seed=seed, steps=steps, evaluate_every=evaluate_every, augmentation=whole)
    lessons, held_out = (Lessons.load(corpus, targets, part) for part in (0, 1))
    trainer = Trainer(recipe, lambda: network(recipe.n_frames), loss)
    output.mkdir(parents=True, exist_ok=True)
    manager = tf.train.CheckpointManager(trainer.checkpoint, output / "checkpoint", max_to_keep=1)
    log = output / "history.json"
    history = json.loads(log.read_text()) if log.exists() else []
    if manager.latest_checkpoint:
        trainer.checkpoint.restore(manager.latest_checkpoint).assert_consumed()
    first, losses = int(trainer.optimizer.iterations.numpy()), []
    console = Console(stderr=True)
    for step in track(range(first + 1, steps + 1), "pre-training", console=console):
        losses.append(float(trainer.step(*batch(lessons, recipe, step - 1))))
        if step % evaluate_every and step != steps:
            continue
        row = {"step": step, "loss": float(np.mean(losses))}
        row["windows"] = recognised(trainer, held_out, recipe)
        history, losses = [*(each for each in history if each["step"] < step), row], []
        log.write_text(json.dumps(history, indent=1) + "\n")
        manager.save()
        console.print(f"step {step}: loss {row['loss']:.3f}, FMA windows {row['windows']:.1%}")
    body = songnet(n_frames=recipe.n_frames)
    for layer in body.layers[:-1]:
        layer.set_weights(trainer.average.get_layer(layer.name).get_weights())
    body.save(output / "pretrained.keras")
    console.print(f"{output / 'pretrained.keras'}: give it to edge-genre train --initial")


if __name__ == "__main__":
    main()
