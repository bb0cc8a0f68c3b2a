"""Models of many labels on the command line: what holds, what comes next, and why."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console

from edge_genre import AudioFile, Classifier
from edge_genre.audio.resample import Resampler
from edge_genre.cli.view import bars, curve
from edge_genre.demo import clip
from edge_genre.results import ranked
from edge_genre.task import GENRES, Task
from tests.support import models_on_the_fly as small
from tests.support.command_line import lines, run, terminal
from tests.support.signals import music

RATE = 22_050


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("songs") / "a.wav"
    soundfile.write(path, music(6 * RATE, RATE), RATE)
    return path


@pytest.fixture(scope="module")
def tagger(song: Path) -> Path:
    """A model whose thresholds let the two most probable labels of the song hold."""
    path = song.with_name("tagger.onnx")
    path.write_bytes(small.tagger())
    mean = Classifier.load(path).classify_file(song).probabilities or {}
    least = sorted(mean.values())[1]
    path.write_bytes(small.tagger(thresholds=(least - 0.01,) * 3, explanations=("attention",)))
    return path


def test_labels_are_shown_as_they_are(song: Path, tmp_path: Path) -> None:
    """What is markup to a table is a label of somebody's."""
    path = tmp_path / "odd.onnx"
    path.write_bytes(small.edited(small.tagger(noun="[tag]"), {}, "[live]\n[b]x[/b]\n:guitar:\n"))
    shown = run("classify", song, "-m", path, "--windows").stdout
    assert "[tag]s" in shown
    for label in ("[live]", "[b]x[/b]", ":guitar:"):
        assert shown.count(label) > 6  # in the bars, and in each window


def test_all_that_hold_are_shown(song: Path, tagger: Path) -> None:
    result = Classifier.load(tagger).classify_file(song)
    assert len(result.labels) == 2
    alone = run("classify", song, "-m", tagger).stdout.splitlines()
    shown = [line.split()[0] for line in alone[1:]]
    assert tuple(shown[:2]) == result.labels
    assert set(shown) == set(small.LABELS)
    table = run("classify", song, song, "-m", tagger, "--top", 1).stdout
    assert " tags " in table
    assert "genre" not in table
    for label in small.LABELS:
        assert f"{label} {(result.probabilities or {})[label]:.0%}" in table


def test_nothing_holds(song: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(small.tagger(thresholds=(1.0, 1.0, 1.0)))
    words = run("classify", song, "-m", path, "--top", 2).stdout.split()
    assert words[words.index("nothing") + 1] in small.LABELS
    assert sum(label in words for label in small.LABELS) == 2
    (answer,) = lines(run("classify", song, "-m", path, "--json").stdout)
    assert (answer["label"], answer["labels"], answer["probability"]) == ("nothing", [], 0)


def test_csv(song: Path, tagger: Path) -> None:
    result = Classifier.load(tagger).classify_file(song)
    (row,) = csv.DictReader(io.StringIO(run("classify", song, "-m", tagger, "--csv").stdout))
    assert row["label"] == result.labels[0]
    assert row["labels"] == ";".join(result.labels)
    samples, _ = soundfile.read(song, dtype="int16")
    listened = run("listen", "-i", "-", "-m", tagger, "--csv", stdin=samples.tobytes())
    rows = list(csv.DictReader(io.StringIO(listened.stdout)))
    assert all(row["labels"].split(";")[0] == row["label"] for row in rows)
    assert rows[-1]["playing_labels"].split(";") == list(result.labels)
    assert rows[-1]["playing"] == result.label


def test_listen_in_words(song: Path, tagger: Path) -> None:
    held = Classifier.load(tagger).classify_file(song).labels
    samples, _ = soundfile.read(song, dtype="int16")
    answer = run("listen", "-i", "-", "-m", tagger, "--top", 1, stdin=samples.tobytes()).stdout
    last = answer.splitlines()[-1]
    assert last.startswith(f"{held[0]}; {held[1]} ")
    assert all(label in last.partition(" ms ")[2] for label in small.LABELS)


def test_a_least_confidence_is_refused(song: Path, tagger: Path) -> None:
    message = run("listen", "-i", song, "-m", tagger, "--min-confidence", 0.4, code=2).stderr
    assert (
        "Invalid value for --min-confidence: min_confidence is for labels that exclude" in message
    )


def test_live_view(song: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(small.tagger(thresholds=(1e-9,) * 3))  # all hold
    shown = terminal("listen", "--input", song, "-m", model, "--seconds", 3)
    labels = "|".join(small.LABELS)
    assert re.search(rf"({labels}); ({labels}); ({labels})  for 0:0", shown)
    assert re.search(rf"played ({labels}) 0:0", shown)


def test_explain(song: Path, tagger: Path) -> None:
    table = run("classify", song, "-m", tagger, "--explain").stdout
    assert " attention " in table
    curves = [line.split("│")[-2].strip() for line in table.splitlines() if line.startswith("│")]
    assert len(curves) == 6
    assert all(len(curve) == small.SPEC.n_frames for curve in curves)
    assert set("".join(curves)) <= set("▁▂▃▄▅▆▇█01234567")


def test_explain_without_a_place(song: Path, tagger: Path) -> None:
    message = run("classify", song, "-m", tagger, "--explain", "--csv", code=2).stderr
    assert "--explain and --csv exclude each other" in message


def test_a_model_that_explains_nothing(song: Path, model: Path) -> None:
    message = run("classify", song, "-m", model, "--explain", "--windows", code=2).stderr
    assert f"{model} has no outputs that explain its answers." in message


def test_ranking() -> None:
    probabilities = {"a": 0.1, "b": 0.7, "c": 0.4, "d": 0.5}
    many = Task(kind="multi_label")
    assert ranked(probabilities, ("d", "a"), 1, task=many) == (
        [("d", 0.5), ("a", 0.1)],
        [("b", 0.7)],
    )
    assert ranked(probabilities, ("d",), 2, task=GENRES) == ([("b", 0.7)], [("d", 0.5)])
    # A draw, which the mean of the probabilities decided.
    even = {"a": 0.5, "b": 0.5}
    assert ranked(even, ("b",), 2, task=GENRES) == ([("b", 0.5)], [("a", 0.5)])
    assert ranked(None, (), 3, task=many) == ([], [])


@pytest.mark.parametrize("width", [30, 40, 80])
def test_bars_cut_nothing(width: int) -> None:
    ranking = [("Child speech, kid speaking", 1.0), ("Domestic animals, pets", 0.07)]
    screen = Console(width=width, file=io.StringIO())
    screen.print(bars(ranking[:1], ranking[1:], screen.width))
    rows = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(len(row) <= width for row in rows)
    shown = "".join(row[: width // 2] for row in rows).replace(" ", "")
    text = " ".join(rows)
    assert "100%" in text
    assert "  7%" in text
    for word in "Child speech, kid speaking Domestic animals, pets".split():
        assert word in text or word in shown


def test_a_curve_has_the_peaks() -> None:
    flat, peak = np.zeros(100), np.zeros(100)
    peak[50] = 1.0
    assert len(set(curve(flat.tolist()))) == 1
    drawn = curve(peak.tolist())
    assert len(drawn) == 24
    assert sorted(set(drawn)) == sorted({max(drawn), min(drawn)})
    assert drawn.count(max(drawn)) == 1
    assert drawn.index(max(drawn)) == 12
    assert curve([]) == ""
    assert len(curve([0.2, 0.1])) == 2


def test_history_of_a_listening(song: Path, tagger: Path, tmp_path: Path) -> None:
    """From audio to the table: what held, by its own noun, and each second once."""
    path = tmp_path / "plays.db"
    samples, _ = soundfile.read(song, dtype="int16")
    run("listen", "-i", "-", "-m", tagger, "--history", path, stdin=samples.tobytes())
    table = run("history", path).stdout
    assert " tag " in table
    for label in Classifier.load(tagger).classify_file(song).labels:
        assert f" {label} " in table
    (day,) = lines(run("history", path, "--by", "day", "--json").stdout)
    assert day["seconds"] == pytest.approx(6.0, abs=0.01)


def test_two_inputs_listen_as_they_classify(song: Path, tmp_path: Path) -> None:
    model = tmp_path / "two.onnx"
    model.write_bytes(small.two_inputs_model())
    samples, _ = soundfile.read(song, dtype="int16")
    heard = lines(run("listen", "-i", "-", "-m", model, "--json", stdin=samples.tobytes()).stdout)
    hop = heard[1]["start"]
    found = Classifier.load(model).classify_file(song, hop=hop).windows
    assert len(heard) == len(found)
    for one, other in zip(heard, found, strict=True):
        assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-3)


def test_yamnet_listens(reference_models: Path, tmp_path: Path) -> None:
    """A model that nobody here made, which says nothing of itself, against the bare interpreter."""
    spec = tmp_path / "spec.json"
    spec.write_text('{"kind": "waveform", "sample_rate": 16000, "window_seconds": 0.975}')
    with AudioFile(clip()) as file:
        resampler = Resampler(file.rate, 16_000)
        blocks = [resampler.process(block) for block in file.blocks()]
    samples = np.round(np.concatenate(blocks) * 32_767).astype(np.int16)
    labels = reference_models / "yamnet_labels.txt"
    described = ("--frontend", spec, "--labels", labels, "--task", "multi-label")
    model = ("-m", reference_models / "yamnet_wavin.tflite", *described)
    options = ("-i", "-", "--rate", 16_000, "--json", "--smooth", 0, "--hold", 0)
    heard = lines(run("listen", *options, *model, stdin=samples.tobytes()).stdout)

    interpreter = Interpreter(str(reference_models / "yamnet_wavin.tflite"))
    interpreter.allocate_tensors()
    names = labels.read_text().splitlines()
    held = 0
    for number, one in enumerate(heard[:-1]):  # the last window is padded
        window = samples[number * 16_000 : number * 16_000 + 15_600].astype(np.float32) / 32_768
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], window)
        interpreter.invoke()
        scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        np.testing.assert_allclose(list(one["probabilities"].values()), scores, atol=6e-5)
        best = sorted(np.flatnonzero(scores >= 0.5), key=lambda index: -scores[index])
        assert one["labels"] == [names[index] for index in best]
        # Unsmoothed, what goes on at its threshold and off by a fifth below it.
        assert set(one["labels"]) <= {each["label"] for each in one["playing"]["labels"]}
        held += len(one["labels"])
    assert len(heard) > 10
    assert held > 0
