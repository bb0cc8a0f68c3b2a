"""measured.json: read and written again as it was, by parts, and refused where it is damaged."""

import json
from pathlib import Path

import pytest

from edge_genre.errors import DataError
from edge_genre.models.publish.measured import Cost, Measured, Times

MODELS = Path(__file__).parents[3] / "models"


@pytest.mark.parametrize("name", ["songnet-gtzan", "songnet-fma", "tiny-gtzan"])
def test_what_was_released_is_written_again_byte_for_byte(name: str, tmp_path: Path) -> None:
    content = (MODELS / name / "measured.json").read_bytes()
    (tmp_path / "measured.json").write_bytes(content)
    found = Measured.read(tmp_path)
    assert found.to_dict().keys() == json.loads(content).keys()
    found.write(tmp_path)
    assert (tmp_path / "measured.json").read_bytes() == content


def test_a_part_is_measured_again_and_the_others_stay(tmp_path: Path) -> None:
    assert Measured.read(tmp_path) == Measured()
    (tmp_path / "measured.json").write_bytes((MODELS / "tiny-gtzan/measured.json").read_bytes())
    before = Measured.read(tmp_path)
    cost = Cost("an abacus", {"onnx": Times(1.0, 2.0)})
    Measured(cost=cost).write(tmp_path)
    after = Measured.read(tmp_path)
    assert after.cost == cost
    assert after.ablation == before.ablation is not None
    assert after.robustness == before.robustness is not None


@pytest.mark.parametrize(
    "content", ["", "[1]", '{"cost": []}', '{"cost": {}}', '{"robustness": {"tracks": 1}}']
)
def test_a_damaged_file_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "measured.json").write_text(content)
    with pytest.raises(DataError, match=r"measured\.json: is not what edge-genre writes"):
        Measured.read(tmp_path)
