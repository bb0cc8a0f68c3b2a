"""Songs and a small model for the command line."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support import models_on_the_fly as small
from tests.support.signals import music

RATE = 22_050


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of audio: two songs, one of silence."""
    folder = tmp_path_factory.mktemp("songs")
    soundfile.write(folder / "a.wav", music(7 * RATE, RATE), RATE)
    (folder / "more").mkdir()
    stereo = np.stack([music(8 * 44_100, 44_100, seed=s) for s in (1, 2)], axis=1)
    soundfile.write(folder / "more" / "b.flac", stereo, 44_100)
    soundfile.write(folder / "quiet.wav", np.zeros(4 * RATE), RATE)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model file with a known answer."""
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    path.write_bytes(small.onnx_model())
    return path
