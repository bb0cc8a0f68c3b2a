"""The command line, run as a user runs it: what it prints, and its exit codes."""

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from edge_genre import Classifier
from edge_genre.cli import main
from edge_genre.model.bundled import bundled_models
from edge_genre.model.file import write
from edge_genre.results import SILENCE
from tests.programs.documentation import every_command
from tests.support import models_on_the_fly as small
from tests.support.signals import music
from tests.support.waiting import wait_for

RATE = 22_050


def run(*arguments: object, stdin: bytes | None = None, code: int = 0) -> Result:
    """Run a command in this process and check its exit code."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)
    assert result.exit_code == code, result.output
    # The runner turns a crash into exit code 1.
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def command(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start the real program."""
    program = Path(sys.executable).with_name("edge-genre")
    return subprocess.Popen(
        [str(program), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which ``edge-genre`` stands for the real program."""
    program = Path(sys.executable).with_name("edge-genre")
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; edge-genre() {{ {program} "$@"; }}; {line}'],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of audio: two songs, one of silence."""
    folder = tmp_path_factory.mktemp("songs")
    soundfile.write(folder / "a.wav", music(7 * RATE, RATE), RATE)
    (folder / "more").mkdir()
    stereo = np.stack([music(8 * 44_100, 44_100, seed=s) for s in (1, 2)], axis=1)
    soundfile.write(folder / "more" / "b.flac", stereo, 44_100)
    soundfile.write(folder / "quiet.wav", np.zeros(4 * RATE), RATE)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model file with a known answer."""
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    path.write_bytes(small.onnx_model())
    return path


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_classify_one_file(folder: Path) -> None:
    output = run("classify", folder / "a.wav").stdout
    song = Classifier.load().classify_file(folder / "a.wav")
    assert song.label in output
    assert f"{song.probability:.0%}" in output
    assert "7.0 s" in output


def test_classify_a_folder_as_json(folder: Path) -> None:
    songs = lines(run("classify", folder, "--json", "--windows").stdout)
    classifier = Classifier.load()
    assert [song["path"] for song in songs] == [
        str(folder / name) for name in ("a.wav", "more/b.flac", "quiet.wav")
    ]
    for song in songs:
        expected = classifier.classify_file(song["path"]).to_dict(windows=True)
        for window in (*song["windows"], *expected["windows"]):
            del window["front_end_ms"], window["inference_ms"]
        assert song == expected
    assert songs[2]["label"] == SILENCE
    assert songs[2]["probabilities"] is None


def test_classify_as_csv(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("classify", folder, "--csv").stdout)))
    classifier = Classifier.load()
    assert [Path(row["path"]).name for row in rows] == ["a.wav", "b.flac", "quiet.wav"]
    probabilities = classifier.classify_file(folder / "a.wav").probabilities
    assert probabilities is not None
    for label, value in probabilities.items():
        assert float(rows[0][label]) == pytest.approx(value, abs=1e-4)
    windows = run("classify", folder / "a.wav", "--csv", "--windows", "--hop", 2).stdout
    starts = [float(row["start"]) for row in csv.DictReader(io.StringIO(windows))]
    # Rounded to 26 frames of 1,711 samples.
    # The last window ends with the song.
    assert starts == pytest.approx([0, 2.018, 4.0], abs=1e-3)


def test_classify_says_what_a_hop_became(folder: Path) -> None:
    result = run("classify", folder / "a.wav", "--hop", 2)
    assert "hop: 2.018 s, 26 whole frames (asked: 2 s)" in result.stderr


def test_classify_votes(folder: Path, model: Path) -> None:
    for vote in ("mean", "majority"):
        (song,) = lines(
            run("classify", folder / "a.wav", "-m", model, "--vote", vote, "--json").stdout
        )
        expected = Classifier.load(model).classify_file(folder / "a.wav", vote_by=vote)
        assert song["vote"] == vote
        assert song["label"] == expected.label


def test_classify_raw_pcm(folder: Path, model: Path) -> None:
    samples, rate = soundfile.read(folder / "a.wav", dtype="int16")
    (piped,) = lines(
        run("classify", "-", "-m", model, "--json", "--rate", rate, stdin=samples.tobytes()).stdout
    )
    (file,) = lines(run("classify", folder / "a.wav", "-m", model, "--json").stdout)
    assert piped["probabilities"] == file["probabilities"]
    assert piped["duration"] == file["duration"]


def test_classify_short_audio_says_that_it_was_padded(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", music(RATE, RATE), RATE)
    assert "padded by 2.0 s" in run("classify", tmp_path / "short.wav").stdout
    (song,) = lines(run("classify", tmp_path / "short.wav", "--json").stdout)
    assert song["padded_seconds"] == 2.0


def test_one_bad_file_in_a_hundred(tmp_path: Path, model: Path) -> None:
    samples = music(RATE, RATE)
    for index in range(99):
        soundfile.write(tmp_path / f"{index:02}.wav", samples, RATE)
    (tmp_path / "50b.wav").write_bytes(b"no audio at all")
    result = run("classify", tmp_path, "-m", model, "--json", code=1)
    assert len(result.stderr.splitlines()) == 2
    assert "50b.wav: is no audio file" in result.stderr.replace("\n", " ")
    assert "1 of 100 not classified" in result.stderr
    songs = lines(result.stdout)
    assert len(songs) == 100
    assert [Path(song["path"]).name for song in songs if "error" in song] == ["50b.wav"]
    table = run("classify", tmp_path, "-m", model, code=1)
    assert table.stdout.count(".wav") >= 99


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.wav", None, "no such file"),
        ("empty.wav", b"", "is empty"),
        ("text.wav", b"no audio", "is no audio file"),
        ("cut.wav", "cut", "cut off"),
        ("nan.wav", "nan", "sample 100 (0.005 s) is nan"),
        ("none.wav", "none", "holds no samples"),
    ],
)
def test_bad_audio(tmp_path: Path, name: str, content: bytes | str | None, message: str) -> None:
    path = tmp_path / name
    samples = music(RATE, RATE)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "cut":
        soundfile.write(path, samples, RATE)
        path.write_bytes(path.read_bytes()[:20_000])
    elif content == "nan":
        samples[100] = np.nan
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    elif content == "none":
        soundfile.write(path, samples[:0], RATE)
    for arguments in (("classify", path), ("listen", "--input", path)):
        result = run(*arguments, code=1)
        errors = [line for line in result.stderr.splitlines() if line.startswith("edge-genre: ")]
        assert len(errors) == 1
        assert errors[0].startswith(f"edge-genre: {path}: ")
        assert message in errors[0]
        assert result.stdout == ""


def test_folder_without_audio(tmp_path: Path) -> None:
    assert "no audio files" in run("classify", tmp_path, code=1).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", "x.wav"),
        ("inspect",),
        ("listen", "--input", "x.wav"),
    ],
)
def test_bad_model(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(bytes(1000))
    option = () if arguments == ("inspect",) else ("--model",)
    for path, message in ((broken, "no TFLite or ONNX"), (tmp_path / "none", "no such model")):
        result = run(*arguments, *option, path, code=1)
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"edge-genre: {path}: ")
        assert message in line


def test_model_from_the_environment(
    folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_GENRE_MODEL", str(model))
    (song,) = lines(run("classify", folder / "a.wav", "--json").stdout)
    assert set(song["probabilities"]) == set(small.LABELS)


def test_foreign_model_with_preset_and_labels(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "plain.onnx").write_bytes(small.onnx_graph(output="logits"))
    (tmp_path / "labels.txt").write_text("blues\njazz\nrock\n")
    (tmp_path / "spec.json").write_text(json.dumps(small.SPEC.to_dict()))
    described = ("--frontend", tmp_path / "spec.json", "--labels", tmp_path / "labels.txt")
    (song,) = lines(
        run(
            *("classify", folder / "a.wav", "--json", "--model", tmp_path / "plain.onnx"),
            *(*described, "--outputs", "logits"),
        ).stdout
    )
    (tmp_path / "whole.onnx").write_bytes(small.onnx_model())
    expected = Classifier.load(tmp_path / "whole.onnx").classify_file(folder / "a.wav")
    assert song["probabilities"] == pytest.approx(expected.probabilities, abs=1e-3)
    assert "--frontend" in run("classify", folder, "-m", tmp_path / "plain.onnx", code=1).stderr
    inspected = run("inspect", tmp_path / "plain.onnx", *described, "--json")
    assert json.loads(inspected.stdout)["self_test_deviation"] is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nothing", "preset 'nothing' is unknown"),
        ("missing.json", "cannot be read"),
        ('{"n_mel": 3}', "unknown key 'n_mel'"),
        ("[1]", "expected a JSON object"),
        ("{", "is not JSON"),
    ],
)
def test_bad_front_end(tmp_path: Path, spec: str, message: str) -> None:
    (tmp_path / "plain.onnx").write_bytes(small.onnx_graph())
    (tmp_path / "labels.txt").write_text("blues\njazz\nrock\n")
    if not spec[0].isalpha():
        (tmp_path / "spec.json").write_text(spec)
        spec = str(tmp_path / "spec.json")
    result = run(
        *("inspect", tmp_path / "plain.onnx", "--frontend", spec),
        *("--labels", tmp_path / "labels.txt"),
        code=1,
    )
    assert message in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify",),
        ("classify", "a.wav", "--hop", "0"),
        ("classify", "a.wav", "--hop", "nan"),
        ("classify", "a.wav", "--hop", "1e9"),
        ("classify", ""),
        ("classify", "a.wav", "--model", ""),
        ("classify", "a.wav", "--silence", "nan"),
        ("classify", "-", "--channels", "0"),
        ("classify", "-", "--rate", "99999999999999999999"),
        ("classify", "a.wav", "--threads", "100000"),
        ("classify", "a.wav", "--json", "--csv"),
        ("classify", "a.wav", "--threads", "0"),
        ("classify", "a.wav", "--vote", "median"),
        ("listen", "--seconds", "-1"),
        ("listen", "--input", "a.wav", "--device", "x"),
        ("nothing",),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    run(*arguments, code=2)


def test_inspect_without_a_front_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.onnx"
    info = small.info(front_end=None, provenance={"source": "rows.h5", "versions": {"keras": "3"}})
    write(path, small.onnx_graph(), info)
    output = run("inspect", path).stdout
    assert "versions: keras 3" in output
    values = json.loads(run("inspect", path, "--json").stdout)
    assert (values["front_end"], values["labels"]) == (None, list(small.LABELS))
    message = run("classify", "song.wav", "-m", path, code=1).stderr
    assert "no audio front end" in message


def test_inspect(model: Path) -> None:
    output = run("inspect", "songnet-gtzan").stdout
    for text in ("songnet-gtzan", "hash", "passed", "blues, classical", "mean_variance"):
        assert text in output
    values = json.loads(run("inspect", model, "--json").stdout)
    assert values["kind"] == "onnx"
    assert values["input_shape"] == [1, 22, 32]
    assert values["self_test_deviation"] < 1e-3
    assert values["front_end_hash"] == small.SPEC.hash


def test_models() -> None:
    listed = lines(run("models", "--json").stdout)
    assert [entry["file"] for entry in listed] == [path.name for path in bundled_models()]
    assert [entry["file"] for entry in listed if entry["default"]] == ["songnet-gtzan.tflite"]
    assert "songnet-gtzan.onnx" in run("models").stdout


def test_listen_to_raw_pcm(folder: Path, model: Path) -> None:
    samples, rate = soundfile.read(folder / "a.wav", dtype="int16")
    arguments = ("listen", "--input", "-", "--rate", rate, "-m", model, "--hop", "0.5")
    result = run(*arguments, "--json", stdin=samples.tobytes())
    windows = lines(result.stdout)
    hop = 11 * 1024 / RATE
    assert [window["start"] for window in windows[:3]] == pytest.approx([0, hop, 2 * hop], abs=1e-3)
    assert len(windows) >= 12
    first = run(*arguments, "--seconds", "2", stdin=samples.tobytes())
    assert first.stdout.splitlines()[0].startswith(windows[0]["label"])
    assert "hop: 0.511 s" in first.stderr


def test_listen_to_a_file_as_if_live(folder: Path, model: Path) -> None:
    begin = time.monotonic()
    result = run("listen", "--input", folder / "a.wav", "-m", model, "--seconds", 2, "--json")
    assert time.monotonic() - begin > 1.9
    assert lines(result.stdout)[-1]["end"] == pytest.approx(2, abs=0.06)


def test_interrupt(folder: Path, model: Path) -> None:
    """Ctrl-C ends with 130 and without a traceback; what was printed is whole."""
    process = command("listen", "--input", folder / "more/b.flac", "-m", model, "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert all(window["schema"] == 1 for window in lines(first + rest))


def test_interrupted_table_shows_what_is_done(tmp_path: Path, folder: Path, model: Path) -> None:
    reader, writer = os.pipe()
    process = command("classify", folder / "a.wav", "-", "-m", model, stdin=reader)
    os.write(writer, b"RIFF")
    # Once it has taken that from its standard input, it is done with the first file.
    wait_for(lambda: not select.select([reader], [], [], 0)[0])
    os.close(reader)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=300)
    os.close(writer)
    assert process.returncode == 130
    assert "a.wav" in output
    assert "Traceback" not in errors


def test_closed_pipe(folder: Path, model: Path) -> None:
    """Who reads only the first line gets no complaint."""
    many = " ".join([str(folder)] * 60)
    result = shell(f"edge-genre classify {many} -m {model} --json --windows | head -n 1")
    assert len(lines(result.stdout)) == 1
    assert result.stderr == ""
    assert result.returncode == 0


@pytest.mark.parametrize(
    ("redirect", "code"), [(">/dev/full", 1), (">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)]
)
@pytest.mark.parametrize("arguments", ["--help", "models", "classify {song} -m {model}"])
def test_outputs_that_take_nothing(
    folder: Path, model: Path, arguments: str, redirect: str, code: int
) -> None:
    filled = arguments.format(song=folder / "a.wav", model=model)
    result = shell(f"edge-genre {filled} {redirect}")
    assert result.returncode == code
    assert len(result.stderr.splitlines()) == code


def test_closed_standard_input(model: Path) -> None:
    for arguments in (f"classify - -m {model}", f"listen --input - -m {model}"):
        result = shell(f"edge-genre {arguments} <&-")
        assert result.returncode == 1
        assert result.stderr == "edge-genre: -: the standard input is closed\n"


@pytest.mark.parametrize("output", [(), ("--json",), ("--csv",)])
def test_names_that_are_no_text(
    tmp_path: Path, folder: Path, model: Path, output: tuple[str, ...]
) -> None:
    name = os.fsdecode(b"\xff[red]\xe9.wav")
    (tmp_path / name).write_bytes((folder / "a.wav").read_bytes())
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    process = command("classify", tmp_path, "-m", model, *output, env=environment)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "[red]" in printed
    assert errors == ""


def terminal(*arguments: object, columns: int = 60) -> str:
    """What the real program shows on a terminal of some width."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    program = Path(sys.executable).with_name("edge-genre")
    process = subprocess.Popen(
        [str(program), *map(str, arguments)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm", "COLUMNS": str(columns), "PYTHONUTF8": "1"},
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # which is how a terminal says that nobody writes any more
        while data := os.read(controller, 65_536):
            shown += data
    os.close(controller)
    assert process.wait(timeout=300) == 0, shown.decode()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_live_view(folder: Path, model: Path) -> None:
    shown = terminal("listen", "--input", folder / "a.wav", "-m", model, "--seconds", 3)
    assert "listening ..." in shown
    assert "━" in shown
    assert any(f"{label}  for 0:0" in shown for label in small.LABELS)
    assert re.search(r"level +\|+\.* -\d+ dBFS", shown)
    assert re.search(r"played \w+ 0:0", shown)
    assert re.search(r"cost +\d+\.\d ms a window, .*CPU \d+\.\d%", shown)


@pytest.mark.parametrize("columns", [60, 120])
def test_tables_on_a_terminal(folder: Path, model: Path, columns: int) -> None:
    """With a progress bar, and with names that can be read."""
    shown = terminal("classify", folder, "-m", model, columns=columns)
    table = shown[shown.index("┏") :]
    assert all(len(line) <= columns for line in table.splitlines())
    first_column = "".join(line.split("│")[1].strip() for line in table.splitlines() if "│" in line)
    for name in ("a.wav", "more/b.flac", "quiet.wav"):
        assert str(folder / name) in first_column
    assert "3/3" in shown


def test_models_when_the_environment_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_GENRE_MODEL", "nonsense")
    assert "songnet-gtzan" in run("models").stdout


def test_names_too_long(model: Path) -> None:
    for arguments in (("classify", "x" * 5000, "-m", model), ("inspect", "x" * 5000)):
        assert "cannot be read" in run(*arguments, code=1).stderr


@pytest.mark.parametrize(("name", "entry"), every_command().items())
def test_every_command_and_option_has_help(name: str, entry: Any) -> None:
    assert entry.help
    for parameter in entry.params:
        if parameter.param_type_name == "option":
            assert parameter.help, f"{name} {parameter.name}"
    for option in ("-h", "--help"):
        assert "Usage:" in run(name, option).stdout


def test_version() -> None:
    assert "edge-genre, version" in run("--version").stdout
