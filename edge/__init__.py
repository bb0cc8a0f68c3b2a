"""Music-genre models on small devices.

from edge_genre import Classifier

classifier = Classifier.load()
song = classifier.classify_file("song.ogg")
print(song.label, song.probability)
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

# What listens to a room must not report to anybody: ONNX Runtime's wheels do from 1.31 on, unless
# this stands in the environment before they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Each is loaded when it is first used (PEP 562), so that a program that wants the front end alone
# does not pay for engines, model files and audio.
_MODULES = {
    "Classifier": "classifier",
    "EdgeGenreError": "errors",
    "FrontEnd": "frontend",
    "FrontEndSpec": "frontend",
    "SongResult": "results",
    "WindowResult": "results",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
