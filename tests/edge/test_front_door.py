"""What `from edge_genre import ...` gives, and what it costs."""

import ast
import importlib
import io
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import edge_genre
from edge_genre import ArraySource, AudioFile, Classifier, Microphone, PcmStream, Source
from edge_genre.audio.source import Metered
from edge_genre.demo import clip

PROMISED = (
    "Classifier FrontEnd FrontEndSpec SongResult WindowResult EdgeGenreError Source AudioFile "
    "PcmStream ArraySource Microphone NowPlaying stream_together __version__"
).split()


def test_every_name_is_there() -> None:
    assert set(PROMISED) <= set(edge_genre.__all__) <= set(dir(edge_genre))
    for name in edge_genre.__all__:
        value = getattr(edge_genre, name)
        module = getattr(value, "__module__", None)
        if module is not None:  # the one object, not a second one of that name
            assert getattr(importlib.import_module(module), name) is value


def test_type_checkers_see_the_same_names() -> None:
    """They read the imports below TYPE_CHECKING, not what is loaded when it is used."""
    tree = ast.parse(Path(str(edge_genre.__file__)).read_text())
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edge_genre.")
        for alias in node.names
    }
    assert {*seen, "__version__"} == set(edge_genre.__all__)
    assert seen == {name: f"edge_genre.{module}" for name, module in edge_genre._MODULES.items()}


def test_an_unknown_name() -> None:
    with pytest.raises(ImportError, match="Clasifier"):
        from edge_genre import Clasifier  # type: ignore[attr-defined]  # noqa: F401


def test_the_door_itself_is_light() -> None:
    """Neither NumPy nor what reads package metadata is loaded for the version alone."""
    program = (
        "import sys, edge_genre; edge_genre.__version__; "
        "print([n for n in ('numpy', 'importlib.metadata', 'edge_genre.errors') "
        "if n in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "[]"


def test_version_is_one_that_packages_have() -> None:
    """tests/edge/test_imports.py compares it with the wheel's."""
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|(a|b|rc)\d+)?", edge_genre.__version__)


def test_what_is_a_source() -> None:
    with AudioFile(clip()) as file:
        assert isinstance(file, Source)
        assert isinstance(Metered(file), Source)
    assert isinstance(PcmStream(io.BytesIO(), rate=8000), Source)
    assert isinstance(ArraySource([], rate=8000), Source)
    assert {"dropped", "blocks"} <= set(dir(Microphone))  # its rate comes with the device
    assert not isinstance(np.zeros(8000), Source)
    assert not isinstance(clip(), Source)


def test_the_source_of_the_documentation_is_one() -> None:
    """The example in the protocol's docstring, as it stands there."""
    assert Source.__doc__ is not None
    example = textwrap.dedent(Source.__doc__.partition("base class::")[2].partition("``")[0])
    names = {"np": np, "Classifier": Classifier}
    exec(example, names)
    assert isinstance(names["Hum"](), Source)  # type: ignore[operator]
    song = names["song"]
    assert isinstance(song, edge_genre.SongResult)
    assert song.duration == 5
    assert song.label in Classifier.load().labels
