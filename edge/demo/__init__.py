"""The demo clip: seventeen seconds of music that the project composed and rendered itself.

``python -m edge_genre.demo`` prints its path; `edge_genre.demo.compose` is what made it.
"""

from pathlib import Path


def clip() -> Path:
    """Path of the bundled clip, Ogg Vorbis, 44,100 Hz stereo."""
    return Path(__file__).with_name("demo.ogg")
