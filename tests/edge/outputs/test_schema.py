"""What the programs print is what the JSON Schema says, and nothing else."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile

from tests.support import models_on_the_fly as small
from tests.support.command_line import lines, run
from tests.support.signals import music

RATE = 22_050


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song with a pause, silence, and what is no audio."""
    folder = tmp_path_factory.mktemp("songs")
    song = music(4 * RATE, RATE)
    soundfile.write(folder / "a.wav", np.concatenate([song, np.zeros(2 * RATE), song]), RATE)
    soundfile.write(folder / "quiet.wav", np.zeros(2 * RATE), RATE)
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture(
    params=[
        pytest.param(lambda: small.onnx_model(), id="one label"),
        pytest.param(lambda: small.tagger(explanations=("attention",)), id="many labels"),
        pytest.param(lambda: small.tagger(thresholds=(1.0, 1.0, 1.0)), id="nothing holds"),
    ]
)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(request.param())
    return path


def schema() -> dict[str, Any]:
    text = resources.files("edge_genre.outputs").joinpath("result.schema.json").read_text()
    values = json.loads(text)
    assert isinstance(values, dict)
    return values


def validator(part: str = "") -> Any:
    """Of a part of the schema, or all of it."""
    whole = schema()
    jsonschema.Draft202012Validator.check_schema(whole)
    if part:
        whole.pop("oneOf")
        whole["$ref"] = f"#/$defs/{part}"
    return jsonschema.Draft202012Validator(whole)


def test_classify(folder: Path, model: Path) -> None:
    for options in ([], ["--windows"], ["--vote", "majority"]):
        found = lines(run("classify", folder, "-m", model, "--json", *options, code=1).stdout)
        for values in found:
            validator().validate(values)
            validator("error" if "error" in values else "song").validate(values)
        assert [("windows" in each) for each in found if "error" not in each] == [
            "--windows" in options
        ] * 2
        assert sum("error" in each for each in found) == 1
        assert "silence" in [each.get("label") for each in found]


def test_explanations(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(small.tagger(explanations=("attention",)))
    options = ("--json", "--windows", "--explain")
    (song,) = lines(run("classify", folder / "a.wav", "-m", model, *options).stdout)
    validator("song").validate(song)
    explained = [window for window in song["windows"] if "explanations" in window]
    # Of silence there is nothing to explain.
    assert explained == [each for each in song["windows"] if each["label"] != "silence"]
    for window in explained:
        moments = window["explanations"]["attention"]
        assert len(moments) == small.SPEC.n_frames
        assert moments[0]["start"] == window["start"]
        assert moments[-1]["end"] == pytest.approx(window["start"] + 1, abs=2e-3)


def test_listen(folder: Path, model: Path) -> None:
    for name in ("a.wav", "quiet.wav"):
        samples, _ = soundfile.read(folder / name, dtype="int16")
        options = ("--input", "-", "--json", "--hop", 0.5, "--hold", 1)
        found = lines(run("listen", "-m", model, *options, stdin=samples.tobytes()).stdout)
        assert len(found) >= 3
        for values in found:
            validator().validate(values)
            validator("event").validate(values)


def test_what_is_not_documented_is_refused(folder: Path, tmp_path: Path) -> None:
    """So that the tests above can fail."""
    model = tmp_path / "model.onnx"
    model.write_bytes(small.tagger())
    (song,) = lines(run("classify", folder / "a.wav", "-m", model, "--json", "--windows").stdout)
    window = song["windows"][0]
    assert validator().is_valid(song)
    assert validator("window").is_valid(window)
    for changed in (
        song | {"mood": "calm"},
        song | {"schema": 2},
        song | {"probability": 1.5},
        song | {"labels": "blues"},
        song | {"windows": [window | {"mood": "calm"}]},
        {key: value for key, value in song.items() if key != "labels"},
        song | {"probabilities": None},
    ):
        assert not validator().is_valid(changed)
