"""Samples from elsewhere: 16 kHz, int16, a quarter of a second at a time, in rolling windows.

    python examples/chunks.py

`recorder` stands for what gives you samples: a sound library, a socket, a game. Windows are a
second apart, and each result is there as soon as its last chunk is.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_genre import ArraySource, AudioFile, Classifier
from edge_genre.audio.resample import resampled
from edge_genre.demo import clip

RATE = 16_000


def main() -> None:
    """Classify what the recorder gives."""
    classifier = Classifier.load()
    for window in classifier.stream(ArraySource(recorder(), rate=RATE), hop=1.0):
        place = f"{window.start:4.1f} .. {window.end:4.1f} s"
        print(f"{place}  {window.label} {window.probability:.0%}")


def recorder() -> Iterator[NDArray[np.int16]]:
    """Chunks of 4,000 samples."""
    with AudioFile(clip()) as song:
        samples = resampled(song, RATE)
    whole = np.round(samples * 32767).clip(-32768, 32767).astype(np.int16)
    yield from np.split(whole, range(4000, len(whole), 4000))


if __name__ == "__main__":
    main()
