"""FMA's spectrograms on the grid of SongNet's front end, to pre-train on before 3 s of GTZAN.

    python -m edge_genre.models.fma fma_small_logmel.npz fma_as_gtzan.npz
    edge-genre train fma_as_gtzan.npz --embeddings fma_small_vggish.npz --steps 6000 -o runs/fma
    edge-genre train gtzan_logmel.npz --initial runs/fma/best.keras -o runs/gtzan

With the teacher embeddings, each window of a track learns to give the track's mean VGGish embedding
beside its genre: a network of 72 million parameters is distilled into one of 0.14 million. The
module stands here, outside `data`, because the cards of released models name it by this command.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from edge_genre.benchmarks.accuracy.features_file import TOP_DB
from edge_genre.frontend import FrontEndSpec
from edge_genre.frontend.mel import hz_to_mel, mel_to_hz

_THEIRS, _OURS = (FrontEndSpec.preset(f"songnet-{name}") for name in ("fma", "gtzan"))
# Columns of theirs from one of ours to the next: 0.33.
SPEED = _OURS.hop_length / _OURS.sample_rate / (_THEIRS.hop_length / _THEIRS.sample_rate)
_FULL_SCALE = 63


def on_our_bands(levels: np.ndarray) -> np.ndarray:
    """Mel bands up to 22,050 Hz as ours up to 11,025 Hz, interpolated at the centres.

    Parameters
    ----------
    levels : dB (..., bands).
    """
    return _interpolated(levels, np.interp(_centres(_OURS), _centres(_THEIRS), np.arange(128)))


def in_our_time(levels: np.ndarray) -> np.ndarray:
    """Columns of 234 ms as columns of 78 ms.

    Parameters
    ----------
    levels : dB (..., columns).
    """
    last = levels.shape[-1] - 1
    return _interpolated(levels, np.arange(0, last, SPEED))


def _interpolated(levels: np.ndarray, position: np.ndarray) -> np.ndarray:
    below = position.astype(int)
    above = np.minimum(below + 1, levels.shape[-1] - 1)
    share = (position - below).astype(np.float32)
    return levels[..., below] * (1 - share) + levels[..., above] * share


def _centres(spec: FrontEndSpec) -> np.ndarray:
    low, high = hz_to_mel(np.array([0.0, spec.sample_rate / 2]), "slaney")
    return mel_to_hz(np.linspace(low, high, spec.n_mels + 2), "slaney")[1:-1]


@click.command(help=__doc__.partition("\n\n")[0])
@click.argument("corpus", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
def main(corpus: Path, output: Path) -> None:
    with np.load(corpus) as file:
        arrays = {name: file[name] for name in file.files}
    moved = []
    for track in arrays["X"]:
        levels = track.astype(np.float32) * (255 / _FULL_SCALE)
        levels = in_our_time(on_our_bands(levels.T).T)
        moved.append(np.rint(levels).astype(np.uint8))
    arrays["X"] = np.stack(moved)
    np.savez(output, **arrays | {"front_end": np.array("songnet-gtzan")})
    n, bands, columns = arrays["X"].shape
    click.echo(f"{output}: {n} tracks of {columns} columns and {bands} bands, {TOP_DB:g} dB")


if __name__ == "__main__":
    main()
