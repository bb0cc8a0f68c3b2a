"""Figures that training does not give, measured on a bundled model."""

import json
from pathlib import Path

import numpy as np
import soundfile
from click.testing import CliRunner

from edge_genre.model.bundled import find_model
from edge_genre.models.publish import figures


def test_measuring_a_bundled_model(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    rows = ["track,genre,split,extent,file"]
    rng = np.random.default_rng(0)
    for number, part in enumerate(("valid", "train", "valid")):
        name = f"metal.{number:05}.wav"
        rows.append(f"metal.{number:05},metal,{part},full,{name}")
        soundfile.write(clips / name, rng.normal(0, 0.1, 4 * 22_050), 22_050)
    (clips / "index.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "measured.json").write_text('{"kept": 1}')
    files = [str(find_model(name)) for name in ("songnet-gtzan", "songnet-gtzan.onnx")]
    done = CliRunner().invoke(figures.main, [str(tmp_path), *files, "--clips", str(clips)])
    assert done.exit_code == 0, done.output
    values = json.loads((tmp_path / "measured.json").read_text())
    assert values["kept"] == 1
    assert values["robustness"]["tracks"] == 2
    assert 0 <= min(values["robustness"]["conditions"].values()) <= 2
    for kind in ("tflite", "onnx"):
        assert values["cost"][kind]["inference_ms"] > 0
