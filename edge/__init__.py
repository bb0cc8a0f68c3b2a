"""Music-genre models on small devices.

A file, a microphone, and samples from elsewhere (here, an iterable of NumPy arrays)::

    from edge_genre import ArraySource, Classifier

    classifier = Classifier.load()
    song = classifier.classify_file("song.ogg")
    print(song.label, song.probability)

    for window in classifier.listen():
        print(window.label, window.probability)

    for window in classifier.stream(ArraySource(chunks, rate=16_000), hop=1.0):
        print(window.label, window.probability)

What a program needs is imported from here; the folder ``examples`` of the repository shows it.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_genre.audio.arrays import ArraySource
    from edge_genre.audio.file import AudioFile
    from edge_genre.audio.microphone import Microphone
    from edge_genre.audio.pcm import PcmStream
    from edge_genre.audio.source import Source
    from edge_genre.classifier import Classifier, stream_together
    from edge_genre.engines import Engine
    from edge_genre.errors import (
        AudioError,
        DeviceError,
        EdgeGenreError,
        EngineError,
        ModelError,
        SelfTestError,
        SpecError,
    )
    from edge_genre.frontend import FrontEnd, FrontEndSpec
    from edge_genre.listening.playing import Held, NowPlaying, Playing
    from edge_genre.model.file import ModelFile, ModelInfo
    from edge_genre.model.input import Input
    from edge_genre.results import NOTHING, SILENCE, SongResult, WindowResult
    from edge_genre.task import Task

__version__ = "0.1.0"  # the one place: setup.cfg reads it here

__all__ = [
    "NOTHING",
    "SILENCE",
    "ArraySource",
    "AudioError",
    "AudioFile",
    "Classifier",
    "DeviceError",
    "EdgeGenreError",
    "Engine",
    "EngineError",
    "FrontEnd",
    "FrontEndSpec",
    "Held",
    "Input",
    "Microphone",
    "ModelError",
    "ModelFile",
    "ModelInfo",
    "NowPlaying",
    "PcmStream",
    "Playing",
    "SelfTestError",
    "SongResult",
    "Source",
    "SpecError",
    "Task",
    "WindowResult",
    "__version__",
    "stream_together",
]

# What listens to a room must not report to anybody: ONNX Runtime's wheels do from 1.31 on, unless
# this stands in the environment before they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Each is loaded when it is first used (PEP 562), so that a program that wants the front end alone
# does not pay for engines, model files and audio.
_NAMES = {
    "audio.arrays": ("ArraySource",),
    "audio.file": ("AudioFile",),
    "audio.microphone": ("Microphone",),
    "audio.pcm": ("PcmStream",),
    "audio.source": ("Source",),
    "classifier": ("Classifier", "stream_together"),
    "engines": ("Engine",),
    "errors": (
        *("AudioError", "DeviceError", "EdgeGenreError", "EngineError"),
        *("ModelError", "SelfTestError", "SpecError"),
    ),
    "frontend": ("FrontEnd", "FrontEndSpec"),
    "listening.playing": ("Held", "NowPlaying", "Playing"),
    "model.file": ("ModelFile", "ModelInfo"),
    "model.input": ("Input",),
    "results": ("NOTHING", "SILENCE", "SongResult", "WindowResult"),
    "task": ("Task",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
