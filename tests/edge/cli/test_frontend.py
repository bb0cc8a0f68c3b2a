"""`edge-genre frontend`: presets to start from, and files that are checked."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge_genre.cli import main
from edge_genre.frontend import PRESETS, FrontEnd, FrontEndSpec


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["frontend", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_all_presets_are_listed_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run().stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for name, preset in PRESETS.items():
        (line,) = [line for line in lines if line.split()[1:2] == [name]]
        assert " x ".join(map(str, preset.shape)) in line
        assert f"{preset.window_seconds:g} s at {preset.sample_rate} Hz" in line


def test_presets_as_json_lines() -> None:
    found = [json.loads(line) for line in run("--json").stdout.splitlines()]
    assert {each["name"]: FrontEndSpec.from_dict(each["front_end"]) for each in found} == PRESETS
    for each in found:
        assert each["hash"] == PRESETS[each["name"]].hash
        assert each["shape"] == list(PRESETS[each["name"]].shape)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_file_to_start_from(name: str, tmp_path: Path) -> None:
    """What is printed goes into a file, and is read as the same front end."""
    preset, path = run(name), tmp_path / "mine.json"
    path.write_text(preset.stdout)
    assert FrontEndSpec.from_dict(json.loads(preset.stdout)) == PRESETS[name]
    again = run(path)
    assert (again.stdout, again.stderr) == (preset.stdout, preset.stderr)
    assert PRESETS[name].hash in preset.stderr


def test_a_file_is_shown_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"n_mels": 64, "hop_length": 160, "sample_rate": 16000}')
    result = run(path)
    values = json.loads(result.stdout)
    assert (values["n_mels"], values["n_fft"], values["log"]) == (64, 2048, "db")
    (line,) = result.stderr.splitlines()
    assert line.startswith("3 s at 16000 Hz; features 301 x 64; hash ")
    described = json.loads(run(path, "--json").stdout)
    assert described["window_samples"] == 48_000
    features = FrontEnd(FrontEndSpec.from_dict(values))(np.zeros(48_000))
    assert described["shape"] == list(features.shape)
    assert described["front_end"] == values


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "expected a JSON object, found []"),
        ('{"mels": 64}', "unknown key 'mels'"),
        ('{"n_mels": 0}', "n_mels is 0, expected a positive whole number"),
        ('{"n_mels": 1' + "0" * 400 + "}", "expected a positive whole number"),
        ('{"sample_rate": 1' + "0" * 400 + "}", "expected a positive whole number"),
        ('{"fmax": 1' + "0" * 400 + "}", "expected a finite number"),
        ('{"fmax": NaN}', "fmax is nan, expected a finite number"),
        ('{"kind": "waveform", "n_fft": 512}', "unknown key 'n_fft'; waveform has"),
        ('{"kind": "pictures"}', "kind is 'pictures', expected one of"),
        ('{"window_seconds": 0.01}', "expected long enough for one frame"),
    ],
)
def test_a_file_that_is_no_front_end(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content)
    (line,) = run(path, code=1).stderr.splitlines()
    assert line.startswith(f"edge-genre: {path}: ")
    assert message in line


def test_no_such_file_or_preset(tmp_path: Path) -> None:
    (line,) = run(tmp_path / "none.json", code=1).stderr.splitlines()
    assert "none.json: cannot be read (No such file or directory)" in line
    (line,) = run("log_mel", code=1).stderr.splitlines()
    assert line.startswith("edge-genre: front-end preset 'log_mel' is unknown; there are ")
