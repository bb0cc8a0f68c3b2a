"""Golden vectors: right by an independent reference, and a checker that lets nothing else pass."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from edge_genre import Classifier, FrontEnd
from edge_genre.cli import main
from edge_genre.convert.golden.check import check
from edge_genre.convert.golden.vectors import Golden, golden, write_golden
from edge_genre.errors import ConversionError
from edge_genre.frontend import PRESETS, FrontEndSpec
from edge_genre.model.file import attach
from edge_genre.model.self_test import signal
from tests.support.c_compiler import require
from tests.support.models_on_the_fly import info, onnx_graph

CASES = ["self_test", "silence", "chirp", "clipped", "music"]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load("tiny-gtzan")


@pytest.fixture(scope="module")
def vectors(classifier: Classifier) -> Golden:
    return golden(classifier)


@pytest.fixture(scope="module")
def folder(vectors: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("golden")
    write_golden(vectors, path)
    return path


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def _port(vectors: Golden, *kinds: str) -> dict[str, dict[str, list]]:
    """What a perfect port would write."""
    return {
        case.name: {kind: case.arrays[kind].tolist() for kind in kinds} for case in vectors.cases
    }


def test_features_are_those_of_librosa(folder: Path, vectors: Golden) -> None:
    for name in CASES:
        pcm, rate = soundfile.read(folder / name / "pcm.wav", dtype="float64")
        assert rate == 22_050
        power = librosa.feature.melspectrogram(
            y=pcm, sr=rate, n_fft=2048, hop_length=1711, n_mels=128
        )
        levels = librosa.power_to_db(power, ref=np.max).T
        expected = (levels - levels.mean()) / (levels.std() + 1e-6)
        features = np.load(folder / name / "features.npy")
        np.testing.assert_allclose(features, expected, atol=vectors.tolerances["features"] / 10)


def test_probabilities_are_what_the_product_gives(folder: Path, classifier: Classifier) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [case["name"] for case in manifest["cases"]] == CASES
    for case in manifest["cases"]:
        pcm, _ = soundfile.read(folder / case["name"] / "pcm.wav", dtype="float32")
        answer = classifier.probabilities(pcm)
        assert np.abs(answer - case["probabilities"]).max() <= 0.02
        assert np.abs(np.load(folder / case["name"] / "probabilities.npy") - answer).max() <= 0.02
        assert case["label"] == manifest["labels"][int(np.argmax(case["probabilities"]))]


def test_signals_are_what_they_are_said_to_be(folder: Path) -> None:
    pcm = {name: np.load(folder / name / "pcm.npy") for name in CASES}
    known = signal(1, n_samples=66_150, rate=22_050).astype(np.float64)
    assert np.array_equal(pcm["self_test"], np.rint(known * 32768))
    assert not pcm["silence"].any()
    assert pcm["clipped"].min() == -32768
    assert pcm["clipped"].max() == 32767
    for fraction in (0.25, 0.5, 0.75):  # of a chirp from 0 Hz to half the rate
        part = pcm["chirp"][int(fraction * 66_150) - 512 :][:1024] * np.hanning(1024)
        frequency = np.abs(np.fft.rfft(part)).argmax() / 1024 * 22_050
        assert frequency == pytest.approx(fraction * 11_025, rel=0.03)


def test_every_format_holds_the_same_numbers(folder: Path, vectors: Golden, tmp_path: Path) -> None:
    for case in vectors.cases:
        values = json.loads((folder / case.name / "case.json").read_text())
        pcm, _ = soundfile.read(folder / case.name / "pcm.wav", dtype="int16")
        assert np.array_equal(pcm, case.pcm)
        for name in ("pcm", "features", "probabilities"):
            expected = case.pcm if name == "pcm" else case.arrays[name]
            assert np.array_equal(np.load(folder / case.name / f"{name}.npy"), expected)
            assert np.array_equal(np.array(values[name], expected.dtype), expected)
    raw = _compiled(folder / "music/golden_music.h", tmp_path)
    case = vectors.cases[-1]
    expected = [case.pcm.tobytes(), *(array.tobytes() for array in case.arrays.values())]
    assert raw == b"".join(expected)


def _compiled(path: Path, folder: Path) -> bytes:
    """The arrays of a case's header, as a program sees them."""
    require("gcc")
    names = ("pcm", "features", "probabilities")
    writes = "".join(
        f"fwrite(golden_music_{name}, 1, sizeof golden_music_{name}, stdout);" for name in names
    )
    source = folder / "print.c"
    source.write_text(
        f'#include <stdio.h>\n#include "{path}"\nint main(void) {{ {writes} return 0; }}\n'
    )
    flags = "-std=c99 -Wall -Wextra -Wpedantic -Werror".split()
    subprocess.run(["gcc", *flags, source, "-o", folder / "print"], check=True)
    return subprocess.run([folder / "print"], capture_output=True, check=True).stdout


def test_the_same_bytes_every_time(classifier: Classifier, folder: Path, tmp_path: Path) -> None:
    for path in write_golden(golden(classifier), tmp_path):
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes()


def test_music_of_ones_own(classifier: Classifier, tmp_path: Path) -> None:
    """Its middle; too short, it is padded at its end, as on the device."""
    path = tmp_path / "a*/b.wav".replace("/", "_")
    samples = np.random.default_rng(0).integers(-9000, 9000, 22_050).astype(np.int16)
    soundfile.write(path, samples, 22_050)
    case = golden(classifier, path).cases[-1]
    assert np.array_equal(case.pcm[:22_050], samples)
    assert not case.pcm[22_050:].any()
    assert "2.000 s of zeros" in case.signal


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_this_front_end_is_accepted_with_every_preset(name: str, tmp_path: Path) -> None:
    """In single precision, which the vectors are not, and with room to spare."""
    vectors = _with_spec(PRESETS[name], tmp_path)
    results = {
        case.name: {"features": FrontEnd(PRESETS[name])(case.pcm / np.float32(32768)).tolist()}
        for case in vectors.cases
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    for row in check(vectors, tmp_path):
        assert row.largest <= row.tolerance / 2, row


def _with_spec(spec: FrontEndSpec, folder: Path) -> Golden:
    path = folder / "model.onnx"
    path.write_bytes(attach(onnx_graph((1, *spec.shape)), info(front_end=spec)))
    return golden(Classifier.load(path))


def _as_folders(write: Callable[[Path, list], None]) -> Callable[[Path, dict], None]:
    def written(folder: Path, results: dict) -> None:
        for case, kinds in results.items():
            (folder / case).mkdir()
            for kind, values in kinds.items():
                write(folder / case / kind, values)

    return written


FORMS = {
    "npy": _as_folders(lambda path, values: np.save(path, np.array(values))),
    "json": _as_folders(
        lambda path, values: path.with_suffix(".json").write_text(json.dumps(values))
    ),
    "f32": _as_folders(
        lambda path, values: np.array(values, "<f4").tofile(path.with_suffix(".f32"))
    ),
    "results": lambda folder, results: (folder / "results.json").write_text(json.dumps(results)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "kinds", [("features", "probabilities"), ("features",), ("probabilities",)]
)
def test_a_right_port_is_accepted(
    vectors: Golden, tmp_path: Path, form: str, kinds: tuple[str, ...]
) -> None:
    FORMS[form](tmp_path, _port(vectors, *kinds))
    rows = check(vectors, tmp_path)
    assert [(row.case, row.kind) for row in rows] == [(c, k) for c in CASES for k in kinds]
    assert all(row.accepted and row.largest == 0 for row in rows)


def _off(values: list, by: float) -> list:
    array = np.array(values)
    array[3, 5] += by
    return array.tolist()


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda x: _off(x, 0.002), r"\[3, 5\] is "),
        (lambda x: np.transpose(x).tolist(), "128 x 39 values, expected 39 x 128"),
        (lambda x: x[:-1], "38 x 128 values, expected 39 x 128"),
        (lambda x: _off(x, float("nan")), "NaN"),
        (lambda _: "loud", "not an array of numbers"),
        (lambda _: [[1.0], [1.0, 2.0]], "not an array of numbers"),
        (lambda _: 1.0, "1 values, expected 39 x 128"),
    ],
)
def test_a_wrong_port_is_refused(
    vectors: Golden, tmp_path: Path, spoil: Callable[[list], object], found: str
) -> None:
    results = _port(vectors, "features", "probabilities")
    results["chirp"]["features"] = spoil(results["chirp"]["features"])
    (tmp_path / "results.json").write_text(json.dumps(results))
    refused = [row for row in check(vectors, tmp_path) if not row.accepted]
    assert [(row.case, row.kind) for row in refused] == [("chirp", "features")]
    assert found.replace("\\", "") in refused[0].found


def test_within_the_tolerance(vectors: Golden, tmp_path: Path) -> None:
    results = _port(vectors, "features")
    results["chirp"]["features"] = _off(results["chirp"]["features"], 0.0009)
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert all(row.accepted for row in check(vectors, tmp_path))


def test_a_case_that_is_missing_is_refused(vectors: Golden, tmp_path: Path) -> None:
    results = _port(vectors, "features")
    del results["clipped"]
    (tmp_path / "results.json").write_text(json.dumps(results))
    refused = [row for row in check(vectors, tmp_path) if not row.accepted]
    assert [(row.case, row.found) for row in refused] == [("clipped", "missing")]


def test_command(vectors: Golden, tmp_path: Path) -> None:
    result = _run("tiny-gtzan", "--golden", tmp_path / "golden", "--formats", "json")
    assert result.exit_code == 0
    assert {path.suffix for path in (tmp_path / "golden/music").iterdir()} == {".json", ".wav"}
    results = _port(vectors, "features", "probabilities")
    file = tmp_path / "port/results.json"
    file.parent.mkdir()
    file.write_text(json.dumps(results))
    result = _run("tiny-gtzan", "--check", file.parent)
    assert result.exit_code == 0
    assert result.output.count("accepted") == 10
    results["music"]["probabilities"][2] += 0.2
    file.write_text(json.dumps(results))
    result = _run("tiny-gtzan", "--check", file.parent)
    assert result.exit_code == 3
    assert "refused: 1 of 10 arrays: off by 4 times the tolerance" in result.stderr
    result = _run("tiny-gtzan", "--check", file.parent, "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["case"] for row in rows if not row["accepted"]] == ["music"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such folder"),
        ({}, "holds no results"),
        ({"results.json": "[1, 2]"}, "expected an object of cases"),
        ({"results.json": "{"}, "cannot be read as JSON"),
        (
            {"music/features.npy": "nothing"},
            r"features.npy: cannot be read \(not in NumPy's format\)",
        ),
        ({"music/features.f32": "abc"}, "features.f32: cannot be read"),
        ({"manifest.json": "{}"}, "holds the golden vectors themselves"),
        ({"music/features.f32": "", "music/features.json": "[]"}, "more than once"),
    ],
)
def test_what_are_no_results(
    vectors: Golden, tmp_path: Path, content: dict[str, str] | None, message: str
) -> None:
    folder = tmp_path / "port"
    for name, text in (content or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if content == {}:
        folder.mkdir()
    with pytest.raises(ConversionError, match=message):
        check(vectors, folder)


def test_a_model_that_takes_samples_has_no_features(tmp_path: Path) -> None:
    vectors = _with_spec(FrontEndSpec(kind="waveform", window_seconds=0.1), tmp_path)
    assert all(list(case.arrays) == ["probabilities"] for case in vectors.cases)
    written = write_golden(vectors, tmp_path / "golden")
    assert not [path for path in written if "features" in path.name]
    assert json.loads((tmp_path / "golden/manifest.json").read_text())["features"] is None
    assert "features" not in (tmp_path / "golden/music/golden_music.h").read_text()
    (tmp_path / "results.json").write_text(json.dumps(_port(vectors, "probabilities")))
    assert all(row.accepted for row in check(vectors, tmp_path))
    (tmp_path / "results.json").write_text(json.dumps({"music": {"features": [1.0]}}))
    with pytest.raises(ConversionError, match="takes the samples themselves"):
        check(vectors, tmp_path)


def test_bad_use(tmp_path: Path) -> None:
    assert _run("tiny-gtzan").exit_code == 2
    assert "Say what to export" in _run("tiny-gtzan").output
    assert _run("", "--golden", tmp_path).exit_code == 2
    assert _run("tiny-gtzan", "--golden", tmp_path, "--formats", "npz").exit_code == 2
    result = _run("tiny-gtzan", "--golden", tmp_path, "--input", tmp_path / "none.wav")
    assert result.exit_code == 1
    assert "none.wav" in result.stderr
    (tmp_path / "file").write_text("")
    result = _run("tiny-gtzan", "--golden", tmp_path / "file/below")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


def test_a_model_of_other_features_has_none(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(attach(onnx_graph((1, 8, 4)), replace(info(), inputs=())))
    result = _run(path, "--golden", tmp_path / "golden")
    assert result.exit_code == 1
    assert "has no audio front end" in result.stderr
