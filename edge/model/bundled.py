"""The models that come with the package."""

from __future__ import annotations

import os
from pathlib import Path

from edge_genre import bundled
from edge_genre.errors import ModelError
from edge_genre.host.files import reading

DEFAULT = "songnet-gtzan"
ENVIRONMENT = "EDGE_GENRE_MODEL"


def bundled_models() -> list[Path]:
    """Bundled model files, sorted by name; TFLite before ONNX."""
    folder = Path(str(bundled.__file__)).parent
    found = [path for path in folder.iterdir() if path.suffix in (".tflite", ".onnx")]
    return sorted(found, key=lambda path: (path.stem, path.suffix == ".onnx"))


def find_model(model: str | Path | None = None) -> Path:
    """Find a model file by path or bundled name.

    A bundled name may end with ``.onnx`` to mean that form; ``songnet-gtzan`` alone is the TFLite
    file. A path that exists comes first. None means ``$EDGE_GENRE_MODEL``, else the default model.

    Raises
    ------
    ModelError
        Nothing has that name; the message lists the bundled ones.
    """
    name = str(model or os.environ.get(ENVIRONMENT) or DEFAULT)
    path = Path(name)
    with reading(name, ModelError):  # which a name that is too long cannot be
        if path.is_file():
            return path
        if path.is_dir():
            raise ModelError(f"{name}: is a folder, expected a TFLite or ONNX model")
    known = bundled_models()
    for candidate in known:
        if name in (candidate.stem, candidate.name):
            return candidate
    names = ", ".join(candidate.name for candidate in known)
    raise ModelError(f"{name}: no such model file; bundled are {names}")
