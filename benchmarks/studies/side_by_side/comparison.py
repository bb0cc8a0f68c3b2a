"""What a user would pick instead, and ours, measured side by side in one run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edge_genre.benchmarks.studies.side_by_side.findings import (
    FIVE_CHANNEL,
    LONG,
    PUBLISHED,
    SAME,
    SONGNET,
    TINY,
    YAMNET,
    AgainstLiteRT,
    Agreement,
    Cost,
    FileCost,
    Format,
    Heard,
    InRam,
    Installation,
    MeasuredOn,
    Pipeline,
    Repeated,
    Report,
    Streamed,
    Turn,
)
from edge_genre.benchmarks.studies.side_by_side.footprint import (
    edge_genre,
    installed,
    installed_runtime,
    installed_small_runtime,
    listening,
    starts,
)
from edge_genre.benchmarks.studies.side_by_side.inputs import (
    RATE,
    Music,
    five_channel_files,
    format_files,
    prepare_music,
    songnet_files,
    songnet_source,
)
from edge_genre.benchmarks.studies.side_by_side.turns import (
    Contending,
    Entry,
    contenders,
    medians,
    take_turns,
)
from edge_genre.errors import DataError, EngineError
from edge_genre.host.machine import condition, doubts, this_machine
from edge_genre.model.bundled import DEFAULT, find_model
from edge_genre.model.file import read

PACKAGES = ("librosa", "numba", "scipy", "torch", "keras")
HOP = 22 * 512 / RATE  # what ours makes of half a second
_YAMNET_HOP = 0.48  # that of its authors
_LISTENED = 10  # windows until memory is read
_RUNS = 200  # of a model, for LiteRT's own tool and beside it
_API = (
    "import sys; from edge_genre import Classifier;"
    "print(Classifier.load(sys.argv[1]).classify_file(sys.argv[2]).label, flush=True)"
)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is compared, and how long.

    Parameters
    ----------
    models : folder of models that others trained
    clips : folder of music
    work : folder for what is made of them, kept from run to run
    project : folder with this project's sources; None to leave installed sizes out
    rounds : turns of each contender
    starts : of each program
    """

    models: Path
    clips: Path
    work: Path
    project: Path | None
    rounds: int = 20
    starts: int = 7


def compare(plan: Plan, progress: Progress = lambda _: None) -> Report:
    """Measure everything.

    Raises
    ------
    EdgeGenreError
        A folder lacks something, or a contender fails.
    """
    checkpoint, yamnet = (
        _required(plan.models / name) for name in ("five_channel_cnn.ckpt", "yamnet_wavin.tflite")
    )
    progress("music")
    music = prepare_music(plan.clips, plan.work)
    progress("converting the five-channel CNN")
    five = five_channel_files(checkpoint, plan.clips, plan.work)
    progress("converting SongNet")
    songnet = songnet_source(plan.work)
    long = songnet_files(songnet, plan.clips, plan.work)
    progress(f"converting {DEFAULT} to every format")
    formats = format_files(plan.clips, plan.work)
    machine, before = this_machine(*PACKAGES), condition()
    run = _Run(plan, music, progress)
    five_channel = run.pipelines(
        [
            Entry(PUBLISHED, FIVE_CHANNEL, checkpoint, HOP),
            Entry(SAME, "edge-genre", five["tflite fp32"]),
            Entry(f"{SAME}, int8", "edge-genre", five["tflite int8"]),
            Entry(DEFAULT, "edge-genre", find_model(DEFAULT)),
            Entry(TINY, "edge-genre", find_model(TINY)),
        ],
        short=True,
    )
    published_songnet = run.pipelines(
        [
            Entry(PUBLISHED, SONGNET, songnet, HOP),
            Entry(SAME, "edge-genre", long["tflite fp32"]),
            Entry(f"{SAME}, dynamic", "edge-genre", long["tflite dynamic"]),
            Entry(LONG, "edge-genre", find_model(LONG)),
        ],
        short=False,
    )
    agreement = run.agreement(checkpoint, five["tflite fp32"])
    streams, every_format = run.yamnet(yamnet), run.formats(formats)
    models = {name: find_model(name) for name in (DEFAULT, TINY, LONG)}
    against = run.litert_benchmark(models | {"five-channel CNN, fp32": five["tflite fp32"]})
    installations = run.installed()
    return Report(
        machine=MeasuredOn(**vars(machine), time=before.time),
        warnings=tuple(doubts(machine, before, condition())),
        music=Heard(tuple(path.name for path in music.songs), plan.clips.name),
        plan=Repeated(plan.rounds, plan.starts),
        five_channel=five_channel,
        songnet=published_songnet,
        agreement=agreement,
        yamnet=streams,
        formats=every_format,
        litert_benchmark=against,
        installed=installations,
    )


class _Run:
    """The parts of a run."""

    def __init__(self, plan: Plan, music: Music, progress: Progress) -> None:
        self._plan, self._music, self._progress = plan, music, progress

    def pipelines(self, entries: Sequence[Entry], *, short: bool) -> tuple[Pipeline, ...]:
        """Measure classifiers from end to end: streams, files, memory, start.

        Parameters
        ----------
        entries : the published one first
        short : of windows of 3 s
        """
        kind = entries[0].kind
        rounds = self._plan.rounds
        with contenders(entries, self._music.streams) as processes:
            self._progress(f"{kind}: streams")
            count = 10 if short else 4
            streams = take_turns(processes, rounds, lambda process: process.stream(count))
            memory = {name: process.memory() for name, process in processes.items()}
            self._progress(f"{kind}: files")
            wavs = self._files(processes, self._music.wavs)
            songs = self._files(processes, self._music.songs)
            facts = {name: process.facts for name, process in processes.items()}
        self._progress(f"{kind}: starts")
        started = self._starts(entries, self._music.short if short else self._music.wavs[0])
        rows = []
        for entry in entries:
            ours = entry.kind == "edge-genre"
            rows.append(
                Pipeline(
                    name=entry.name,
                    bytes=entry.path.stat().st_size,
                    **vars(facts[entry.name]),
                    stream=streams[entry.name],
                    wav=wavs[entry.name],
                    song=songs[entry.name],
                    memory=memory[entry.name],
                    start=started[entry.name],
                    start_api=started[f"{entry.name}, API"] if ours else None,
                    listening=self._listening(entry.path) if ours else None,
                )
            )
        return tuple(rows)

    def _files(
        self, processes: Mapping[str, Contending], paths: Sequence[Path]
    ) -> dict[str, FileCost]:
        rounds = max(1, self._plan.rounds // len(paths))
        each = [
            take_turns(processes, rounds, partial(Contending.file, path=path)) for path in paths
        ]
        return {name: medians([found[name] for found in each]) for name in processes}

    def _starts(self, entries: Sequence[Entry], wav: Path) -> dict[str, Cost]:
        commands: dict[str, list[str]] = {}
        for entry in entries:
            path = str(entry.path)
            if entry.kind == "edge-genre":
                command = [edge_genre(), "classify", str(wav), "--json", "--model", path]
                commands[entry.name] = command
                commands[f"{entry.name}, API"] = [sys.executable, "-c", _API, path, str(wav)]
            else:
                module = "edge_genre.benchmarks.studies.side_by_side.published"
                commands[entry.name] = [sys.executable, "-m", module, entry.kind, path, str(wav)]
        return starts(commands, self._plan.starts)

    def _listening(self, model: Path) -> InRam:
        info = read(model).info
        assert info is not None
        assert info.front_end is not None
        spec = info.front_end
        samples = np.load(self._music.streams / f"{spec.sample_rate}.npy")
        # A hop is rounded to whole frames, of a quarter of a second at most.
        wanted = round((spec.window_seconds + 0.75 * _LISTENED) * spec.sample_rate)
        return listening(model, np.resize(samples, wanted), spec.sample_rate, _LISTENED)

    def agreement(self, checkpoint: Path, converted: Path) -> Agreement:
        """Count windows that the published pipeline and our file of it name the same."""
        self._progress("agreement")
        entries = [
            Entry(PUBLISHED, FIVE_CHANNEL, checkpoint),
            Entry(SAME, "edge-genre", converted),
        ]
        with contenders(entries, self._music.streams) as processes:
            theirs, ours = (process.labels(self._music.windows) for process in processes.values())
        same = sum(one == other for one, other in zip(theirs, ours, strict=True))
        return Agreement(windows=len(theirs), same=same)

    def yamnet(self, path: Path) -> tuple[Streamed, ...]:
        """Measure seconds of audio: YAMNet's, and ours with the front end."""
        self._progress(YAMNET)
        entries = [
            Entry(YAMNET, "waveform", path, _YAMNET_HOP),
            *(
                Entry(f"{model}, every {hop:g} s", "edge-genre", find_model(model), hop)
                for model in (DEFAULT, TINY)
                for hop in (0.5, 1.0)
            ),
        ]
        with contenders(entries, self._music.streams) as processes:
            found = take_turns(processes, self._plan.rounds, lambda process: process.stream(20))
            facts = {name: process.facts for name, process in processes.items()}
        rows = []
        for entry in entries:
            known, cost = facts[entry.name], found[entry.name]
            # Without overlap, a YAMNet window lasts as long as it hears.
            hops = [known.hop, known.window] if entry.kind == "waveform" else [known.hop]
            rows += [
                Streamed(
                    name=entry.name,
                    bytes=entry.path.stat().st_size,
                    **vars(replace(known, hop=hop)),
                    stream=cost,
                    cpu_per_second=cost.cpu / hop,
                )
                for hop in hops
            ]
        return tuple(rows)

    def formats(self, files: Mapping[str, Path]) -> tuple[Format, ...]:
        """Measure one model in every format, each in every engine that runs it."""
        self._progress("formats")
        entries = [Entry(f"{DEFAULT}.tflite", "edge-genre", find_model(DEFAULT))]
        for name, path in files.items():
            engines = (
                ("ai-edge-litert", "tensorflow") if path.suffix == ".tflite" else ("onnxruntime",)
            )
            entries += [
                Entry(f"{name}, {engine}", "edge-genre", path, engine=engine) for engine in engines
            ]
        with contenders(entries, self._music.streams) as processes:
            found = take_turns(processes, self._plan.rounds, lambda process: process.inference(20))
            memory = {name: process.memory() for name, process in processes.items()}
            facts = {name: process.facts for name, process in processes.items()}
        rows = []
        for entry in entries:
            info = read(entry.path).info
            assert info is not None
            rows.append(
                Format(
                    name=entry.name,
                    format=entry.path.suffix[1:],
                    weights=info.quantization,
                    engine=facts[entry.name].engine,
                    bytes=entry.path.stat().st_size,
                    bundled=entry is entries[0],
                    parity=info.parity,
                    inference=found[entry.name],
                    memory=memory[entry.name],
                )
            )
        return tuple(rows)

    def litert_benchmark(self, files: Mapping[str, Path]) -> tuple[AgainstLiteRT, ...]:
        """Measure files in our engine and with LiteRT's own tool, turn by turn."""
        self._progress("litert-benchmark")
        entries = [Entry(name, "edge-genre", path) for name, path in files.items()]
        turns: dict[str, list[Turn]] = {entry.name: [] for entry in entries}
        with contenders(entries, self._music.streams) as processes:
            for _ in range(max(3, self._plan.rounds)):
                for entry in entries:
                    ours = processes[entry.name].inference(_RUNS).wall
                    theirs = _litert_benchmark(entry.path)
                    # Of each turn: the machine's speed wanders less from one to the other than
                    # from turn to turn.
                    turns[entry.name].append(Turn(ours, theirs, ours / theirs))
        return tuple(AgainstLiteRT(name, **vars(medians(found))) for name, found in turns.items())

    def installed(self) -> dict[str, Installation] | None:
        """Install each set of packages, and sum up its files."""
        if self._plan.project is None:
            return None
        cache = self._plan.work / "installed.json"
        librosa = "librosa==0.11.*"
        found = {}
        for name, package in ((FIVE_CHANNEL, "torch"), (SONGNET, "tensorflow")):
            self._progress(f"installing librosa and {package}")
            version = this_machine(package).packages[package].partition("+")[0]
            found[name] = installed([librosa, f"{package}=={version}"], cache)
        self._progress("installing edge-genre")
        ours = {"edge-genre": installed_runtime(self._plan.project)}
        small = installed_small_runtime(self._plan.project)
        if small:
            ours["smallest"] = small
        return {**ours, **found}


def _required(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path.parent}: holds no {path.name}")
    return path


def _litert_benchmark(model: Path) -> float:
    """Let LiteRT's own tool measure a file; its median, milliseconds."""
    with TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "ai_edge_litert.tools.benchmark_litert_model"]
        command += ["--model", str(model), "--num_threads", "1", "--num_runs", str(_RUNS)]
        command += ["--warmup_runs", "20", "--result_json", str(result)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not result.is_file():
            raise EngineError(f"litert-benchmark {model}: ended with code {done.returncode}")
        return float(json.loads(result.read_text())["latency"]["median_ms"])
