"""Golden vectors of models with several inputs and many labels."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.special import expit

from edge_genre import Classifier, FrontEnd
from edge_genre.cli import main
from edge_genre.convert.golden.check import check
from edge_genre.convert.golden.vectors import Golden, golden, write_golden
from edge_genre.errors import ConversionError
from edge_genre.model.file import attach
from edge_genre.model.input import Input
from edge_genre.task import Task
from tests.support.c_compiler import require
from tests.support.models_on_the_fly import (
    LABELS,
    SPEC,
    TWO_INPUTS,
    info,
    onnx_graph,
    two_inputs_model,
    weights,
)

ARRAYS = ("features_log_mel", "features_mfcc", "probabilities")
MANY = Task(kind="multi_label", noun="mood", background="rock", thresholds=(0.4, 0.5, 0.6))


def classifier(content: bytes, folder: Path) -> Classifier:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return Classifier.load(path)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return golden(classifier(two_inputs_model(), tmp_path_factory.mktemp("two")))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """Logits, of which a port has to make probabilities."""
    content = attach(onnx_graph(output="logits"), info(output="logits", task=MANY))
    return golden(classifier(content, tmp_path_factory.mktemp("many")))


def test_an_array_for_each_input(two: Golden, tmp_path: Path) -> None:
    write_golden(two, tmp_path)
    for case in two.cases:
        pcm = np.load(tmp_path / case.name / "pcm.npy") / np.float32(32768)
        values = json.loads((tmp_path / case.name / "case.json").read_text())
        assert set(values) == {"pcm", *ARRAYS}
        for each in TWO_INPUTS:
            found = np.load(tmp_path / case.name / f"features_{each.name}.npy")
            expected = FrontEnd(each.front_end)(pcm)
            tolerance = two.tolerances[f"features_{each.name}"]
            np.testing.assert_allclose(found, expected, atol=tolerance)
            np.testing.assert_array_equal(
                np.array(values[f"features_{each.name}"], np.float32), found
            )


def test_the_manifest_names_inputs_and_arrays(two: Golden, tmp_path: Path) -> None:
    write_golden(two, tmp_path, ["npy"])
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["schema"] == 2
    assert not {"front_end", "front_end_hash", "features", "task"} & set(manifest)
    for found, each in zip(manifest["inputs"], TWO_INPUTS, strict=True):
        assert Input.from_dict(found) == each
        array = found["features"]
        assert array["array"] == f"features_{each.name}"
        assert array["shape"] == list(each.front_end.shape)
        assert array["tolerance"] == two.tolerances[array["array"]]
        assert f"music/{array['array']}.npy" in manifest["cases"][-1]["files"]


def test_the_c_header_has_an_array_for_each_input(two: Golden, tmp_path: Path) -> None:
    require("gcc")
    write_golden(two, tmp_path, ["c"])
    case = two.cases[-1]
    checks = " && ".join(f"GOLDEN_MUSIC_{name.upper()}_TOLERANCE > 0" for name in ARRAYS)
    writes = "".join(
        f"fwrite(golden_music_{name}, 1, sizeof golden_music_{name}, stdout);"
        for name in ("pcm", *ARRAYS)
    )
    (tmp_path / "print.c").write_text(
        f'#include <stdio.h>\n#include "music/golden_music.h"\n'
        f"int main(void) {{ {writes} return !({checks}); }}\n"
    )
    flags = "-std=c99 -Wall -Wextra -Wpedantic -Werror".split()
    subprocess.run(["gcc", *flags, "print.c", "-o", "print"], check=True, cwd=tmp_path)
    found = subprocess.run([tmp_path / "print"], capture_output=True, check=True).stdout
    assert found == case.pcm.tobytes() + b"".join(case.arrays[name].tobytes() for name in ARRAYS)


def test_names_that_files_and_c_cannot_have(tmp_path: Path) -> None:
    inputs = (Input("mel/1", SPEC), Input("mel 1", SPEC.replace(n_mels=8)))
    shapes = {each.name: (1, *each.front_end.shape) for each in inputs}
    found = golden(classifier(attach(onnx_graph(shapes), info(inputs=inputs)), tmp_path))
    assert list(found.features) == ["features_0_mel_1", "features_1_mel_1"]
    assert write_golden(found, tmp_path / "golden")


@pytest.mark.parametrize("kinds", [ARRAYS, ARRAYS[:2], ARRAYS[1:2], ARRAYS[2:]])
def test_a_right_port_is_accepted(two: Golden, tmp_path: Path, kinds: tuple[str, ...]) -> None:
    results = {
        case.name: {kind: case.arrays[kind].tolist() for kind in kinds} for case in two.cases
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    rows = check(two, tmp_path)
    assert [(row.case, row.kind) for row in rows] == [
        (case.name, kind) for case in two.cases for kind in kinds
    ]
    assert all(row.accepted and row.largest == 0 for row in rows)


def test_a_port_that_takes_one_input_for_the_other_is_refused(two: Golden, tmp_path: Path) -> None:
    for case in two.cases:
        (tmp_path / case.name).mkdir()
        for kind in ARRAYS[:2]:
            np.save(tmp_path / case.name / f"{kind}.npy", case.arrays["features_log_mel"])
    rows = check(two, tmp_path)
    assert {row.kind for row in rows if not row.accepted} == {"features_mfcc"}
    assert {row.kind for row in rows if row.accepted} == {"features_log_mel"}


def test_features_of_no_input(two: Golden, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps({"music": {"features": [1.0]}}))
    with pytest.raises(ConversionError) as error:
        check(two, tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: has features, but the model takes features_log_mel and features_mfcc"
    )


def test_probabilities_and_labels_are_the_task_s(many: Golden, tmp_path: Path) -> None:
    write_golden(many, tmp_path, ["npy"])
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["schema"] == 1
    assert manifest["output"] == "logits"
    assert manifest["operator"] == "sigmoid"
    assert Task.from_dict(manifest["task"]) == MANY
    counts = set()
    for case in manifest["cases"]:
        features = np.load(tmp_path / case["name"] / "features.npy")
        expected = expit(features.reshape(-1) @ weights(SPEC.shape))
        np.testing.assert_allclose(case["probabilities"], expected, atol=1e-5)
        held = {
            label
            for label, value, threshold in zip(LABELS, expected, MANY.thresholds, strict=True)
            if value >= threshold
        }
        assert set(case["labels"]) == held
        assert "label" not in case
        counts.add(len(held))
    assert len(counts) > 1


def test_the_command_on_two_inputs(two: Golden, tmp_path: Path) -> None:
    model = tmp_path / "two.onnx"
    model.write_bytes(two_inputs_model())

    def export(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["export", *map(str, (model, *arguments))])
        return result.exit_code, result.output + result.stderr

    assert export("--golden", tmp_path / "golden")[0] == 0
    port = tmp_path / "port"
    for case in two.cases:
        (port / case.name).mkdir(parents=True)
        features = case.arrays["features_mfcc"] + (0.5 if case.name == "music" else 0)
        np.save(port / case.name / "features_mfcc.npy", features)
    code, text = export("--check", port)
    assert code == 3
    assert "music: features_mfcc" in " ".join(text.split())
    assert text.count("accepted") == 4
