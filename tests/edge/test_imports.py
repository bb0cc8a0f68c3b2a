"""What a device loads, and what the wheel holds."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import edge_genre
from edge_genre.demo import clip

HEAVY = (
    "tensorflow torch librosa scipy matplotlib keras onnx sklearn numba edge_genre.convert".split()
)
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "program",
    [
        "import edge_genre",
        "import sys; sys.argv = ['edge-genre', '--help']; import edge_genre.cli as c; c.main()",
        "from edge_genre import Classifier; Classifier.load()",
        "from edge_genre import Classifier; Classifier.load('songnet-gtzan.onnx')",
    ],
)
def test_nothing_heavy_is_loaded(program: str) -> None:
    """In a clean interpreter, where all of it is installed and could be."""
    check = f"""
import atexit, sys
def loaded():
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    print('LOADED', heavy)
atexit.register(loaded)
{program}
"""
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert "LOADED []" in result.stdout


def test_what_is_not_used_is_not_loaded() -> None:
    """Importing the package loads neither an engine nor an audio library."""
    names = ["ai_edge_litert", "onnxruntime", "soundfile", "sounddevice", "click", "rich"]
    check = f"import sys, edge_genre; print([n for n in {names!r} if n in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def _loaded(names: list[str], *arguments: str) -> str:
    """Which of the modules the program has loaded at its end."""
    program = f"""
import atexit, sys
atexit.register(lambda: print([n for n in {names!r} if n in sys.modules], file=sys.stderr))
from edge_genre.cli import main
main({list(arguments)!r})
"""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr.strip()


def test_commands_load_nothing_before_they_run() -> None:
    """A slow card reads NumPy for half a second: help and completion do without."""
    assert _loaded(["numpy", "rich"], "--help") == "[]"


def test_the_first_answer_waits_for_nothing_else() -> None:
    names = ["rich", "importlib.metadata", "sounddevice", "edge_genre.cli.listen"]
    assert _loaded([*names, "numpy"], "classify", str(clip()), "--json") == "['numpy']"


def test_what_is_measured_is_the_model_alone() -> None:
    """The process of `edge-genre benchmark` in which memory and the start are measured."""
    names = ["importlib.metadata", "rich", "click"]
    check = (
        "import sys, edge_genre.benchmarks.latency.worker; "
        f"print([n for n in {names!r} if n in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_a_device_needs_nothing_that_other_engines_bring() -> None:
    """tflite-runtime, the engine of 32-bit Arm, comes without flatbuffers: facts are left out."""
    program = """
import sys
sys.modules['flatbuffers'] = None
from edge_genre.convert.golden.vectors import golden
from edge_genre.benchmarks.latency.subject import Job, Subject
from edge_genre.demo import clip
subject = Subject(Job('tiny-gtzan', str(clip())), print)
print(set(vars(subject.graph()).values()) == {None})
"""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "True", result.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names in a wheel built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, source],
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_wheel_holds_one_package(wheel: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"edge_genre"}


def test_wheel_holds_what_the_runtime_needs(wheel: list[str]) -> None:
    for name in (
        "edge_genre/py.typed",
        "edge_genre/demo/demo.ogg",
        "edge_genre/bundled/songnet-gtzan.tflite",
        "edge_genre/bundled/songnet-gtzan.onnx",
        "edge_genre/benchmarks/report/page.html.jinja",
    ):
        assert name in wheel


def test_wheel_has_the_version_of_the_program(wheel: list[str]) -> None:
    assert f"edge_genre-{edge_genre.__version__}.dist-info/METADATA" in wheel


def test_wheel_holds_every_module(wheel: list[str]) -> None:
    for folder in ("edge", "convert", "models", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            inside = name.removeprefix("edge/").replace("models/bundled/", "bundled/")
            assert f"edge_genre/{inside}" in wheel
    assert not [name for name in wheel if "test" in name and not name.endswith("self_test.py")]
