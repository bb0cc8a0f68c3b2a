"""The features of a model of your own: 16 kHz, 64 HTK mels, a frame every 10 ms, natural logarithm.

    python examples/own_front_end.py [FRONT_END.json]

`docs/how-to/front-end.md` says which argument of librosa is which key of such a file. With it, a
model is converted and used::

    edge-genre frontend front_end.json
    edge-genre convert model.keras --frontend front_end.json --labels labels.txt

    Classifier.load("model.onnx", front_end=spec, labels=labels)   # a file that says nothing
"""

import json
import sys
from pathlib import Path

import numpy as np

from edge_genre import AudioFile, FrontEnd, FrontEndSpec
from edge_genre.audio.resample import resampled
from edge_genre.demo import clip


def main(path: str = str(Path(__file__).with_name("front_end.json"))) -> None:
    """Compute the features of the demo clip, window by window."""
    spec = FrontEndSpec.from_dict(json.loads(Path(path).read_text()))
    print(f"{spec.window_seconds:g} s at {spec.sample_rate} Hz: {spec.shape}, hash {spec.hash}")
    front_end = FrontEnd(spec)
    with AudioFile(clip()) as song:
        front_end.accept(resampled(song, spec.sample_rate))
    while front_end.ready:
        features = front_end.window()
        second = front_end.start / spec.sample_rate
        print(f"{second:4.1f} s: {features.shape}, mean {np.mean(features):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
