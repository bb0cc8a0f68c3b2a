"""What the documentation says is what the program does."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import edge_genre
import edge_genre.convert
from edge_genre import errors
from edge_genre.benchmarks.markdown import part
from edge_genre.demo import clip
from edge_genre.frontend import PRESETS, FrontEndSpec, kinds
from edge_genre.model import self_test
from edge_genre.model.bundled import bundled_models
from edge_genre.model.file import ModelInfo, read
from edge_genre.model.input import inputs_of
from edge_genre.outputs import Event
from edge_genre.results import WindowResult, vote
from edge_genre.task import Task
from tests.programs.documentation import PARTS, ROOT, every_command
from tests.support.playing import playing

DOCS = sorted((ROOT / "docs").rglob("*.md"))
PROJECT = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
NOTES = sorted((ROOT / "firmware_notes").glob("*.md"))
PAGES = [*PROJECT, *DOCS, *NOTES, ROOT / "models/README.md", ROOT / "benchmarks/README.md"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(("page", "name"), [(p, n) for p, parts in PARTS.items() for n in parts])
def test_generated_parts_are_up_to_date(page: str, name: str) -> None:
    assert part((ROOT / page).read_text(), name) == PARTS[page][name](), "run `make generated`"


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs/reference/commands.md").read_text()
    assert set(every_command()) == set(re.findall(r"^## (\w+)$", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_options_that_pages_show_exist(page: Path) -> None:
    commands = every_command()
    text = re.sub(r"\\\n\s*", " ", page.read_text())
    for name, arguments in re.findall(r"\bedge-genre ([a-z]+)\b([^\n|>#`]*)", text):
        if name not in commands:  # prose, such as "edge-genre needs"
            assert "--" not in arguments, f"edge-genre {name}{arguments}"
            continue
        options = {option for item in commands[name].params for option in item.opts} | {"--help"}
        if name == "service":  # whose -- hands the others on
            arguments = arguments.partition(" -- ")[0]
        for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", arguments):
            assert option in options, f"edge-genre {name} {option}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [*DOCS, *PROJECT], ids=name_of)
def test_paths_that_pages_name_exist(page: Path) -> None:
    folders = "edge|convert|models|benchmarks|tests|docs|examples|firmware_notes"
    for path in re.findall(rf"`((?:{folders})/[^`\s]*)`", page.read_text()):
        if "NAME" not in path:
            assert (ROOT / path).exists(), path


def test_every_public_name_is_in_the_reference() -> None:
    pages = (ROOT / "docs/reference/api").glob("*.md")
    text = "\n".join(page.read_text() for page in pages)
    documented = set(re.findall(r"^\.\. auto\w+:: (\S+)$", text, re.MULTILINE))
    assert "edge_genre.errors" in documented  # with all that it has
    public = {f"edge_genre.{name}" for name in edge_genre.__all__ if not hasattr(errors, name)}
    public |= {f"edge_genre.convert.{name}" for name in edge_genre.convert.__all__}
    assert public - {"edge_genre.__version__"} <= documented


def keys_of(page: str, heading: str = "") -> set[str]:
    """Keys in the first columns of a page's tables, from a heading to the next."""
    text = (ROOT / "docs/reference" / page).read_text()
    if heading:
        text = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


def test_every_key_of_a_model_file_is_documented() -> None:
    info = ModelInfo(inputs=inputs_of(FrontEndSpec()), labels=("a",))
    newer = dataclasses.replace(info, task=Task(noun="mood"))
    described = keys_of("model-file.md", "The description")
    assert described == {*info.to_dict(), *newer.to_dict(), "sha256"}
    assert keys_of("model-file.md", "The inputs") == set(newer.inputs[0].to_dict())
    assert keys_of("model-file.md", "The task") == set(newer.task.to_dict())
    fields = {field.name for field in dataclasses.fields(self_test.SelfTest)}
    assert keys_of("model-file.md", "The self-test") == fields


def test_every_key_of_a_front_end_is_documented() -> None:
    fields = [dataclasses.fields(kinds.named(name)) for name in kinds.names()]
    assert keys_of("front-ends.md", "Keys") == {each.name for kind in fields for each in kind}


def test_every_preset_is_explained() -> None:
    text = (ROOT / "docs/reference/front-ends.md").read_text()
    explained = text.partition("<!-- /presets -->")[2].partition("\n## ")[0]
    for name in PRESETS:
        assert f"`{name.removesuffix('-first')}`" in explained, name


def test_every_key_of_a_result_is_documented() -> None:
    window = WindowResult(
        start=0,
        end=3,
        labels=("a",),
        probabilities={"a": 1.0},
        level_dbfs=-20,
        front_end_ms=1,
        inference_ms=1,
    )
    event = Event(datetime(2026, 1, 1, tzinfo=UTC), window, playing("a"))
    window_keys, song_keys = set(event.to_dict()), set(vote([window]).to_dict(windows=True))
    assert keys_of("results.md", "A window") == window_keys | {"explanations"}
    assert keys_of("results.md", "A song") == song_keys


@pytest.fixture(scope="module")
def reader() -> Any:
    """The reader that the specification of the model file ends with."""
    text = (ROOT / "docs/reference/model-file.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "model-file.md", "exec"), names)
    return SimpleNamespace(**names)


TFLITE_FILES = [path for path in bundled_models() if path.suffix == ".tflite"]
TFLITE_FILES += sorted((ROOT / "tests/data").glob("format_*/*.tflite"))


@pytest.mark.parametrize("path", TFLITE_FILES, ids=lambda path: path.name)
def test_the_specification_is_enough_to_write_a_reader(reader: Any, path: Path) -> None:
    content = path.read_bytes()
    info = read(path).info
    assert info is not None
    assert info.front_end is not None
    assert info.self_test is not None
    labels, description = reader.read(content)
    assert labels == list(info.labels)
    assert description == info.to_dict()
    # NumPy's sine and exponential may differ in the last digit of a double.
    spec, seed = info.front_end, description["self_test"]["seed"]
    signal = reader.signal(seed, 3000, spec.sample_rate)
    expected = self_test.signal(seed, n_samples=3000, rate=spec.sample_rate)
    np.testing.assert_allclose(signal, expected, atol=1e-6)
    with pytest.raises(ValueError, match="damaged"):
        reader.read(content[:100] + bytes([content[100] ^ 1]) + content[101:])


def test_the_version_is_the_same_everywhere() -> None:
    found = version("edge-genre")
    assert f"\nversion: {found}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {found} - " in (ROOT / "CHANGELOG.md").read_text()


@dataclass(frozen=True)
class Example:
    """A block of code on a page."""

    page: Path
    line: int
    language: str
    code: str
    reason: str  # why it is not run

    @property
    def name(self) -> str:
        return f"{self.page.stem}-{self.line}"


def examples() -> list[Example]:
    """What README, the first steps and the how-tos show for running."""
    found = []
    pattern = r"(?:^<!-- not run: ([^\n]*) -->\n)?^```(sh|python)\n(.*?)^```$"
    for page in (ROOT / "README.md", *DOCS):
        if page.parent.name == "reference":  # the reader, above
            continue
        text = page.read_text()
        for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start(2)) + 1
            found.append(Example(page, line, match[2], match[3], match[1] or ""))
    return found


def run_parameters() -> list[Any]:
    return [
        pytest.param(
            example,
            id=example.name,
            marks=[pytest.mark.slow] if "my_model.keras" in example.code else [],
        )
        for example in examples()
        if not example.reason
    ]


def a_keras_model(path: Path) -> None:
    """Ten genres of a log-mel spectrogram of 3 s, of random weights."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((128, 130)),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.save(path)


@pytest.mark.parametrize("example", run_parameters())
def test_examples_run(example: Example, tmp_path: Path) -> None:
    for song in ("song.ogg", "Music/by-genre/disco/a.ogg", "Music/by-genre/jazz/b.ogg"):
        (tmp_path / song).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip(), tmp_path / song)
    if "my_model.keras" in example.code:
        a_keras_model(tmp_path / "my_model.keras")
    command = [sys.executable, "-c"] if example.language == "python" else ["bash", "-euc"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        [*command, example.code],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout or list(tmp_path.iterdir())


def test_what_is_not_run_is_little() -> None:
    """A microphone, half an hour of training, an installation: nothing else is left out."""
    assert {example.reason for example in examples() if example.reason} <= {
        "it needs a microphone",
        "it takes half an hour",
        "it installs, and has a test of its own",
    }
