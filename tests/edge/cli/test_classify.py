"""`edge-genre classify`: songs, folders, pipes, and what cannot be classified."""

import csv
import io
import os
import select
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_genre import Classifier
from edge_genre.results import SILENCE
from tests.support.command_line import command, lines, run
from tests.support.signals import music
from tests.support.waiting import wait_for

RATE = 22_050


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
