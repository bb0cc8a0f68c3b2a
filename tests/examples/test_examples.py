"""Every example, run as its own docstring says, and compared with what it should find."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import librosa
import numpy as np
import pytest

from edge_genre import AudioFile, Classifier, FrontEnd, FrontEndSpec
from edge_genre.demo import clip
from tests.support.fed_microphone import RATE, FedMicrophone
from tests.support.requirements import require_system
from tests.support.virtual_microphone import missing as sound_missing

FOLDER = Path(__file__).parents[2] / "examples"
TESTED = {
    *("classify_file", "chunks", "two_models", "now_playing", "http_service"),
    *("own_front_end", "engine"),
}


def run(name: str, *arguments: str, code: int = 0, env: dict[str, str] | None = None) -> list[str]:
    """The lines that an example prints."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), *arguments]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=env, timeout=300
    )
    assert result.returncode == code, result.stderr
    return (result.stdout if code == 0 else result.stderr).splitlines()


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load()


def test_every_example_is_tested_and_says_how_it_is_run() -> None:
    found = {path.stem: path for path in FOLDER.glob("*.py")}
    assert set(found) == TESTED
    listed = (FOLDER / "README.md").read_text()
    for name, path in found.items():
        text = ast.get_docstring(ast.parse(path.read_text()))
        assert text is not None
        assert f"python examples/{name}.py" in text
        assert f"`{name}.py`" in listed


def test_classify_file(classifier: Classifier) -> None:
    song = classifier.classify_file(clip(), hop=1.0)
    *windows, last = run("classify_file")
    assert [line.split() for line in windows] == [
        [f"{window.start:.1f}", "s", window.label] for window in song.windows
    ]
    assert last == f"{song.label}, {song.probability:.0%}, of 16.7 s"


def test_classify_file_that_is_none(tmp_path: Path) -> None:
    (line,) = run("classify_file", str(tmp_path / "none.wav"), code=1)
    assert line == f"{tmp_path / 'none.wav'}: no such file"


def test_chunks(classifier: Classifier) -> None:
    """Samples of 16 bits at 16 kHz give the genres of the file, but where two are close."""
    windows = list(classifier.stream(AudioFile(clip()), hop=1.0))
    lines = run("chunks")
    found = [re.fullmatch(r" *([\d.]+) \.\. +([\d.]+) s  (\S+) (\d+)%", line) for line in lines]
    assert len(found) == len(windows) == 15
    for match, window in zip(found, windows, strict=True):
        assert match is not None
        assert float(match[1]) == pytest.approx(window.start, abs=0.1)
        assert window.probabilities is not None
        # The model hears up to 11 kHz, the chunks up to 8.
        assert window.probabilities[match[3]] > max(window.probabilities.values()) - 0.5


def test_two_models() -> None:
    lines = run("two_models")
    for name, model in (("gtzan", "songnet-gtzan"), ("fma", "songnet-fma")):
        with AudioFile(clip()) as song:
            alone = list(Classifier.load(model).stream(song, hop=1.0))
        assert [line.split()[5:] for line in lines if line.startswith(name)] == [
            [window.label, f"{window.probability:.0%}"] for window in alone
        ]


def test_now_playing(classifier: Classifier) -> None:
    require_system([package for package in sound_missing() if package == "libportaudio2"])
    with AudioFile(clip()) as song:
        heard = np.concatenate(list(song.blocks()))
        assert song.rate == RATE
    window = next(classifier.stream(AudioFile(clip())))
    with FedMicrophone(heard, hop=1.0) as microphone:
        process = subprocess.Popen(
            [sys.executable, str(FOLDER / "now_playing.py"), "6"],
            env=microphone.env,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        microphone.give(round(3.5 * RATE))  # no second window, for which the first is left out
        first = process.stdout.readline()
    # With its pipe closed, the microphone hears silence.
    try:
        process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0
    assert first == f"3 s  {window.label}\n"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of the running service."""
    process = subprocess.Popen(
        [sys.executable, str(FOLDER / "http_service.py"), "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def post(address: str, content: bytes) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(address, content, timeout=300) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_http_service(service: str, classifier: Classifier) -> None:
    expected = classifier.classify_file(clip()).to_dict() | {"path": "/"}
    for _ in range(2):
        assert post(service, clip().read_bytes()) == (200, expected)


def test_http_service_given_something_else(service: str) -> None:
    status, answer = post(service, b"this is a text" * 100)
    assert status == 400
    assert answer == {
        "error": "is no audio file that can be read (WAV, FLAC, Ogg, Opus, MP3, AIFF)"
    }
    status, answer = post(service, b"")
    assert status == 413
    assert post(service, clip().read_bytes())[0] == 200


def test_own_front_end() -> None:
    spec = FrontEndSpec.from_dict(json.loads((FOLDER / "front_end.json").read_text()))
    first, *windows = run("own_front_end")
    assert first == f"4 s at 16000 Hz: (401, 64), hash {spec.hash}"
    assert [line.split(":")[0].strip() for line in windows] == ["0.0 s", "4.0 s", "8.0 s", "12.0 s"]
    assert all("(401, 64)" in line for line in windows)


def test_own_front_end_is_what_librosa_computes(classifier: Classifier) -> None:
    """The call that docs/how-to/front-end.md translates."""
    spec = FrontEndSpec.from_dict(json.loads((FOLDER / "front_end.json").read_text()))
    samples, _ = librosa.load(clip(), sr=16_000, duration=4)
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=16_000,
        n_fft=400,
        hop_length=160,
        n_mels=64,
        fmin=50,
        fmax=8000,
        htk=True,
        norm=None,
    )
    np.testing.assert_allclose(FrontEnd(spec)(samples), np.log(mel + 1e-6).T, atol=1e-3)


def test_the_how_to_names_every_key_and_holds_the_example() -> None:
    text = (FOLDER.parent / "docs/how-to/front-end.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert json.loads(block) == json.loads((FOLDER / "front_end.json").read_text())
    table = text.partition("| librosa |")[2].partition("## An example")[0]
    for field in dataclasses.fields(FrontEndSpec):
        assert f"`{field.name}" in table, field.name


def test_engine(classifier: Classifier) -> None:
    first, *best = run("engine")
    assert first == f"{classifier.engine.name}: features (39, 128) -> (10,)"
    window = next(classifier.stream(AudioFile(clip())))
    assert window.probabilities is not None
    ranked = sorted(window.probabilities.items(), key=lambda item: -item[1])[:3]
    assert [line.split() for line in best] == [[label, f"{value:.1%}"] for label, value in ranked]
