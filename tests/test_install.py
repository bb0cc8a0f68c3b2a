"""Installations from nothing: slow, since each fills a virtual environment of its own."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"tensorflow", "torch", "librosa", "scipy", "keras", "onnx", "matplotlib"}

pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a command and return what it printed; fail with its errors."""
    result = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_demo_on_a_fresh_clone(tmp_path: Path) -> None:
    """`make demo` needs Python alone, installs nothing heavy, and classifies."""
    run("git", "clone", "--quiet", ROOT, tmp_path / "clone")
    output = run("make", "demo", f"PYTHON={sys.executable}", cwd=tmp_path / "clone")
    assert "disco" in output
    listed = run(tmp_path / "clone/.venv/bin/python", "-m", "pip", "list", "--format=freeze")
    packages = {line.split("==")[0].lower() for line in listed.splitlines()}
    assert "ai-edge-litert" in packages
    assert not packages & HEAVY


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime has no wheel for 3.12")
def test_runtime_of_32_bit_arm(tmp_path: Path) -> None:
    """tflite-runtime with NumPy 1, as on a 32-bit Raspberry Pi, passes the model's self-test."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    install = (python, "-m", "pip", "install", "--quiet")
    run(*install, "tflite-runtime>=2.14", "numpy>=1.24,<2", "click", "rich", "soundfile")
    run(*install, "--no-deps", ROOT)
    program = (
        "from edge_genre import Classifier; from edge_genre.demo import clip; import numpy;"
        "c = Classifier.load();"
        "print(numpy.__version__, c.engine.name, c.classify_file(clip()).label)"
    )
    words = run(python, "-c", program, cwd=tmp_path).split()
    assert words[0].startswith("1.")
    assert words[1:] == ["tflite-runtime", words[2], "disco"]
    # What comes with other engines is missing here, and no command may need it.
    program = tmp_path / "venv/bin/edge-genre"
    found = json.loads(run(program, "benchmark", "tiny-gtzan", "--seconds", "0.1", "--json"))
    assert found["runs"][0]["stages"]
    run(program, "inspect", "tiny-gtzan", "--json")
    run(program, "export", "tiny-gtzan", "--golden", tmp_path / "golden")
    assert (tmp_path / "golden").is_dir()
