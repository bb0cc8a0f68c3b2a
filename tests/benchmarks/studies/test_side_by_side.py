"""edge-genre beside what a user would pick instead: real contenders, a few windows each."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_genre.audio.file import AudioFile, find_audio
from edge_genre.audio.resample import resampled
from edge_genre.benchmarks.markdown import part
from edge_genre.benchmarks.studies.side_by_side import page
from edge_genre.benchmarks.studies.side_by_side.findings import Cost, Report
from edge_genre.benchmarks.studies.side_by_side.footprint import (
    edge_genre,
    installed,
    installed_runtime,
    installed_small_runtime,
    listening,
    starts,
)
from edge_genre.benchmarks.studies.side_by_side.turns import (
    Contending,
    Entry,
    contenders,
    take_turns,
)
from edge_genre.choices import LABEL_SETS
from edge_genre.errors import DataError, EngineError
from edge_genre.frontend import FrontEnd, FrontEndSpec
from edge_genre.model.bundled import find_model
from tests.support.requirements import require_package
from tests.support.signals import music
from tests.support.waiting import on_time

ROOT = Path(__file__).parents[3]
README = ROOT / "benchmarks" / "README.md"
RATE = 22_050
HOP = 22 * 512 / RATE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Music for streams, as `prepare_music` leaves it."""
    path = tmp_path_factory.mktemp("music")
    np.save(path / f"{RATE}.npy", music(8 * RATE, RATE))
    return path


@pytest.fixture(scope="module")
def windows(clips: Path, folder: Path) -> Path:
    """Windows of ten real clips, one of each genre, and one without beats."""
    found = [np.zeros(3 * RATE, np.float32)]
    for path in find_audio(clips)[::13]:
        with AudioFile(path) as source:
            found.append(resampled(source, RATE)[5 * RATE : 8 * RATE])
    np.save(folder / "windows.npy", np.stack(found))
    return folder / "windows.npy"


@pytest.fixture(scope="module")
def converted(reference_models: Path, windows: Path, folder: Path) -> Path:
    """The published five-channel CNN, as a TFLite file."""
    require_package("torch")
    from edge_genre.convert import convert

    front_end = FrontEnd(FrontEndSpec.preset("five-channel-first"))
    features = folder / "features.npy"
    np.save(features, np.stack([front_end(window) for window in np.load(windows)]))
    report = convert(
        reference_models / "five_channel_cnn.ckpt",
        output=folder,
        name="five",
        quantize=["fp32"],
        labels=LABEL_SETS["gtzan"],
        front_end="five-channel-first",
        architecture="five-channel-cnn",
        calibrate=features,
    )
    (path,) = report.files
    return path


def test_ours_answers_the_same_and_costs_less(
    reference_models: Path, converted: Path, windows: Path, folder: Path, report
) -> None:
    """The published pipeline against its own network converted, in everything that is compared."""
    for name, seconds in (("song", 9.0), ("rest", 7.5), ("short", 1.0)):
        soundfile.write(folder / f"{name}.wav", music(round(seconds * RATE), RATE), RATE)
    entries = [
        Entry("published", "five-channel", reference_models / "five_channel_cnn.ckpt", HOP),
        Entry("ours", "edge-genre", converted),
    ]
    with contenders(entries, folder) as processes:
        theirs, ours = (each.labels(windows) for each in processes.values())
        streams = take_turns(processes, 3, lambda each: each.stream(4))
        memory = {name: each.memory().resident for name, each in processes.items()}
        files = take_turns(processes, 1, lambda each: each.file(folder / "song.wav"))
        cut = [
            processes["published"].file(folder / f"{name}.wav").windows
            for name in ("rest", "short")
        ]
        facts = [each.facts for each in processes.values()]
    assert theirs == ours
    assert len(set(ours)) > 3
    assert facts[0].hop == pytest.approx(facts[1].hop)
    assert [found.windows for found in files.values()] == [3, 3]
    assert cut == [2, 1]  # the rest is dropped, what is short is padded
    ratio = streams["published"].cpu / streams["ours"].cpu
    report(
        f"published five-channel pipeline: {ratio:.1f} times the CPU time in streams, "
        f"{files['published'].cpu / files['ours'].cpu:.1f} times in files, "
        f"{memory['published'] / memory['ours']:.1f} times the memory"
    )
    on_time(ratio > 3, "streams cost as much")
    on_time(files["published"].cpu > 2 * files["ours"].cpu, "files cost as much")
    assert memory["published"] > 3 * memory["ours"]


class Recorded:
    """A process that notes when it is asked."""

    def __init__(self, name: str, log: list[str], values: list[float]) -> None:
        self._name, self._log, self._values = name, log, values

    def stream(self, windows: int) -> Cost:
        self._log.append(f"{self._name} {windows}")
        value = self._values.pop(0)
        return Cost(cpu=value, wall=2 * value)


def test_contenders_take_turns_and_medians_are_given() -> None:
    log: list[str] = []
    processes = {"a": Recorded("a", log, [1, 9, 2]), "b": Recorded("b", log, [5, 5, 6])}
    found = take_turns(processes, 3, lambda process: process.stream(2))
    assert found == {"a": Cost(cpu=2, wall=4), "b": Cost(cpu=5, wall=10)}
    assert log == ["a 2", "b 2"] * 3


def test_a_contender_measures_one_thread_of_its_own_work(folder: Path) -> None:
    with contenders([Entry("tiny", "edge-genre", find_model("tiny-gtzan"))], folder) as processes:
        tiny = processes["tiny"]
        assert tiny.facts.hop == pytest.approx(6 * 1711 / RATE)
        for found in (tiny.stream(30), tiny.inference(30)):
            assert found.cpu > 0
            assert found.wall > 0
        assert 20 < (tiny.memory().resident or 0) < 110
        with pytest.raises(EngineError, match=r"tiny: .*no such file"):
            tiny.file(folder / "missing.wav")
        assert tiny.memory()  # an error ends nothing


def test_errors_name_the_contender(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"mine: nothing\.tflite: no such model file") as error:
        Contending(Entry("mine", "edge-genre", Path("nothing.tflite")), folder)
    assert "\n" not in str(error.value)


def test_a_contender_that_dies_is_reported(folder: Path) -> None:
    process = Contending(Entry("tiny", "edge-genre", find_model("tiny-gtzan")), folder)
    process._child.kill()
    with pytest.raises(EngineError, match=r"tiny: .* ended with code -9, saying: "):
        process.memory()
    process.close()


def test_starts_take_turns_and_leave_the_first_one_out(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = f"open({str(log)!r}, 'a').write('{{0}}'); print({{0!r}})"
    commands = {name: [sys.executable, "-c", program.format(name)] for name in "ab"}
    found = starts(commands, 2)
    assert log.read_text() == "ababab"
    assert all(each.wall > 0.001 and each.cpu > 0 for each in found.values())


def test_a_start_is_over_with_the_first_line() -> None:
    slow = "import time; print(1, flush=True); time.sleep(1)"
    busy = (
        "import time; b = time.process_time()\nwhile time.process_time() < b + 0.3: pass\nprint()"
    )
    found = starts({name: [sys.executable, "-c", name] for name in (slow, busy)}, 1)
    on_time(found[slow].wall < 0.8, f"the first line after {found[slow].wall:.2f} s")
    assert found[busy].cpu > 0.29


def test_a_start_that_fails_says_why() -> None:
    with pytest.raises(EngineError, match="mine: ended with code 3, saying: no model"):
        starts(
            {
                "mine": [
                    sys.executable,
                    "-c",
                    "import sys; print('no model', file=sys.stderr); exit(3)",
                ]
            },
            1,
        )


def test_start_and_memory_of_the_product(tmp_path: Path, report) -> None:
    wav = tmp_path / "a.wav"
    soundfile.write(wav, music(3 * RATE, RATE), RATE)
    model = find_model()
    command = [edge_genre(), "classify", str(wav), "--json", "--model", str(model)]
    start = starts({"ours": command}, 2)["ours"]
    memory = listening(model, music(10 * RATE, RATE), RATE, 10)
    report(f"process start to first answer {start.wall:.2f} s ({start.cpu:.2f} s of CPU)")
    report(f"resident memory while listening {memory.resident:.0f} MB")
    assert 20 < memory.resident <= memory.peak < 110
    on_time(start.cpu < 10, f"a start took {start.cpu} s of a processor")


def test_listening_without_enough_audio_is_an_error() -> None:
    with pytest.raises(EngineError, match="ended before its time"):
        listening(Path("nothing.tflite"), music(RATE, RATE), RATE, 10)


def test_an_installed_size_that_is_known_is_not_measured_again(tmp_path: Path) -> None:
    cache = tmp_path / "installed.json"
    known = {"bytes": 7, "largest": {}, "versions": {}}
    cache.write_text(json.dumps({"a==1 b": known}))
    assert installed(["a==1", "b"], cache).to_dict() == known
    with pytest.raises(EngineError, match=r"pip install \./nothing: "):
        installed(["./nothing"], cache)


def test_music_has_to_last(tmp_path: Path) -> None:
    from edge_genre.benchmarks.studies.side_by_side.inputs import prepare_music

    clips = tmp_path / "clips"
    clips.mkdir()
    for number in range(4):
        soundfile.write(clips / f"{number}.wav", music(31 * 8000, 8000, seed=number), 8000)
    found = prepare_music(clips, tmp_path / "work")
    assert [soundfile.info(path).frames for path in found.wavs] == [30 * RATE] * 4
    assert soundfile.info(found.short).frames == 3 * RATE
    assert np.load(found.windows).shape == (8, 3 * RATE)
    for rate in (16_000, RATE, 44_100):
        assert np.load(found.streams / f"{rate}.npy").shape == (30 * rate,)
    (clips / "3.wav").unlink()
    with pytest.raises(DataError, match="3 files last 30 s or more, expected 4"):
        prepare_music(clips, tmp_path / "work")


def row(name: str, factor: float, **more: object) -> dict[str, object]:
    figures = {"cpu": 10 * factor, "wall": 5 * factor}
    return {
        "name": name,
        "bytes": 1000,
        "engine": "engine 1.0",
        "rate": RATE,
        "window": 3.0,
        "hop": 0.5,
        "stream": figures,
        **dict.fromkeys(("wav", "song"), figures | {"windows": 10.0}),
        "memory": {"resident": 400 * factor, "peak": 500 * factor},
        "start": figures,
        "start_api": figures,
        **more,
    }


def installation(megabytes: int, largest: dict[str, int]) -> dict[str, object]:
    sizes = {name: 1_000_000 * size for name, size in largest.items()}
    return {"bytes": 1_000_000 * megabytes, "largest": sizes, "versions": {}}


def made_up(factor: float = 0.04) -> dict[str, object]:
    """A report whose goals are all reached, by a factor that is known."""
    ours = {"listening": {"resident": 60, "peak": 70}}
    names = (page.SAME, page.DEFAULT, page.TINY)
    pipelines = [row("published", 1), *(row(name, factor, **ours) for name in names)]
    second = {"stream": {"cpu": 3.0, "wall": 3.0}, "window": 1.0}
    return {
        "machine": {
            "board": "",
            "cpu": "A processor",
            "cores": 2,
            "virtual": True,
            "memory_mb": None,
            "system": "Linux",
            "python": "3.11",
            "packages": {"numpy": "2.4"},
            "emulated": "",
            "accelerator": "",
            "time": "2026-01-02T03:04:05",
        },
        "warnings": ["other programs kept 2.0 cores busy"],
        "plan": {"rounds": 4, "starts": 3},
        "music": {"songs": ["a.opus"], "clips": "clips"},
        page.FIVE_CHANNEL: pipelines,
        page.SONGNET: pipelines,
        "agreement": {"windows": 200, "same": 199},
        "yamnet": [
            row(page.YAMNET, 1, bytes=4000, cpu_per_second=6.0, **second),
            row(f"{page.DEFAULT}, every 0.5 s", 1, bytes=200, cpu_per_second=4.0, **second),
        ],
        "formats": [
            row(
                "x",
                1,
                format=suffix,
                weights=weights,
                bundled=weights == "dynamic" and suffix == "tflite",
                engine=engine,
                inference={"cpu": 1.0, "wall": 1.0},
                parity={"top1_agreement": 0.99, "gate": "passed"},
            )
            for suffix, weights, engine in (
                ("tflite", "dynamic", "ai-edge-litert 2.3.0"),
                ("tflite", "fp32", "tensorflow 2.21.0"),
                ("onnx", "fp32", "onnxruntime 1.31.1"),
            )
        ],
        "litert-benchmark": [{"name": page.DEFAULT, "ours": 1.1, "theirs": 1.0, "ratio": 1.1}],
        "installed": {
            "edge-genre": installation(100, {"numpy": 50}),
            "smallest": installation(60, {"rich": 1}),
            page.FIVE_CHANNEL: installation(2000, {}) | {"versions": {"torch": "2.13.0+cpu"}},
            page.SONGNET: installation(3000, {}),
        },
    }


def reached(report: dict[str, object]) -> dict[str, bool]:
    return {
        f"{goal.what} | {name}": enough
        for goal in page.goals(Report.from_dict(report))
        for name, (_, enough) in goal.found.items()
    }


def test_a_report_survives_json() -> None:
    read = Report.from_dict(json.loads(json.dumps(made_up())))
    assert Report.from_dict(json.loads(json.dumps(read.to_dict()))) == read
    assert "start_api" in read.to_dict()[page.FIVE_CHANNEL][0]
    assert "listening" not in read.to_dict()[page.FIVE_CHANNEL][0]


def test_goals_that_are_reached() -> None:
    found = reached(made_up())
    assert len(found) == 17
    assert all(found.values())


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("streaming", lambda r: r["five-channel"][1]["stream"].update(cpu=0.51)),
        ("whole WAV", lambda r: r["five-channel"][0]["wav"].update(cpu=0.4 * 7.9)),
        ("first answer", lambda r: r["five-channel"][0]["start"].update(wall=3.9)),
        ("first answer", lambda r: r["five-channel"][1]["start"].update(wall=1.01)),
        ("resident", lambda r: r["five-channel"][0]["memory"].update(resident=299)),
        ("resident", lambda r: r["five-channel"][1]["listening"].update(resident=111)),
        ("installed", lambda r: r["installed"]["edge-genre"].update(bytes=134_000_000)),
        ("installed", lambda r: r["installed"]["smallest"].update(bytes=134_000_000)),
        ("second of audio", lambda r: r["yamnet"][1].update(cpu_per_second=6.0)),
        ("size of the model", lambda r: r["yamnet"][1].update(bytes=401)),
        ("litert-benchmark", lambda r: r["litert-benchmark"][0].update(ratio=1.16)),
        ("litert-benchmark", lambda r: r["litert-benchmark"][0].update(ratio=0.84)),
    ],
)
def test_goals_that_are_missed(what: str, change) -> None:
    report = json.loads(json.dumps(made_up()))
    change(report)
    missed = [name for name, enough in reached(report).items() if not enough]
    assert missed
    assert all(what in name for name in missed)
    assert "**no**" in page.page(Report.from_dict(report), None)


def test_page_has_everything_in_tables_that_are_whole() -> None:
    text = page.page(Report.from_dict(made_up()), "plots")
    assert "**Not to be trusted:** other programs kept 2.0 cores busy" in text
    assert "199 of 200 windows" in text
    assert "PyTorch is 2.13.0+cpu" in text
    assert "25.0x (10 / 0.4 ms)" in text
    for table in text.split("\n\n"):
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in rows}) <= 1
    for name in page.PLOTS:
        assert f"](plots/{name})" in text
    assert "](" not in page.page(Report.from_dict(made_up() | {"installed": None}), None)


def test_readme_has_a_place_for_the_page_and_its_pictures() -> None:
    written = part(README.read_text(), page.PART)
    for name in page.PLOTS:
        assert f"](plots/{name})" in written
        assert (README.parent / "plots" / name).is_file()


def test_pictures_are_drawn(tmp_path: Path) -> None:
    require_package("matplotlib")
    from edge_genre.benchmarks.studies.side_by_side.pictures import plot

    plot(Report.from_dict(made_up()), tmp_path)
    for name in page.PLOTS:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / name).stat().st_size < 100_000


def side_by_side(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "edge_genre.benchmarks.studies.side_by_side",
        *map(str, arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_folder_without_the_models_is_one_clear_line(tmp_path: Path) -> None:
    require_package("torch")
    done = side_by_side("--reference-models", tmp_path, "--clips", tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"Error: {tmp_path}: holds no five_channel_cnn.ckpt\n"


@pytest.mark.slow
def test_whole_comparison(reference_models: Path, clips: Path, tmp_path: Path) -> None:
    """Every contender, once; the installations that take gigabytes are left out."""
    done = side_by_side(
        *("--reference-models", reference_models, "--clips", clips, "--no-install-size"),
        *("--rounds", 2, "--starts", 1, "--work", tmp_path / "work"),
        *("--json", tmp_path / "a.json", "--markdown", tmp_path / "a.md"),
        *("--plots", tmp_path / "plots"),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["agreement"]["same"] >= 0.99 * report["agreement"]["windows"] > 100
    for kind in (page.FIVE_CHANNEL, page.SONGNET):
        published, *ours = report[kind]
        for each in ours:
            assert each["stream"]["cpu"] < published["stream"]["cpu"] / 3
            assert each["listening"]["resident"] < published["memory"]["resident"] / 3
    assert len(report["formats"]) == 13
    assert (tmp_path / "a.md").read_text().count("](plots/") == len(page.PLOTS)


@pytest.mark.slow
def test_installed_size_of_the_runtime() -> None:
    found = installed_runtime(ROOT)
    assert 50e6 < found.bytes < 200e6
    assert {"numpy", "ai_edge_litert", "edge_genre"} <= set(found.largest)
    assert "tensorflow" not in found.versions


def test_no_smallest_installation_without_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert installed_small_runtime(ROOT) is None


@pytest.mark.slow
def test_installed_size_of_the_smallest_runtime() -> None:
    """Debian is asked where there is one, and CI's machine is one."""
    found = installed_small_runtime(ROOT)
    assert found
    assert 40e6 < found.bytes < 80e6
    assert {"Debian's numpy", "tflite_runtime", "edge_genre"} <= set(found.largest)
    assert "numpy" not in found.versions
