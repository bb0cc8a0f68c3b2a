"""Two models on one stream: ten genres of GTZAN and eight of FMA, every second.

    python examples/two_models.py [FILE]

The stream is read once, and no model waits for the other. A microphone does as well as a file: give
`stream_together` a `Microphone` and ``live=True``.
"""

import sys

from edge_genre import AudioFile, Classifier, stream_together
from edge_genre.demo import clip


def main(path: str = str(clip())) -> None:
    """Print each model's windows as they become complete."""
    models = {"gtzan": Classifier.load("songnet-gtzan"), "fma": Classifier.load("songnet-fma")}
    with AudioFile(path) as song:
        for name, window in stream_together(models, song, hop=1.0):
            place = f"{window.start:4.1f} .. {window.end:4.1f} s"
            print(f"{name:6} {place}  {window.label} {window.probability:.0%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
