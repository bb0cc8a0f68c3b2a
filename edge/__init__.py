"""Music-genre models on small devices.

from edge_genre import Classifier

classifier = Classifier.load()
song = classifier.classify_file("song.ogg")
print(song.label, song.probability)
"""

from edge_genre.classifier import Classifier
from edge_genre.errors import EdgeGenreError
from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.results import SongResult, WindowResult

__all__ = [
    "Classifier",
    "EdgeGenreError",
    "FrontEnd",
    "FrontEndSpec",
    "SongResult",
    "WindowResult",
]
