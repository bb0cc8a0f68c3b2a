"""The genre of a song.

    python examples/classify_file.py [FILE] [MODEL]

MODEL is a TFLite or ONNX file or the name of a bundled model (`edge-genre models` lists them).
"""

import sys

from edge_genre import Classifier, EdgeGenreError
from edge_genre.demo import clip


def main(path: str = str(clip()), model: str | None = None) -> None:
    """Print the song's genre, and what each window of it sounds like."""
    song = Classifier.load(model).classify_file(path, hop=1.0)
    for window in song.windows:
        print(f"{window.start:6.1f} s  {window.label}")
    print(f"{song.label}, {song.probability:.0%}, of {song.duration:.1f} s")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except EdgeGenreError as error:  # one line: what was found, what was expected, what to do
        sys.exit(str(error))
