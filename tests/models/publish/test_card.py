"""Cards want a run, and files that describe themselves; test_bundled compares their text."""

from pathlib import Path

import pytest

from edge_genre.errors import DataError
from edge_genre.models.publish.card import write_card
from tests.support import models_on_the_fly as small


def test_folders_without_a_run_and_files_without_description(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(small.onnx_graph())
    with pytest.raises(DataError, match="says nothing of itself"):
        write_card(tmp_path, [path])
    path.write_bytes(small.onnx_model())
    with pytest.raises(DataError, match=r"holds no metrics\.json"):
        write_card(tmp_path, [path])
