"""The microphone: a line when what is playing changes.

    python examples/now_playing.py [SECONDS] [DEVICE]

It listens for ever, or for so many seconds. `edge-genre devices` lists the microphones.
"""

import sys

from edge_genre import Classifier, DeviceError, NowPlaying


def main(seconds: str = "inf", device: str | None = None) -> None:
    """Listen, smooth the windows, and tell about changes."""
    classifier = Classifier.load()
    now_playing = NowPlaying(task=classifier.task, smooth=25, hold=5)
    shown: set[str] = set()
    for window in classifier.listen(device, hop=1.0):
        playing = now_playing.update(window)
        now = set(playing.labels) or {playing.label}  # that of silence is no label of the model
        if now != shown:
            shown = now
            changed(window.end, playing.text)
        if window.end >= float(seconds):
            return


def changed(since: float, label: str) -> None:
    """Put here what shall happen: switch a lamp, write a line, send a message."""
    print(f"{since:.0f} s  {label}", flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except DeviceError as error:  # no microphone, or it went away
        sys.exit(str(error))
