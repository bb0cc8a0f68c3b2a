"""The parts by themselves: a model file, its front end, an engine.

    python examples/engine.py [MODEL]

For those who have features already, keep them, or run a model on features that are not audio's.
"""

import sys

import numpy as np

from edge_genre import AudioFile, Engine, FrontEnd, ModelError
from edge_genre.audio.resample import resampled
from edge_genre.demo import clip
from edge_genre.model.bundled import find_model
from edge_genre.model.file import read


def main(model: str = "songnet-gtzan") -> None:
    """Compute one window's features, and classify them."""
    file = read(find_model(model))
    if file.info is None or file.info.front_end is None:
        raise ModelError(f"{file.path}: says nothing of a front end")
    spec, labels = file.info.front_end, file.info.labels
    engine = Engine(file, shape=spec.shape, output=file.info.output, task=file.info.task)
    with AudioFile(clip()) as song:
        samples = resampled(song, spec.sample_rate)
    features = FrontEnd(spec)(np.resize(samples, spec.window_samples))
    row = engine.run(features)
    print(f"{engine.name}: features {features.shape} -> {row.shape}")
    for index in np.argsort(-row)[:3]:
        print(f"{labels[index]:10} {row[index]:.1%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
