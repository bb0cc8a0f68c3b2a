"""The front end on Arm Cortex-M without an operating system, on QEMU's boards."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_genre import Classifier
from edge_genre.convert.c.code import write_sources
from edge_genre.convert.c.tables import c_tables
from edge_genre.convert.golden.vectors import golden, write_golden
from tests.support.c_compiler import SANITIZED, SOURCES, STRICT, require

BOARD = Path(__file__).parent / "cortex_m"
# Processor, its FPU, and QEMU's board with it.
PROCESSORS = {
    "Cortex-M4": ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "mps2-an386"),
    "Cortex-M7": ("-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", "mps2-an500"),
}
NANOSECONDS = 40  # a tick of the boards' clock of 25 MHz; QEMU counts one an instruction


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables and golden music of tiny-gtzan."""
    folder, classifier = tmp_path_factory.mktemp("board"), Classifier.load("tiny-gtzan")
    write_sources(folder, c_tables(classifier.spec))
    write_golden(golden(classifier), folder / "golden", ["c"])
    (folder / "golden/music/golden_music.h").rename(folder / "golden_music.h")
    return folder


def _run(processor: str, vectors: Path, folder: Path) -> tuple[bool, float, float]:
    """Whether the board finds itself right, the largest difference, millions of instructions."""
    require("arm-none-eabi-gcc", "qemu-system-arm")
    cpu, fpu, machine = PROCESSORS[processor]
    program = folder / "program.elf"
    files = [SOURCES / "edge_genre_frontend.c", SOURCES / "self_check.c", BOARD / "board.c"]
    options = [*STRICT, "-mthumb", cpu, fpu, "-mfloat-abi=hard", f"-I{vectors}", f"-I{SOURCES}"]
    link = ["-T", BOARD / "board.ld", "--specs=rdimon.specs", "-lm", "-o", program]
    subprocess.run(["arm-none-eabi-gcc", *options, *files, *link], check=True)
    result = subprocess.run(
        [
            *("qemu-system-arm", "-M", machine, "-kernel", program, "-icount", "shift=0"),
            *("-nographic", "-monitor", "none", "-serial", "none"),
            *("-semihosting-config", "enable=on,target=native"),
        ],
        capture_output=True,
        check=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    right, largest, ticks = result.stdout.split()
    return right == b"1", float(largest), int(ticks) * NANOSECONDS / 1e6


@pytest.mark.parametrize("processor", PROCESSORS)
def test_golden_features_on_the_board(
    processor: str, vectors: Path, tmp_path: Path, report: Callable[[str], None]
) -> None:
    right, largest, millions = _run(processor, vectors, tmp_path)
    report(
        f"{processor}: features off by {largest:.1e} at most, {millions:.1f} million instructions "
        "a window"
    )
    assert right
    assert 0 < largest < 1e-4
    assert 5 < millions < 20


def test_a_board_that_is_wrong_says_so(vectors: Path, tmp_path: Path) -> None:
    """Another floor than the model's: another front end."""
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for path in vectors.glob("*.h"):
        text = path.read_text()
        if path.name == "edge_genre_spec.h":
            text = text.replace("#define EG_TOP_DB 80.0f", "#define EG_TOP_DB 70.0f")
            assert "70.0f" in text
        (wrong / path.name).write_text(text)
    right, largest, _ = _run("Cortex-M7", wrong, tmp_path)
    assert not right
    assert largest > 0.01


def test_the_self_check_here(vectors: Path, tmp_path: Path) -> None:
    """The same under sanitizers, and with a front end that gives NaN."""
    require("gcc")
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "self_check.h"\n'
        "static eg_frontend frontend;\n"
        "int main(void) { float largest; int right = eg_self_check(&frontend, &largest);\n"
        'printf("%d %g", right, (double)largest); return 0; }\n'
    )
    files = [SOURCES / "edge_genre_frontend.c", SOURCES / "self_check.c", tmp_path / "main.c"]
    program = tmp_path / "program"
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in vectors.glob("*.h"):
        text = path.read_text().replace("#define EG_AMIN 1e-10f", "#define EG_AMIN (-1.0f)")
        (damaged / path.name).write_text(re.sub(r"(eg_hann.*\n +)\S+", r"\1NAN,", text))
    for folder, expected in ((vectors, b"1"), (damaged, b"0")):
        command = ["gcc", *STRICT, *SANITIZED, f"-I{folder}", f"-I{SOURCES}", *files]
        subprocess.run([*command, "-lm", "-o", program], check=True)
        right, _ = subprocess.run([program], capture_output=True, check=True).stdout.split()
        assert right == expected


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_code_and_stack(
    cpu: str, vectors: Path, tmp_path: Path, report: Callable[[str], None]
) -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-size")
    unit = tmp_path / "frontend.o"
    options = [*STRICT, "-Os", "-mthumb", f"-mcpu={cpu}", "-mfloat-abi=hard", "-mfpu=auto"]
    command = ["arm-none-eabi-gcc", *options, "-fstack-usage", f"-I{vectors}", f"-I{SOURCES}"]
    subprocess.run([*command, "-c", SOURCES / "edge_genre_frontend.c", "-o", unit], check=True)
    sections = subprocess.run(
        ["arm-none-eabi-size", "-A", unit], capture_output=True, text=True, check=True
    ).stdout
    code = sum(int(line.split()[1]) for line in sections.splitlines() if line.startswith(".text"))
    usage = [line.split("\t") for line in unit.with_suffix(".su").read_text().splitlines()]
    stack = sum(int(number) for _, number, _ in usage)
    report(f"{cpu}: {code} bytes of code, stack below {stack}")
    assert {kind for _, _, kind in usage} == {"static"}
    assert code <= 3000
    assert stack <= 512
