"""The browser page hears what `classify` hears, and says what is wrong."""

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from click.testing import CliRunner

from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import Resampler, resampled
from edge_genre.classifier import Classifier
from edge_genre.cli import main
from edge_genre.convert.verify.answer import with_self_test
from edge_genre.convert.waveform import waveform_spec, with_front_end
from edge_genre.demo import clip
from edge_genre.listening.playing import NowPlaying
from edge_genre.model.file import read, write
from edge_genre.results import WindowResult
from edge_genre.task import Task
from tests.support import models_on_the_fly as small
from tests.support.browser import BUNDLED, PAGE, Server, Visit, launched, playwright, served, site
from tests.support.browser import waveform_file as waveform
from tests.support.signals import SIGNALS
from tests.support.tflite_on_the_fly import tflite_graph

KINDS = ("tflite", "onnx")
RATE = 22_050
# Of a probability: both have the same samples, but not the same kernels. The TFLite model computes
# in 8 bits, and rounds to another step at times.
TOLERANCE = {"tflite": 0.01, "onnx": 1e-4}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The default model of the page for each engine."""
    folder = tmp_path_factory.mktemp("models")
    return {kind: waveform(f"songnet-gtzan.{kind}", folder) for kind in KINDS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path]) -> Path:
    """The page with its models."""
    named = {f"genre.{kind}": path for kind, path in models.items()}
    return site(tmp_path_factory.mktemp("site"), named)


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """What starts browsers."""
    with playwright() as running:
        yield running


@pytest.fixture(scope="module")
def chromium(driver: Any) -> Iterator[Any]:
    """A browser."""
    with launched(driver) as running:
        yield running


@pytest.fixture(scope="module")
def server(chromium: Any, folder: Path) -> Iterator[Server]:
    """Where the page is."""
    with served(folder) as running:
        yield running


@pytest.fixture(scope="module")
def visits(chromium: Any, server: Server) -> Iterator[dict[str, Visit]]:
    """The page with a loaded model, for each engine."""
    with Visit(chromium, server.url) as tflite, Visit(chromium, server.url) as onnx:
        tflite.ready()
        onnx.page.select_option("#engine", "onnx")
        onnx.ready()
        yield {"tflite": tflite, "onnx": onnx}


@pytest.fixture(scope="module")
def visit(visits: dict[str, Visit]) -> Visit:
    """The page, whatever its engine."""
    return visits["tflite"]


@pytest.fixture(scope="module")
def spare(chromium: Any, server: Server) -> Iterator[Visit]:
    """The page for tests of models, which leave it with any."""
    with Visit(chromium, server.url) as visit:
        visit.ready()
        yield visit


@pytest.fixture(scope="session")
def music() -> np.ndarray:
    """The demo clip at the models' rate."""
    with AudioFile(clip()) as source:
        return resampled(source, RATE)


@pytest.fixture
def wav(tmp_path: Path) -> Callable[..., Path]:
    """Write samples as a WAV file."""

    def write(samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
        path = tmp_path / "music.wav"
        soundfile.write(path, samples, rate, subtype=subtype)
        return path

    return write


def rows(windows: list[dict[str, Any]]) -> np.ndarray:
    return np.array([list(window["probabilities"].values()) for window in windows])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hop", [0.5, 3])
def test_every_window_is_that_of_classify(visits, models, music, wav, report, kind, hop):
    path = wav(music)
    song = Classifier.load(models[kind]).classify_file(path, hop=hop)
    expected = [window.to_dict() for window in song.windows]
    visit = visits[kind]
    found = visit.classify(path, hop=hop)
    keys = ("start", "end", "label", "level_dbfs", "padded_seconds")
    assert [[row[key] for key in keys] for row in found] == [
        [row[key] for key in keys] for row in expected
    ]
    assert list(found[0]["probabilities"]) == list(expected[0]["probabilities"])
    true = np.array([list(window.probabilities.values()) for window in song.windows])
    off = np.abs(rows(found) - true).max()
    spent = np.median([row["inference_ms"] for row in found])
    report(f"{kind}: off by {off:.1e} at most, {spent:.1f} ms a window in the browser")
    assert off < TOLERANCE[kind]
    assert visit.text("label") == song.label
    assert f"{song.label}\n{round(100 * song.probability)} %" in visit.text("bars")


@pytest.mark.parametrize(
    ("rate", "suffix"),
    [
        *[(44_100, suffix) for suffix in ("wav", "flac", "ogg", "mp3")],
        *[(48_000, suffix) for suffix in ("wav", "opus")],
        *[(16_000, "wav"), (96_000, "wav")],
    ],
)
def test_files_are_resampled_as_in_classify(visits, models, music, tmp_path, report, rate, suffix):
    path = tmp_path / f"music.{suffix}"
    kinds = {"opus": {"format": "OGG", "subtype": "OPUS"}}
    soundfile.write(path, soxr.resample(music, RATE, rate), rate, **kinds.get(suffix, {}))
    expected = Classifier.load(models["onnx"]).classify_file(path, hop=1.0)
    found = visits["onnx"].classify(path)
    true = np.array([list(window.probabilities.values()) for window in expected.windows])
    size = min(len(true), len(found))
    # Decoders differ in what they take for the end of an MP3 file.
    assert size >= len(true) - 1
    off = np.abs(rows(found)[:size] - true[:size]).max()
    report(f"{suffix} at {rate} Hz: off by {off:.1e} at most")
    assert off < 1e-3


def test_stereo_becomes_mono_as_in_classify(visits, models, music, wav):
    other = SIGNALS["music"](len(music), RATE)
    path = wav(np.stack([music, other], axis=1))
    expected = Classifier.load(models["onnx"]).classify_file(path, hop=3.0)
    found = visits["onnx"].classify(path, hop=3)
    true = np.array([list(window.probabilities.values()) for window in expected.windows])
    assert np.abs(rows(found) - true).max() < TOLERANCE["onnx"]


def test_less_than_a_window_is_padded(visit, models, music, wav):
    path = wav(music[:RATE])
    (expected,) = Classifier.load(models["tflite"]).classify_file(path).windows
    (found,) = visit.classify(path)
    assert (found["end"], found["padded_seconds"]) == (1, 2)
    assert found["label"] == expected.label


def test_silence_is_no_genre(visit, wav):
    found = visit.classify(wav(np.zeros(4 * RATE)))
    assert [(row["label"], row["probabilities"]) for row in found] == [("silence", None)] * 2
    assert visit.text("label") == "silence"


@pytest.mark.parametrize("kind", KINDS)
def test_golden_vectors_accept_the_page(visits, models, tmp_path, folder, kind):
    def edge_genre(*arguments: object) -> Any:
        return CliRunner().invoke(main, list(map(str, ("export", models[kind], *arguments))))

    golden = tmp_path / "golden"
    assert edge_genre("--golden", golden).exit_code == 0
    page = visits[kind].page
    cases = sorted(path.parent.name for path in golden.glob("*/pcm.wav"))
    assert len(cases) > 3
    results = {}
    for case in cases:
        content = (golden / case / "pcm.wav").read_bytes()
        # The page's own decoder and model, without its gate, which makes nothing of silence.
        probabilities = page.evaluate(
            """async ([kind, wav]) => {
                const [{ decode }, { Model }] = await Promise.all(
                    [import("./audio.js"), import("./model.js")]);
                const response = await fetch(`models/genre.${kind}`);
                window.golden ??= await Model.load(new Uint8Array(await response.arrayBuffer()));
                const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
                const { samples } = await decode(new File([bytes], "pcm.wav"));
                return [...await golden.probabilities(samples)];
            }""",
            [kind, base64.b64encode(content).decode()],
        )
        results[case] = {"probabilities": probabilities}
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / "results.json").write_text(json.dumps(results))
    accepted = edge_genre("--check", answers)
    assert accepted.exit_code == 0, accepted.output
    results["music"]["probabilities"].reverse()
    (answers / "results.json").write_text(json.dumps(results))
    assert edge_genre("--check", answers).exit_code == 3


@pytest.mark.parametrize("rates", [(48_000, 22_050), (44_100, 22_050), (16_000, 44_100)])
def test_the_microphone_is_resampled_as_in_python(visit, music, rates):
    samples = music[:30_000]
    resampler = Resampler(*rates)
    expected = np.concatenate([resampler.process(samples), resampler.flush()])
    found = visit.page.evaluate(
        """async ([samples, [source, target]]) => {
            const { Resampler } = await import("./resample.js");
            const resampler = new Resampler(source, target);
            const blocks = [];
            for (let at = 0; at < samples.length; at += 2048) {
                blocks.push(...resampler.process(Float32Array.from(samples.slice(at, at + 2048))));
            }
            return blocks;
        }""",
        [samples.tolist(), rates],
    )
    # What the last samples complete; the rest waits for more.
    assert 0.95 * len(expected) < len(found) < len(expected)
    assert np.abs(found - expected[: len(found)]).max() < 1e-5


def test_what_plays_is_smoothed_as_in_python(visit):
    rng = np.random.default_rng(5)
    labels = ["blues", "disco", "rock"]
    windows, expected, python = [], [], NowPlaying()
    for k in range(400):
        leader = labels[k // 40 % 3]
        row = rng.dirichlet(np.where(np.array(labels) == leader, 2.0, 1.0))
        known = None if k % 97 > 90 else dict(zip(labels, row.tolist(), strict=True))
        end = 3 + k / 2
        found = python.update(
            WindowResult(
                start=end - 3,
                end=end,
                labels=(max(known, key=known.__getitem__),) if known else (),
                probabilities=known,
                level_dbfs=-20,
                front_end_ms=0,
                inference_ms=0,
            )
        )
        expected.append((found.label, found.probability))
        windows.append({"end": end, "probabilities": list(known.values()) if known else None})
    answers = visit.page.evaluate(
        """async ([labels, windows]) => {
            const { NowPlaying } = await import("./playing.js");
            const { GENRES, Task } = await import("./task.js");
            const now = new NowPlaying(labels, new Task(GENRES, labels));
            return windows.map((window) => now.update(window));
        }""",
        [labels, windows],
    )
    assert len({label for label, _ in expected}) == 4
    assert [answer["label"] for answer in answers] == [label for label, _ in expected]
    assert [a["probability"] for a in answers] == pytest.approx([p for _, p in expected])


def test_many_labels_are_smoothed_as_in_python(visit):
    """Each begins, ends and wavers about its threshold on its own, with silence in between."""
    rng = np.random.default_rng(6)
    labels = ["calm", "dark", "fast"]
    task = Task(kind="multi_label", noun="mood", thresholds=(0.5, 0.1, 0.7)).of_labels(labels)
    means = rng.uniform(0, 1, (24, 3)) * [1, 0.3, 1]
    means[::4] = 0
    means = np.repeat(means, 70, axis=0)
    windows, expected, python = [], [], NowPlaying(task=task)
    for k, mean in enumerate(means):
        row = np.clip(mean + rng.normal(0, 0.2, 3), 0, 1).astype(np.float32)
        silent = k % 200 > 180 or k % 50 == 0
        known = None if silent else dict(zip(labels, row.tolist(), strict=True))
        end = 3 + k / 2
        found = python.update(
            WindowResult(
                start=end - 3,
                end=end,
                labels=() if silent else tuple(labels[k] for k in task.decide(row)),
                probabilities=known,
                level_dbfs=-20,
                front_end_ms=0,
                inference_ms=0,
            )
        )
        expected.append((found.label, list(found.labels), found.text, found.probability))
        windows.append({"end": end, "probabilities": list(known.values()) if known else None})
    answers = visit.page.evaluate(
        """async ([labels, task, windows]) => {
            const { NowPlaying } = await import("./playing.js");
            const { Task } = await import("./task.js");
            const now = new NowPlaying(labels, new Task(task, labels));
            return windows.map((window) => now.update(window));
        }""",
        [labels, task.to_dict(), windows],
    )
    assert {0, 1, 2} <= {len(held) for _, held, _, _ in expected}
    assert {"silence", "nothing"} <= {label for label, _, _, _ in expected}
    for key, column in zip(("label", "labels", "text"), zip(*expected, strict=True), strict=False):
        assert [answer[key] for answer in answers] == list(column)
    assert [a["probability"] for a in answers] == pytest.approx([p for *_, p in expected])


OUTPUTS = ("probabilities", "logits", "log_probabilities")


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("kind", ["single_label", "multi_label"])
def test_a_task_decides_as_in_python(visit, kind, output):
    rng = np.random.default_rng(7)
    labels = tuple("abcd")
    task = Task(kind=kind).of_labels(labels)
    if not task.exclusive:
        task = replace(task, thresholds=(0.1, 0.3, 0.5, 0.7))
    rows = rng.normal(0, 3, (20, 4)).astype(np.float32)
    if output == "probabilities":
        rows = 1 / (1 + np.exp(-rows)) + 0.01  # some are above 1, as rounded ones may be
    elif output == "log_probabilities":
        rows = -np.abs(rows)
    rows = rows.astype(np.float32)
    found = visit.page.evaluate(
        """async ([labels, values, rows, meaning]) => {
            const { Task } = await import("./task.js");
            const task = new Task(values, labels);
            const made = rows.map((row) => task.probabilities(Float32Array.from(row), meaning));
            return {
                probabilities: made.map((row) => [...row]),
                held: made.map((row) => task.decide(row)),
                song: [...task.ofSong(made.map((row) => [...row]), 0.8)],
                nouns: task.nouns,
            };
        }""",
        [labels, task.to_dict(), rows.tolist(), output],
    )
    expected = task.probabilities(rows, output)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
    assert found["held"] == [task.decide(row) for row in expected]
    np.testing.assert_allclose(found["song"], task.of_song(expected, 0.8), atol=1e-6)
    assert found["nouns"] == "genres"


MOODS = Task(
    kind="multi_label", noun="mood", thresholds=(0.2, 0.5, 0.07), explanations=("attention",)
)
SPECS = {"log_mel": small.SPEC, "mfcc": small.MFCC.replace(normalize="mean_variance")}


def mood_file(kind: str, folder: Path, **changes: Any) -> Path:
    """A small model of many labels, two inputs and an output that explains, from samples on."""
    shapes = {name: spec.shape for name, spec in SPECS.items()}
    if kind == "tflite":
        graph = tflite_graph(shapes, many=True, explanation="attention")
    else:
        shapes = {name: (1, *shape) for name, shape in shapes.items()}
        graph = small.onnx_graph(shapes, many=True, explanation="attention")
    graph = with_front_end(graph, SPECS, task=MOODS)
    spec = waveform_spec(small.SPEC)
    described = with_self_test(graph, small.info(front_end=spec, task=MOODS, name="moods"))
    path = folder / f"moods.{kind}"
    write(path, graph, replace(described, **changes))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_many_labels_and_inputs(spare, tmp_path, wav, music, kind):
    own = mood_file(kind, tmp_path)
    spare.choose("model", own)
    spare.shows("about", re.compile("^moods: 3 moods, 1 s at 22050 Hz, .* self-test passed"))
    path = wav(music)
    song = Classifier.load(own).classify_file(path, hop=1.0)
    found = spare.classify(path)
    assert len({window.labels for window in song.windows}) > 3
    assert [row["labels"] for row in found] == [list(window.labels) for window in song.windows]
    assert [row["label"] for row in found] == [window.label for window in song.windows]
    true = np.array([list(window.probabilities.values()) for window in song.windows])
    assert np.abs(rows(found) - true).max() < 1e-4
    probabilities = [window.to_dict()["probability"] for window in song.windows]
    assert [row["probability"] for row in found] == pytest.approx(probabilities, abs=1e-3)
    assert spare.text("label") == "; ".join(song.labels)
    assert "its moods come out" in spare.page.inner_text("header")
    assert spare.page.get_attribute("#now", "aria-label") == "Moods"
    bars = spare.page.eval_on_selector_all(
        "#bars li", "bars => bars.map((bar) => [bar.innerText.split('\\n')[0], bar.className])"
    )
    order = sorted(song.probabilities, key=song.probabilities.get, reverse=True)
    held = [label for label in order if label in song.labels]
    others = [label for label in order if label not in song.labels]
    assert bars == [*([label, "holds"] for label in held), *([label, ""] for label in others)]
    assert spare.mistakes == []


def test_a_description_without_task_after_one_with(spare, tmp_path, wav, music):
    """Nothing of the last model stays."""
    spare.choose("model", mood_file("onnx", tmp_path))
    spare.shows("about", re.compile("^moods"))
    spare.choose("model", waveform("tiny-gtzan.onnx", tmp_path))
    spare.shows("about", re.compile("^tiny-gtzan: 10 genres"))
    assert "its genre comes out" in spare.page.inner_text("header")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format_version": 3}, "its description has version 3; this page reads 1 to 2: update"),
        ({"format_version": "2"}, "its description has version 2, expected a whole number from 1"),
        (
            {"task": MOODS.to_dict() | {"kind": "ranking"}},
            "its task is ranking, which this page does not know: update the page",
        ),
        (
            {"task": MOODS.to_dict() | {"explanations": []}},
            "it has outputs y, attention, expected one answer$",
        ),
    ],
)
def test_descriptions_that_this_page_cannot_follow(spare, tmp_path, change, problem):
    path = mood_file("onnx", tmp_path)
    path.write_bytes(small.edited(path.read_bytes(), change))
    spare.choose("model", path)
    spare.shows("error", re.compile(f"^moods.onnx: {problem}"))
    assert spare.page.is_disabled("#listen")


def test_nothing_leaves_the_machine(visits, server):
    for visit in visits.values():
        assert len(visit.requests) > 10
        strangers = [url for url in visit.requests if not url.startswith((server.url, "blob:"))]
        assert strangers == []
        blocked = visit.page.evaluate(
            "() => fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name)"
        )
        assert blocked == "TypeError"
        assert visit.mistakes == []


def test_works_offline_once_loaded(chromium, folder, models, music, wav):
    path = wav(music)
    with served(folder) as server, Visit(chromium, server.url) as visit:
        visit.shows("about", re.compile("works offline"))
        server.stop()
        visit.page.reload()
        visit.ready()
        song = Classifier.load(models["tflite"]).classify_file(path, hop=1.0)
        found = visit.classify(path)
        assert [row["label"] for row in found] == [window.label for window in song.windows]
        # The other engine was never loaded, and says so.
        visit.page.select_option("#engine", "onnx")
        assert "network" in visit.problem()


@pytest.mark.parametrize("name", ["tiny-gtzan.tflite", "tiny-gtzan.onnx", "songnet-fma.onnx"])
def test_takes_another_model(spare, tmp_path, wav, music, name):
    own = waveform(name, tmp_path)
    spare.choose("model", own)
    spare.shows("about", re.compile(f"^{own.stem}: "))
    assert spare.page.input_value("#engine") == own.suffix[1:]
    path = wav(music)
    song = Classifier.load(own).classify_file(path, hop=1.0)
    assert [row["label"] for row in spare.classify(path)] == [one.label for one in song.windows]


def test_a_model_that_answers_otherwise_is_refused(spare, tmp_path):
    info = read(waveform("tiny-gtzan.tflite", tmp_path)).info
    assert info is not None
    assert info.self_test is not None
    turned = replace(info.self_test, probabilities=info.self_test.probabilities[::-1])
    spare.choose("model", waveform("tiny-gtzan.tflite", tmp_path, self_test=turned))
    assert "tiny-gtzan.tflite: its self-test failed: a probability is off by" in spare.problem()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("split.tflite", "songnet-gtzan.tflite", "log_mel features, not samples: .* --waveform"),
        ("split.onnx", "songnet-gtzan.onnx", "log_mel features, not samples: .* --waveform"),
        ("two.onnx", "two", "log_mel and mfcc features, not samples: .* --waveform"),
        ("bare.tflite", b"\x20\0\0\0TFL3" + bytes(60), "says nothing of its labels"),
        ("text.tflite", b"hello" * 20, "no TFLite or ONNX model"),
        ("empty.onnx", b"", "no TFLite or ONNX model"),
        ("half.onnx", "songnet-gtzan.onnx", "no TFLite or ONNX model, or only a part of one"),
    ],
)
def test_models_that_cannot_be_used(spare, name, content, problem):
    if content == "two":
        content = small.two_inputs_model()
    if isinstance(content, str):
        content = (BUNDLED / content).read_bytes()
    if name.startswith("half"):
        content = content[: len(content) // 2]
    spare.choose("model", {"name": name, "mimeType": "", "buffer": content})
    spare.shows("error", re.compile(f"^{name}: .*{problem}"))
    assert spare.page.is_disabled("#listen")


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        (None, "music.wav: is no audio that this browser can read"),
        (np.full(RATE // 4, 0.1), "music.wav: holds only 0.25 s of audio"),
        (np.full(4 * RATE, np.nan), "music.wav: holds NaN or infinity"),
    ],
)
def test_audio_that_cannot_be_used(visit, wav, samples, problem):
    path = wav(np.zeros(10) if samples is None else samples, subtype="FLOAT")
    if samples is None:
        path.write_text("This is a letter.")
    visit.choose("file", path)
    assert problem in visit.problem()
    # It can be mended: the next file takes the message away.
    visit.classify(wav(np.zeros(4 * RATE)))
    assert not visit.page.is_visible("#error")


def test_without_a_model(chromium, tmp_path):
    with served(site(tmp_path, {})) as server, Visit(chromium, server.url) as visit:
        assert "no model beside this page (models/genre.tflite)" in visit.problem()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("NotAllowedError", "The microphone is not allowed: allow it for this page"),
        ("NotFoundError", "There is no microphone."),
        ("NotReadableError", "another program may be using it"),
        ("OverconstrainedError", "The microphone does not start (OverconstrainedError"),
    ],
)
def test_without_a_microphone(visit, name, problem):
    visit.page.evaluate(
        """(name) => {
            navigator.mediaDevices.getUserMedia = async () => {
                throw new DOMException("no", name);
            };
        }""",
        name,
    )
    visit.page.click("#listen")
    assert problem in visit.problem()
    assert visit.page.get_attribute("#listen", "aria-pressed") == "false"


def test_on_a_page_that_may_not_listen(visit):
    # As over http:// from another machine.
    visit.page.evaluate(
        "() => Object.defineProperty(navigator, 'mediaDevices', { value: undefined })"
    )
    visit.page.click("#listen")
    visit.shows("error", re.compile("needs https:// or localhost"))


def test_a_song_can_be_played_and_followed(visit, music, wav):
    visit.classify(wav(music[: 4 * RATE]), hop=0.5)
    visit.page.evaluate("() => document.getElementById('player').play()")
    visit.shows("source", "music.wav, here")
    visit.shows("source", "music.wav, as a whole")


def test_files_can_be_dropped_anywhere(visit, music, wav):
    visit.page.evaluate(
        """(wav) => {
            const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], "dropped.wav"));
            document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }""",
        base64.b64encode(wav(music).read_bytes()).decode(),
    )
    visit.shows("source", "dropped.wav, as a whole")


def test_without_webassembly(driver, server):
    # As where a browser's just-in-time compiler is switched off for safety.
    with (
        launched(driver, "--js-flags=--jitless") as running,
        Visit(running, server.url) as visit,
    ):
        assert "This browser has no WebAssembly" in visit.problem()
        assert visit.page.is_disabled("#listen")


def test_is_accessible(chromium, server, music, wav):
    with Visit(chromium, server.url, reduced_motion="reduce") as visit:
        visit.ready()
        visit.classify(wav(music))
        page = visit.page
        page.click("summary")
        duration = page.eval_on_selector(
            "#bars li", "bar => getComputedStyle(bar, '::before').transitionDuration"
        )
        assert duration == "0s"
        page.evaluate((PAGE / "node_modules/axe-core/axe.min.js").read_text())
        for width, scheme in itertools.product((320, 1200), ("light", "dark")):
            page.set_viewport_size({"width": width, "height": 740})
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("() => document.documentElement.scrollWidth") == width
            violations = page.evaluate("() => axe.run().then(({ violations }) => violations)")
            found = [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations]
            assert found == [], (width, scheme)


def test_the_keyboard_is_enough(visit, music, wav):
    visit.classify(wav(music))
    visit.page.focus("#listen")
    reached = []
    for _ in range(20):
        visit.page.keyboard.press("Tab")
        reached.append(visit.page.evaluate("() => document.activeElement.id"))
    wanted = ["file", "save", "engine", "hop", "model"]
    assert [name for name in reached if name in wanted][: len(wanted)] == wanted


def test_the_page_keeps_all_its_parts_for_offline():
    kept = set(re.findall(r'"([\w.]+\.(?:js|css|svg))"', (PAGE / "offline.js").read_text()))
    parts = {
        path.name
        for path in PAGE.iterdir()
        if path.suffix in (".js", ".css", ".svg") and path.name != "offline.js"
    }
    assert kept == parts
